"""When queries are measured, what a measurement says, and what of it a status keeps."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.rules.child import Child
from mooring_operator.api.analysis import EVIDENCE, LONGEST_EVIDENCE, MEASURED
from mooring_operator.api.analysis_template import MOST_QUERIES, Query
from mooring_operator.planning.analysis.counting import Answer, Request
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.measuring import (
    Measurement,
    UsedQuery,
    described,
    number_of,
    outcome_of,
)
from mooring_operator.planning.analysis.thresholds import Tally

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def query(name="memory", **fields):
    fields = {"query": "up", "successCondition": "result < 5.0", **fields}
    return Query.model_validate({"name": name, **fields})


def used(**fields):
    arguments = fields.pop("arguments", {})
    return UsedQuery(query(**fields), arguments, "slo")


def seconds(*times):
    return [BEGAN + timedelta(seconds=time) for time in times]


def test_it_is_measured_each_interval_after_the_delay():
    often = used(interval="30s", initialDelay="1m")
    assert often.times(BEGAN, BEGAN, BEGAN + timedelta(seconds=160)) == seconds(90, 120, 150)
    assert often.times(BEGAN, BEGAN + timedelta(seconds=90), BEGAN + timedelta(seconds=120)) == seconds(120)
    assert used(interval="1m").times(BEGAN, BEGAN, BEGAN + timedelta(seconds=59)) == []


@given(st.integers(10, 300), st.integers(1, 900), st.lists(st.integers(0, 500), max_size=12))
def test_however_the_time_is_cut_it_is_measured_once(interval, delay, parts):
    asked = used(interval=f"{interval}s", initialDelay=f"{delay}s")
    since, found = BEGAN, []
    for part in parts:
        found += asked.times(BEGAN, since, since + timedelta(seconds=part))
        since += timedelta(seconds=part)
    assert found == asked.times(BEGAN, BEGAN, since)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "it gives no series"),
        ([1.0, 2.0], "it gives 2 series: make one of them, as by sum()"),
        ([float("nan")], "it gives nan: what it divides by is 0"),
        ([float("inf")], "it gives inf"),
    ],
)
def test_what_is_no_number_says_what_to_write(values, said):
    assert number_of(values).startswith(said)
    assert number_of([0.0]) == 0.0


OUTCOMES = {
    ("result < 5.0", ""): ("Success", "Failure", "Failure"),
    ("", "result > 7.0"): ("Success", "Success", "Failure"),
    ("result < 5.0", "result > 7.0"): ("Success", "Inconclusive", "Failure"),
    ("result < 9.0", "result > 3.5"): ("Success", "Failure", "Failure"),
    ("result < double(arguments.most)", ""): ("Success", "Success", "Failure"),
    ("result < arguments.most", ""): ("Error", "Error", "Error"),
    ("result", ""): ("Error", "Error", "Error"),
    ("result < arguments.other", ""): ("Error", "Error", "Error"),
}


@pytest.mark.parametrize("conditions", OUTCOMES, ids=str)
def test_conditions_mean_what_they_do_in_argo_rollouts(conditions):
    asked = used(successCondition=conditions[0], failureCondition=conditions[1], arguments={"most": "7"})
    with Child() as child:
        for number, outcome in zip((3.0, 6.0, 8.0), OUTCOMES[conditions], strict=True):
            found, said = outcome_of(asked.query, number, child.ask(asked.question(number)))
            assert (found, said.startswith(f"{number:g}")) == (outcome, True)


def measured(*outcomes, name="memory"):
    return {name: [Measurement(float(at), outcome, f"{at}") for at, outcome in enumerate(outcomes)]}


def evidence(asked, *outcomes):
    seen = Evidence.from_text("", [], [asked], watched=False)
    for at in range(len(outcomes)):
        seen = Evidence.from_text(seen.to_text(), [], [asked], watched=False)
        tallies = seen.measured(measured(*outcomes), at)
        seen = Evidence((), queries=(asked,), tallies=tallies)
    return seen


F, S, E, N = "Failure", "Success", "Error", "Inconclusive"


@pytest.mark.parametrize(
    ("outcomes", "limits", "verdict"),
    [
        ([S], {}, "PASS"),
        ([F], {}, "FAIL"),
        ([F], {"failureLimit": 1}, "PASS"),
        ([F, F], {"failureLimit": 1}, "FAIL"),
        ([S], {"count": 2}, "INSUFFICIENT"),
        ([S, E], {"count": 2}, "INSUFFICIENT"),
        ([S, E, S], {"count": 2}, "PASS"),
        ([S, N], {"count": 2}, "INSUFFICIENT"),
        ([S, N], {"count": 2, "inconclusiveLimit": 1}, "PASS"),
        ([S, E], {"consecutiveErrorLimit": 0}, "INSUFFICIENT"),
        ([S, E, E], {"consecutiveErrorLimit": 1}, "INSUFFICIENT"),
        ([E] * 9, {}, "INSUFFICIENT"),
        ([N] * 9, {}, "INSUFFICIENT"),
        ([F] * 9, {"dryRun": True}, "INSUFFICIENT"),
    ],
)
def test_outcomes_add_up_through_a_status(outcomes, limits, verdict):
    assert evidence(used(**limits), *outcomes).judge(0.01).verdict == verdict


def test_a_query_that_was_edited_begins_anew():
    text = evidence(used(failureLimit=3), F, F).to_text()
    kept = Evidence.from_text(text, [], [used(failureLimit=3)], watched=False)
    assert kept.tallies["memory"].failures == 2
    for edited in (used(failureLimit=4), used(failureLimit=3, arguments={"a": "b"})):
        assert Evidence.from_text(text, [], [edited], watched=False).tallies["memory"].failures == 0


def test_a_new_step_is_passed_by_new_measurements_and_what_failed_has_failed():
    asked = used(failureLimit=1)
    seen = evidence(asked, F).of_a_new_step()
    assert seen.judge(0.01).verdict == "INSUFFICIENT"
    after = Evidence((), queries=(asked,), tallies=seen.measured(measured(S), 0))
    assert after.judge(0.01).verdict == "PASS"
    after = Evidence((), queries=(asked,), tallies=seen.measured(measured(F), 0))
    assert after.judge(0.01).verdict == "FAIL"


@given(
    st.lists(st.sampled_from([F, S, E, N]), max_size=30),
    st.lists(st.integers(0, 30), max_size=5),
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_however_it_is_cut_and_kept_it_passes_and_fails_by_its_limits(
    outcomes, cuts, count, fails, odd, errors
):
    asked = used(count=count, failureLimit=fails, inconclusiveLimit=odd, consecutiveErrorLimit=errors)
    every = measured(*outcomes)
    whole = Evidence.from_text("", [], [asked], watched=False).after(answer(every), 0.01)
    parts = Evidence.from_text("", [], [asked], watched=False)
    edges = [0, *sorted(cuts), len(outcomes)]
    for begin, end in pairwise(edges):
        parts = Evidence.from_text(parts.to_text(), [], [asked], watched=False)
        if parts.judge(0.01).verdict != "FAIL":
            part = {"memory": [one for one in every["memory"] if begin <= one.at < end]}
            parts = parts.after(answer(part), 0.01)
    assert parts.to_text() == whole.to_text()
    verdict, numbers = whole.judge(0.01).verdict, [one for one in outcomes if one != E]
    failed = outcomes.count(F) > fails
    assert (verdict == "FAIL") == failed
    ends_without = len(outcomes) - max((at for at, one in enumerate(outcomes, 1) if one != E), default=0)
    passes = len(numbers) >= count and outcomes.count(N) <= odd and ends_without <= errors
    assert (verdict == "PASS") == (passes and not failed)


def answer(every):
    minute = timedelta(minutes=1)
    return Answer(Request("ns", "iris", "a", "b", (), (), BEGAN, minute, BEGAN + minute), measured=every)


def test_the_most_that_there_may_be_fits_into_a_status():
    import re

    names = [f"{'a' * 28}{index}z" for index in range(MOST_QUERIES)]
    queries = [used(name=name, dryRun=True) for name in names]
    tallies = {
        name: Tally(one.allowance, *([4_294_967_295] * 6), last="-1.23457e-300")
        for name, one in zip(names, queries, strict=True)
    }
    text = Evidence((), queries=tuple(queries), tallies=tallies).to_text()
    assert re.fullmatch(EVIDENCE.strip("^$"), text)
    # Three metrics take up to 2900 characters.
    assert len(text) < LONGEST_EVIDENCE - 2900 + 50
    assert Evidence.from_text(text, [], queries, watched=False).tallies[names[0]].failures == 4_294_967_295
    told = described(queries, tallies, "")
    assert re.fullmatch(MEASURED.strip("^$"), told)


def test_the_last_number_stays_until_there_is_another():
    asked = used()
    told = described([asked], {"memory": Tally(asked.allowance, successes=3, last="4.5")}, "")
    assert told == "memory: 0 of 3 failed, last 4.5"
    assert described([asked], {"memory": Tally(asked.allowance, successes=3)}, told) == told
