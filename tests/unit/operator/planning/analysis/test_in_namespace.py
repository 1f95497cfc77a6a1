"""Measurements that take a while: which is due follows from the status alone, one after the other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api.template_queries import Query
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.in_namespace import due, under_way
from mooring_operator.planning.analysis.measuring import UsedQuery
from mooring_operator.planning.analysis.thresholds import Tally
from mooring_operator.planning.objects.owner import Owner

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
OWNER = Owner("ns", "iris", "uid-1", 1)


def used(arguments=None, **fields):
    query = Query.model_validate({"name": "smoke", "job": {"image": "smoke:1"}, "interval": "1m", **fields})
    return UsedQuery(query, arguments or {}, "house", "AnalysisTemplate")


def asked(seconds, settled=0, **fields):
    until = BEGAN + timedelta(seconds=seconds)
    known = {"smoke": settled} if settled else {}
    request = Request("ns", "iris", "a", "b", (), (), BEGAN, timedelta(seconds=10), until, began=BEGAN,
                      settled=known, owner=OWNER)  # fmt: skip
    return replace(request, **fields)


def test_the_first_is_due_after_the_delay_and_an_interval():
    delayed = used(initialDelay="30s")
    assert due(asked(89), delayed) is None
    first = due(asked(90), delayed)
    assert first.at == BEGAN + timedelta(seconds=90)
    # However much later somebody comes to it, it is the same.
    assert due(asked(600), delayed).measurement_id == first.measurement_id


def test_the_next_is_due_when_it_has_ended():
    first = due(asked(60), used())
    reading = due(asked(200), used()).found(None, 1.0)
    assert (reading.at, reading.settled) == (BEGAN + timedelta(seconds=200), 200)
    assert reading.begun == first.at
    assert due(asked(230, reading.settled), used()) is None
    second = due(asked(240, reading.settled), used())
    assert second.measurement_id != first.measurement_id
    assert second.at == BEGAN + timedelta(seconds=240)


def test_another_deployment_revision_query_or_attempt_is_another_measurement():
    ids = {
        due(request, query).measurement_id
        for request, query in [
            (asked(60), used()),
            (asked(60, owner=replace(OWNER, uid="uid-2")), used()),
            (asked(60, candidate="c"), used()),
            (asked(60, began=BEGAN - timedelta(minutes=1)), used()),
            (asked(60), used(job={"image": "smoke:2"})),
            (asked(60), used({"pool": "a"})),
            (asked(60), used(name="other")),
        ]
    }
    assert len(ids) == 7


@given(
    st.integers(10, 100),
    st.lists(st.tuples(st.floats(0.001, 200.0), st.booleans()), max_size=20),
)
def test_however_looks_fall_each_measurement_is_taken_once(interval, looks):
    query, settled, now, ended = used(interval=f"{interval}s"), 0, 0.0, []
    for passes, has_ended in looks:
        now += passes
        found = due(asked(now, settled), query)
        tallies = {"smoke": Tally(query.allowance, settled=settled)}
        until = BEGAN + timedelta(seconds=now)
        known = under_way(OWNER, "a", BEGAN, until, [query], tallies)
        assert known == ([] if found is None else [(found.measurement_id, query)])
        if found is None:
            continue
        assert found.at <= until
        if has_ended:
            ended.append((found.measurement_id, found.at))
            settled = found.found(None, 1.0).settled
    assert len(dict(ended)) == len(ended)
    times = [at for _, at in ended]
    assert times == sorted(set(times))


def test_it_is_told_what_the_rollout_is():
    facts = due(asked(60, address="http://iris-a.ns.svc"), used({"mostPoints": "0.5"})).facts
    assert facts.pop("measurementId")
    assert facts == {
        "deployment": "iris",
        "namespace": "ns",
        "revision": "a",
        "stableRevision": "b",
        "url": "http://iris-a.ns.svc",
        "query": "smoke",
        "argumentMostPoints": "0.5",
    }


def test_one_that_has_not_ended_in_time_is_late():
    found = due(asked(60), used())
    assert not found.is_late(None, timedelta(minutes=5))
    assert not due(asked(60 + 600), used()).is_late(None, timedelta(minutes=5))
    assert due(asked(60 + 601), used()).is_late(None, timedelta(minutes=5))
    assert not due(asked(60 + 601), used()).is_late(BEGAN + timedelta(minutes=3), timedelta(minutes=5))
