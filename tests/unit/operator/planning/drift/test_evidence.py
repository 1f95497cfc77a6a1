"""Evidence over windows decides, where sensitivity says how often quiet traffic may alarm."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.drift_question import parse_question
from mooring_components.drift.evaluation import largest_rejected
from mooring_components.drift.evidence import calibrate
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import MOST_PAST, FeatureDrift
from mooring_operator.planning.drift.acting import RequestRollback
from mooring_operator.planning.drift.evaluations import DriftObserved, Findings, Target
from mooring_operator.planning.drift.evidence import LIMITS, MOST_FEATURES, weigh
from mooring_operator.planning.drift.plan import Notify, plan_drift
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import RunState
from mooring_operator.reconcile.drift_runs import ask

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("team", "traffic", "9a1f2f6e-0000-4000-8000-000000000000", 1)
SEEN = DriftObserved(OWNER, Target("digits", "rev2", "rev1"))


def spec(**fields):
    return DriftMonitorSpec.model_validate(
        {
            "target": {"name": "digits"},
            "baseline": {"uri": "s3://b/base"},
            "window": {"uri": "s3://b/window"},
            "interval": "1m",
            "sensitivity": "normal",
            **fields,
        }
    )


def window(number, *e_values, drifted=False):
    features = [
        FeatureDrift(name=f"f{place:03}", drifted=drifted, e_value=value)
        for place, value in enumerate(e_values)
    ]
    return Findings(1000, 400, f"sha256:{number}", tuple(features))


class Monitor:
    """Goes through evaluations one after the other."""

    def __init__(self, **fields):
        self.spec, self.status, self.now, self.generation = spec(**fields), DriftMonitorStatus(), NOW, 1

    def see(self, found):
        seen = replace(SEEN, owner=replace(OWNER, generation=self.generation))
        self.now += timedelta(minutes=2)
        self.status = plan_drift(self.spec, self.status, seen, self.now).status
        run = RunState(self.status.run.run_id, "Succeeded")
        decision = plan_drift(self.spec, self.status, replace(seen, run=run, result=found), self.now)
        self.status = decision.status
        return decision


def test_the_last_windows_are_remembered_for_the_report_each_once():
    monitor = Monitor()
    for number in range(MOST_PAST + 5):
        monitor.see(window(number, 2.0, 0.5, drifted=number % 2 == 0))
    past = monitor.status.past
    assert len(past) == MOST_PAST
    assert [one.time for one in past] == sorted({one.time for one in past})
    assert [(one.tested, one.drifted) for one in past[-2:]] == [(2, 0), (2, 2)]
    assert past[-1].evidence == monitor.status.evidence.value
    asked = parse_question(ask(monitor.spec, None, past))
    assert [one.evidence for one in asked.past] == [one.evidence for one in past]
    assert asked.limit == 1000.0


def test_small_evidence_of_many_windows_becomes_an_alarm():
    monitor = Monitor()
    phases = [monitor.see(window(number, 12.0, 0.4)).status.phase for number in range(4)]
    assert phases == ["Watching", "Watching", "Watching", "Drifted"]
    evidence = monitor.status.evidence
    assert (evidence.windows, evidence.limit) == (4, 1000.0)
    assert evidence.features[0].name == "f000"
    assert monitor.status.message.startswith("evidence 10000 of 1000 in 4 windows; ")
    assert ": f000" in monitor.status.message


def test_a_window_that_names_a_feature_is_no_alarm_by_itself():
    decision = Monitor().see(window(1, 50.0, drifted=True))
    assert (decision.status.phase, decision.status.reason) == ("Watching", "NoDrift")
    assert "evidence 50 of 1000 in 1 window; 1 of 1 features drifted" in decision.status.message


def test_strong_evidence_alarms_at_once_and_asks_for_a_rollback_once():
    monitor = Monitor(actions=["Rollback"])
    decision = monitor.see(window(1, 1e9, 0.4, 0.4))
    assert decision.status.phase == "Drifted"
    assert [type(action) for action in decision.actions] == [Notify, RequestRollback, Notify]
    assert not any(isinstance(a, RequestRollback) for a in monitor.see(window(2, 1e9)).actions)


def test_drift_that_has_ended_is_left_behind_within_a_few_windows():
    monitor = Monitor()
    for number in range(50):
        monitor.see(window(number, 1e9))
    phases = [monitor.see(window(f"quiet {number}", 0.4)).status.phase for number in range(4)]
    assert phases == ["Drifted", "Drifted", "Watching", "Watching"]


def test_the_same_window_is_weighed_once():
    monitor = Monitor()
    values = [monitor.see(window("same", 20.0)).status.evidence.value for _ in range(5)]
    assert values == [20.0] * 5
    assert monitor.status.evidence.windows == 1


def test_another_spec_begins_anew():
    monitor = Monitor()
    monitor.see(window(1, 20.0))
    monitor.generation = 2
    assert monitor.see(window(2, 20.0)).status.evidence.value == 20.0


def test_windows_without_features_leave_the_evidence_as_it_is():
    monitor = Monitor()
    monitor.see(window(1, 20.0))
    monitor.see(Findings(1000, 400, "sha256:none", ()))
    assert monitor.status.evidence.value == 20.0


def test_reports_without_e_values_are_no_evidence():
    monitor = Monitor(sensitivity="high")
    for number in range(300):
        monitor.see(window(number, None, None))
    assert monitor.status.evidence.value == 0
    assert monitor.status.phase == "Watching"


def test_without_sensitivity_every_window_is_judged_by_itself():
    monitor = Monitor(sensitivity=None)
    assert monitor.see(window(1, 0.1, drifted=True)).status.phase == "Drifted"
    assert monitor.status.evidence is None


@pytest.mark.parametrize(("sensitivity", "windows"), [("high", 100), ("normal", 1000)])
def test_evidence_of_one_a_window_alarms_after_the_stated_number_of_them(sensitivity, windows):
    status, count = DriftMonitorStatus(), 0
    while status.evidence is None or status.evidence.value < status.evidence.limit:
        count += 1
        found = window(count, 1.0, 1.0).features
        evidence = weigh(spec(sensitivity=sensitivity), status, found, str(count), 1, NOW)
        status = status.model_copy(update={"evidence": evidence})
    assert count == windows


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1e9), min_size=40, max_size=40), min_size=1, max_size=6))
def test_what_is_kept_is_bounded_and_never_more_than_the_whole(windows):
    whole, status = [0.0] * 40, DriftMonitorStatus()
    for number, e_values in enumerate(windows):
        whole = [e * (r + 1) for e, r in zip(e_values, whole, strict=True)]
        evidence = weigh(spec(), status, window(number, *e_values).features, str(number), 1, NOW)
        status = status.model_copy(update={"evidence": evidence})
        assert len(evidence.features) <= MOST_FEATURES
        assert evidence.value <= min(sum(whole) / 40, 10 * LIMITS["normal"]) * (1 + 1e-3) + 0.001


def test_thousands_of_quiet_windows_hardly_alarm_where_each_by_itself_would():
    p_values = np.random.default_rng(0).uniform(size=(3000, 20))
    alone = sum(largest_rejected(list(row), 0.05) >= 0 for row in p_values)
    assert 100 < alone < 200
    asked, status, alarms, above = spec(), DriftMonitorStatus(), 0, False
    for number, row in enumerate(p_values):
        features = window(number, *map(calibrate, row)).features
        found = weigh(asked, status, features, f"sha256:{number}", 1, NOW, "")
        status = DriftMonitorStatus(evidence=found)
        alarms += found.value >= found.limit and not above
        above = found.value >= found.limit
    # Three would be within what is promised.
    assert alarms <= 3


def test_evidence_of_a_feature_in_a_slice_is_its_own():
    def look(number, inside):
        features = [
            FeatureDrift(name="age", drifted=False, e_value=0.5),
            FeatureDrift(name="age", slice="dach", drifted=False, e_value=inside),
        ]
        return Findings(1000, 400, f"sha256:{number}", tuple(features))

    monitor = Monitor()
    monitor.see(look(1, 50.0))
    assert monitor.status.evidence.value == 25.25
    monitor.see(look(2, 50.0))
    assert [(one.name, one.slice, one.value) for one in monitor.status.evidence.features] == [
        ("age", "dach", 2550),
        ("age", "", 0.75),
    ]
    assert monitor.status.phase == "Drifted"
    assert monitor.status.message.endswith(": age in slice dach")
    assert monitor.status.suggestions[0].message.startswith("age in slice dach moved")
