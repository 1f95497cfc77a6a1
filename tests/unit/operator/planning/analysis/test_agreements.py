"""Agreement on mirrored requests: which time a look is about, what a pod is told, and what its words are taken for."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.measuring import QUESTION
from mooring_operator.api.agreements import Agreement
from mooring_operator.planning.analysis.agreements import (
    AgreementQuery,
    Copies,
    PairCounts,
    UsedAgreement,
    stretch,
)
from mooring_operator.planning.analysis.counting import Answer
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.in_namespace import due
from mooring_operator.planning.analysis.measuring import Measurement, UsedQuery
from mooring_operator.planning.analysis.measuring_jobs import MEASURED_BY_PODS, job_of
from mooring_operator.planning.analysis.results import read_result
from mooring_operator.planning.manifests.run_jobs import RunPods

from tests.unit.operator.planning.analysis.test_in_namespace import BEGAN, asked

COPIES = Copies("s3://kept/c", "s3://kept/s", problem="")
COUNTS = {"pairs": 200, "disagreements": 3, "failed": 1, "repeated": 0, "stable": 300, "candidate": 210}
UNTIL = (BEGAN + timedelta(seconds=180)).isoformat()


def measured(**fields):
    agreement = Agreement.model_validate({"name": "smoke", **fields})
    return UsedQuery(AgreementQuery.of(agreement), {}, "house", "AnalysisTemplate")


def looking(seconds=300, joined=0, copies=COPIES, settled=0, **fields):
    known = {"smoke": joined} if joined else {}
    return due(asked(seconds, settled, joined=known, copies=copies), measured(**fields))


def job_for(found):
    return job_of(found, MEASURED_BY_PODS["agreement"], RunPods())


def test_the_first_look_ends_when_its_files_are_complete():
    assert looking(239) is None
    assert looking(240).stretch == (BEGAN, BEGAN + timedelta(seconds=120))


@given(st.lists(st.integers(121, 900), min_size=1, max_size=10), st.integers(30, 300))
def test_looks_follow_each_other_whenever_somebody_looks(pauses, delay):
    agreement, joined, now, seen = Agreement(name="smoke", delay=timedelta(seconds=delay)), 0, 600, []
    for pause in pauses:
        now += pause
        found = stretch(
            agreement, COPIES, BEGAN, {"smoke": joined}, BEGAN + timedelta(seconds=now, microseconds=7)
        )
        assert found is not None
        assert found[1] <= BEGAN + timedelta(seconds=now - delay)
        seen.append(found)
        joined = int((found[1] - BEGAN).total_seconds())
    assert seen[0][0] == BEGAN
    assert all(end == begin for (_, end), (begin, _) in pairwise(seen))


def test_nothing_is_looked_at_when_all_copies_have_been():
    ended = replace(COPIES, until=BEGAN + timedelta(seconds=400))
    assert looking(1000, copies=ended).stretch == (BEGAN, BEGAN + timedelta(seconds=460))
    assert looking(1000, joined=460, settled=600, copies=ended) is None
    assert looking(1000, joined=460, settled=600).stretch is not None


def test_a_pod_is_told_where_both_answers_are_and_gets_what_the_template_names():
    job = job_for(
        looking(output="scores", tolerance=0.1, credentialsSecret="s3", serviceAccountName="models")
    )
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    told = {one["name"]: one["value"] for one in container["env"]}
    assert json.loads(told[QUESTION]) == {
        "provider": "agreement",
        "candidate": "s3://kept/c",
        "stable": "s3://kept/s",
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-01T12:03:00Z",
        "output": "scores",
        "tolerance": 0.1,
    }
    assert container["command"] == ["python", "-I", "-m", "mooring_components.agreement"]
    assert container["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert pod["serviceAccountName"] == "models"
    plain = job_for(looking())["spec"]["template"]["spec"]
    assert "serviceAccountName" not in plain
    assert "envFrom" not in plain["containers"][0]


def test_where_there_are_no_copies_there_is_no_pod():
    with pytest.raises(ValueError, match="keeps nothing"):
        job_for(looking(copies=Copies(problem="revision a keeps nothing")))


def read(found, document):
    how = MEASURED_BY_PODS["agreement"]
    return how.found(found, None, how.read(json.dumps(document)))


def test_counts_are_evidence_and_say_up_to_when_they_are():
    reading = read(looking(), {**COUNTS, "until": UNTIL})
    assert (reading.result, reading.problem) == ("3 of 200 differ", "")
    assert (reading.pairs.pairs, reading.pairs.disagreements, reading.pairs.joined) == (200, 3, 180)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pairs": 2},
        {"pairs": -1, "disagreements": -1},
        {"pairs": 3.5},
        {"stable": "many"},
        {"pairs": 1e10, "disagreements": 0},
        {"until": "noon"},
        {"until": "9999-12-31T23:59:59Z"},
        {"until": "2026-03-01T12:03:00"},
        {"until": BEGAN.isoformat()},
        {"until": None},
    ],
)
def test_what_is_no_count_is_none(wrong):
    reading = read(looking(), {**COUNTS, "until": UNTIL, **wrong})
    assert (reading.pairs, reading.problem) == (None, "what it counted cannot be read")


@given(st.recursive(st.none() | st.booleans() | st.floats(0, 9) | st.text(), st.lists))
def test_any_words_of_a_pod_are_taken_for_no_count(words):
    how = MEASURED_BY_PODS["agreement"]
    reading = how.found(looking(), None, read_result(json.dumps(words)))
    assert reading.pairs is None
    assert reading.problem


@pytest.mark.parametrize(
    ("counts", "why"),
    [
        ({"failed": 7}, "one of both failed at each of 7"),
        ({"failed": 0, "repeated": 4}, "4 ids stand for several requests; send each its own x-request-id"),
        ({"failed": 0}, "without an id in common: does the gateway send x-request-id"),
        ({"failed": 0, "candidate": 0}, "stable kept 300, the new one 0"),
    ],
)
def test_no_pairs_are_told_with_what_helps_and_are_not_looked_for_again(counts, why):
    reading = read(looking(), {**COUNTS, "pairs": 0, "disagreements": 0, "until": UNTIL, **counts})
    assert why in reading.problem
    assert reading.pairs.joined == 180
    ended = replace(COPIES, until=BEGAN + timedelta(seconds=60))
    after = read(looking(copies=ended), {**COUNTS, "pairs": 0, "disagreements": 0, "until": UNTIL})
    assert not after.problem


def test_an_edit_begins_what_was_counted_anew_with_what_it_is_judged_by():
    one, other = measured(), measured(interval="5m")
    tally = replace(one.unpacked(""), joined=300)
    assert one.unpacked(one.packed(tally)).joined == 300
    assert other.unpacked(one.packed(tally)).joined == 0


def evidence_of(shares, looks=15, pairs=600):
    """The verdict after looks at pairs of which a share differs, by a limit of 2%."""
    limit = UsedAgreement(Agreement(name="smoke", points=2))
    evidence = Evidence.from_text("", [limit], [measured(points=2)], watched=False)
    request = asked(60)
    for number in range(1, looks + 1):
        counts = PairCounts(pairs, round(pairs * shares), number)
        one = Measurement(float(number), "Success", "", settled=number, pairs=counts)
        evidence = evidence.after(Answer(request, measured={"smoke": [one]}), 0.01)
        if (verdict := evidence.judge(0.01).verdict) != "INSUFFICIENT":
            return verdict, number
    return "INSUFFICIENT", looks


@pytest.mark.parametrize(
    ("share", "verdict", "at_most"),
    [
        (0.005, "PASS", 8),
        (0.01, "PASS", 15),
        (0.02, "INSUFFICIENT", 15),
        (0.04, "FAIL", 10),
        (0.5, "FAIL", 4),
    ],
)
def test_pairs_decide_within_some_looks(share, verdict, at_most):
    found, after = evidence_of(share)
    assert (found, after <= at_most) == (verdict, True)


def test_when_the_candidate_is_alone_nothing_is_compared():
    limit = UsedAgreement(Agreement(name="smoke"))
    evidence = Evidence.from_text("", [limit], [measured()], watched=False)
    one = Measurement(1.0, "Success", "", settled=1, pairs=PairCounts(500, 3, 60))
    seen = evidence.after(Answer(asked(60), measured={"smoke": [one]}), 0.01)
    assert seen.metrics["smoke"].comparison.candidate == 3
    kept = Evidence.from_text(seen.to_text(), [limit], [measured()], watched=False)
    assert (kept.metrics["smoke"].comparison.candidate_of, kept.tallies["smoke"].joined) == (500, 60)
    alone = seen.alone()
    assert (alone.metrics, alone.queries, alone.tallies) == ({}, (), {})
