"""Latency, errors and traffic are judged by plain rules, and by the first window of the revision."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_components.intervals import share
from mooring_operator.api.drift_operation import OperationStatus
from mooring_operator.planning.drift.operation import CONDITION, least_share

from tests.unit.operator.planning.drift.test_performance import Judged as Monitored
from tests.unit.operator.planning.drift.test_plan import found as quiet


def answered(requests=1000, errors=0, p95=0.02, per_second=10.0):
    return OperationStatus(
        requests=requests, errors=errors, p50=p95 and p95 / 2, p95=p95, p99=p95, per_second=per_second
    )


class Operated(Monitored):
    """A monitor that judges how requests were answered."""

    def __init__(self, **fields):
        super().__init__()
        self.spec = self.spec.model_validate(
            {
                **self.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
                "operation": fields,
                "performance": None,
            }
        )

    def answer(self, operation):
        self.see(None, replace(quiet(), operation=operation))
        condition = self.condition(CONDITION)
        return (
            condition.status,
            condition.reason,
            [each for each in self.told if each in ("RuleBroken", "RulesHold")],
        )


def test_latency_of_twice_that_of_the_first_window_is_told_once_and_its_end():
    monitor = Operated()
    said = [monitor.answer(answered(p95=p95)) for p95 in (0.02, 0.039, 0.041, 0.2, 0.03)]
    assert said == [
        ("False", "RulesHold", []),
        ("False", "RulesHold", []),
        ("True", "RuleBroken", ["RuleBroken"]),
        ("True", "RuleBroken", []),
        ("False", "RulesHold", ["RulesHold"]),
    ]
    assert monitor.status.operation.reference.p95 == 0.02
    assert monitor.status.phase == "Watching"


def test_errors_need_no_reference_and_not_a_few_of_few():
    assert Operated().answer(answered(errors=130))[:2] == ("True", "RuleBroken")
    assert Operated().answer(answered(errors=110))[:2] == ("False", "RulesHold")
    assert Operated(errorRate=0.2).answer(answered(errors=150))[:2] == ("False", "RulesHold")
    assert Operated().answer(answered(errors=1000, p95=None))[:2] == ("True", "RuleBroken")


def test_errors_are_judged_as_they_are_by_a_plain_rule():
    monitor = Operated(plain=True)
    assert monitor.answer(answered(errors=110))[:2] == ("True", "RuleBroken")
    assert monitor.status.operation.broken == ["110 of 1000 requests failed, 11.0%; 10.0% may fail"]
    assert Operated(plain=True).answer(answered(errors=100))[:2] == ("False", "RulesHold")


@pytest.mark.parametrize(
    ("per_second", "status"), [(4.9, "True"), (5.1, "False"), (19, "False"), (21, "True")]
)
def test_traffic_is_judged_where_that_is_asked_for(per_second, status):
    for fields, expected in (({"trafficRatio": 2}, status), ({}, "False")):
        monitor = Operated(**fields)
        monitor.answer(answered())
        assert monitor.answer(answered(per_second=per_second))[0] == expected


def test_few_requests_say_nothing_and_are_no_reference():
    monitor = Operated()
    assert monitor.answer(answered(requests=99, errors=99, p95=9.0))[:2] == ("Unknown", "InsufficientData")
    monitor.answer(answered(p95=0.02))
    assert monitor.status.operation.reference.p95 == 0.02


def test_another_revision_has_a_reference_of_its_own():
    monitor = Operated()
    monitor.answer(answered(p95=0.02))
    monitor.promote("rev3")
    monitor.look()
    assert monitor.condition(CONDITION).status == "Unknown"
    assert monitor.answer(answered(p95=0.2))[0] == "False"
    assert monitor.status.operation.reference.p95 == 0.2


def test_without_the_field_there_is_no_condition_any_more():
    monitor = Operated()
    monitor.answer(answered(errors=500))
    monitor.spec = monitor.spec.model_copy(update={"operation": None})
    monitor.look()
    assert monitor.status.operation is None
    assert CONDITION not in [each.type for each in monitor.status.conditions]


@given(st.integers(1, 10_000), st.data())
def test_the_least_share_is_that_of_tests_of_models(total, data):
    hits = data.draw(st.integers(0, total))
    assert least_share(hits, total) == pytest.approx(share(hits, total).low, abs=1e-12)
