"""When a run's word is taken about a model, and when it is about something else."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api.rollout_status import BroughtFiles, ModelDeploymentStatus
from mooring_operator.planning.actions import Notify, TerminateRun
from mooring_operator.planning.rollout.actions import LaunchRun
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.rollout.situation import Observed, Resolved, Verdict
from mooring_operator.planning.runs.retries import MOST_OUTAGES
from mooring_operator.planning.runs.run import RunPhase, RunState

from tests.unit.operator.planning.world import CI, World, digest, spec_of

MINUTES = timedelta(minutes=1)


class Bench:
    """One candidate under test; a pass looks at what the test says there is."""

    def __init__(self, **ci) -> None:
        self.world = World(spec_of("v1", ci={**CI, **ci}))
        self.observed: Observed = self.world.observe()
        self.look()

    @property
    def status(self) -> ModelDeploymentStatus:
        return self.world.status

    @property
    def run_id(self) -> str:
        assert self.status.ci is not None
        return self.status.ci.run_id

    def look(self, after: timedelta = timedelta(), **observed) -> Decision:
        self.world.now += after
        seen = replace(self.observed, **observed)
        decision = plan(self.world.spec, self.status, seen, self.world.now)
        self.world.status = decision.status
        return decision

    def see(self, phase: RunPhase, after: timedelta = timedelta(), **fields) -> Decision:
        observed = {
            name: fields.pop(name)
            for name in ("verdict", "verdict_error", "verdict_outage", "longest_run")
            if name in fields
        }
        return self.look(after, run=RunState(self.run_id, phase, **fields), **observed)

    def verdict(self, **changes) -> Verdict:
        return replace(Verdict(self.run_id, digest("s3://m/v1"), True, {}), **changes)


@pytest.mark.parametrize("phase", ["Failed", "Canceled", "Succeeded"])
def test_an_end_without_a_document_is_believed_when_seen_twice(phase):
    bench = Bench()
    first = bench.see(phase)
    assert (first.phase, first.recheck_after) == ("Testing", 5.0)
    assert bench.see(phase, timedelta(seconds=4)).phase == "Testing"
    last = bench.see(phase, timedelta(seconds=1), message="it was evicted")
    assert last.phase == "Failed"
    assert last.reason == ("VerdictMissing" if phase == "Succeeded" else "CIRunFailed")


def test_a_state_that_is_taken_back_was_none():
    """Two Workflows of one run: KFP tells now of one, now of the other."""
    bench = Bench()
    for phase in ("Pending", "Failed", "Running", "Failed", "Running"):
        assert bench.see(phase, timedelta(seconds=4)).phase == "Testing"
    assert bench.see("Succeeded", verdict=bench.verdict()).status.ci.verdict == "Passed"


def test_what_a_failed_run_wrote_is_its_reason_and_believed_at_once():
    bench = Bench()
    decision = bench.see("Failed", message="its pod failed", verdict_error="label_column 'y' is not in a, b")
    assert decision.reason == "CIRunFailed"
    assert "label_column 'y' is not in a, b" in decision.message


AWAY = {"verdict_error": "validate-data: s3 does not answer", "verdict_outage": True}


def launched(decision: Decision) -> list[str]:
    return [action.run_id for action in decision.actions if isinstance(action, LaunchRun)]


def told(decision: Decision) -> list[str]:
    return [action.message for action in decision.actions if isinstance(action, Notify)]


def test_a_run_that_an_outage_ended_is_launched_anew_after_a_while():
    bench = Bench()
    first = bench.run_id
    decision = bench.see("Failed", **AWAY)
    assert (decision.phase, decision.reason, decision.recheck_after) == ("Testing", "Testing", 60.0)
    assert f"run {first} ended by an outage: validate-data: s3 does not answer; another" in decision.message
    assert told(decision) == [decision.message]
    early = bench.see("Failed", timedelta(seconds=59), **AWAY)
    assert (early.recheck_after, early.message, told(early), launched(early)) == (
        1.0,
        decision.message,
        [],
        [],
    )
    decision = bench.see("Failed", timedelta(seconds=1), **AWAY)
    assert launched(decision) == [bench.run_id] != [first]
    assert bench.status.ci.outages == 1
    assert bench.see("Succeeded", verdict=bench.verdict()).status.ci.verdict == "Passed"


def test_bad_input_is_never_asked_for_again():
    bench = Bench()
    decision = bench.see("Failed", verdict_error="test_data_uri 's3://b/x' does not exist")
    assert (decision.reason, launched(decision)) == ("CIRunFailed", [])


def test_a_retry_by_a_person_counts_outages_anew():
    bench = Bench()
    while bench.status.phase == "Testing":
        bench.see("Failed", 20 * MINUTES, **AWAY)
    assert "; so did the 5 before it" in bench.status.message
    revision = bench.status.failed_revision
    decision = bench.look(commands={"retry": revision})
    assert launched(decision) == [bench.run_id]
    assert bench.status.ci.outages is None
    assert bench.see("Failed", **AWAY).recheck_after == 60.0


@settings(max_examples=200)
@given(
    ends=st.lists(
        st.sampled_from(["outage", "passed", "failed", "bad input", "crash"]), min_size=8, max_size=12
    ),
    pauses=st.lists(st.integers(0, 1200), min_size=1, max_size=6),
)
def test_only_outages_are_tried_again_and_only_so_often(ends, pauses):
    """Whatever the runs come to, and whenever one looks."""
    bench, runs, looks, judged = Bench(), [], 0, ""
    for outages, end in enumerate(ends, 1):
        runs.append(bench.run_id)
        fields = {
            "outage": {"phase": "Failed", **AWAY},
            "passed": {"phase": "Succeeded", "verdict": bench.verdict()},
            "failed": {"phase": "Succeeded", "verdict": bench.verdict(passed=False)},
            "bad input": {"phase": "Failed", "verdict_error": "no such column"},
            "crash": {"phase": "Failed", "verdict_error": "StepFailed"},
        }[end]
        while (
            bench.run_id == runs[-1] and bench.status.phase == "Testing" and bench.status.ci.verdict is None
        ):
            decision = bench.see(after=timedelta(seconds=pauses[looks % len(pauses)] + 1), **fields)
            looks += 1
        if end != "outage":
            judged = end
            break
        if outages > MOST_OUTAGES:
            break
        assert launched(decision) == [bench.run_id]
    assert len(set(runs)) == len(runs) <= MOST_OUTAGES + 1
    assert (bench.status.ci.verdict == "Passed") == (judged == "passed")
    assert bench.status.phase == "Failed" or judged == "passed"


def test_a_run_that_the_backend_ended_for_its_time_is_a_timeout():
    decision = Bench().see("Failed", timed_out=True, message="it ran for longer than 60 s")
    assert (decision.reason, "longer than 60 s" in decision.message) == ("CITimeout", True)


def test_a_run_whose_time_was_over_says_during_which_step():
    said = "the run was ended by SIGTERM during step evaluate-quality"
    decision = Bench().see(
        "Failed", timed_out=True, message="it ran for longer than 60 s", verdict_error=said
    )
    assert f"longer than it may: {said}; it ran for longer than 60 s" in decision.message


def test_a_run_whose_time_was_over_before_it_began_says_what_it_waited_for():
    bench = Bench()
    waits = "its pod has not started: container run does not start: ErrImagePull"
    assert waits in bench.see("Pending", message=waits).message
    decision = bench.see("Failed", timed_out=True, message="it ran for longer than 60 s")
    assert f"longer than it may: {waits}; it ran for longer than 60 s" in decision.message
    begun = Bench()
    begun.see("Pending", message=waits)
    begun.see("Running")
    assert waits not in begun.see("Failed", timed_out=True, message="it ran for longer than 60 s").message


@pytest.mark.parametrize(
    ("timeout", "longest", "said"),
    [
        ("10m", timedelta(hours=4), "spec.ci.timeout allows"),
        ("99999h", 10 * MINUTES, "the administrator lets"),
    ],
)
def test_a_run_is_stopped_after_its_time_or_the_administrators(timeout, longest, said):
    bench = Bench(timeout=timeout)
    assert bench.see("Running", 10 * MINUTES, longest_run=longest).phase == "Testing"
    decision = bench.see("Running", timedelta(seconds=1), longest_run=longest)
    assert (decision.reason, said in decision.message) == ("CITimeout", True)
    assert TerminateRun(bench.run_id) in decision.actions


def test_a_run_that_waits_for_its_turn_spends_no_time():
    bench = Bench(timeout="10m")
    decision = bench.see("Pending", timedelta(hours=9), queued=True, message="it waits for its turn")
    assert (decision.phase, "it waits for its turn" in decision.message) == ("Testing", True)
    begun = bench.world.now
    assert bench.see("Running", 10 * MINUTES, started_at=begun).phase == "Testing"
    assert bench.see("Running", MINUTES, started_at=begun).reason == "CITimeout"


def test_launches_that_fail_half_way_are_counted_and_end():
    bench = Bench()
    for number in (1, 2):
        decision = bench.look(launch_error="KFP answered 500: Error 1366")
        assert (decision.phase, f"failed {number} times" in decision.message) == ("Testing", True)
        assert not [action for action in decision.actions if isinstance(action, LaunchRun)]
        assert [action for action in bench.look().actions if isinstance(action, LaunchRun)]
    decision = bench.look(launch_error="KFP answered 500: Error 1366")
    assert (decision.reason, "Error 1366" in decision.message) == ("CILaunchFailed", True)
    assert TerminateRun(bench.run_id) in decision.actions


def test_a_run_that_was_there_and_is_gone_is_asked_for_again_as_another():
    bench = Bench()
    first = bench.run_id
    bench.see("Running")
    decision = bench.look()
    assert bench.run_id != first
    assert LaunchRun(bench.run_id, bench.status.candidate) in decision.actions
    assert [(run.run_id, run.ended) for run in bench.status.abandoned_runs] == [(first, True)]


def test_a_run_that_was_never_seen_is_asked_for_by_the_same_id():
    bench = Bench()
    first = bench.run_id
    assert LaunchRun(first, bench.status.candidate) in bench.look().actions


def test_a_run_that_mooring_stopped_is_stopped_until_it_has_ended_and_never_judged():
    """v1, v2, v1: what the first run of v1 ends as is no verdict on v1."""
    bench = Bench()
    first = bench.run_id
    bench.see("Running")
    bench.world.apply(spec_of("v2", ci=CI))
    bench.observed = bench.world.observe()
    assert TerminateRun(first) in bench.look(run=RunState(first, "Running")).actions
    decision = bench.look(abandoned={first: RunState(first, "Running", "being terminated")})
    assert TerminateRun(first) in decision.actions
    assert decision.recheck_after <= 15
    decision = bench.look(abandoned={first: RunState(first, "Failed")})
    assert TerminateRun(first) not in decision.actions
    bench.world.apply(spec_of("v1", ci=CI))
    bench.observed = bench.world.observe()
    bench.look()
    assert bench.run_id != first
    assert bench.status.candidate.revision == bench.status.ci.revision


def test_a_run_that_does_not_end_is_given_up_after_an_hour():
    bench = Bench()
    first = bench.run_id
    bench.see("Running")
    bench.world.apply(spec_of("v2", ci=CI))
    bench.observed = bench.world.observe()
    bench.look(run=RunState(first, "Running"))
    still = {first: RunState(first, "Running")}
    assert TerminateRun(first) in bench.look(timedelta(minutes=59), abandoned=still).actions
    assert TerminateRun(first) not in bench.look(timedelta(minutes=2), abandoned=still).actions


def test_the_digest_that_was_tested_is_the_candidates_where_it_had_none():
    world = World(spec_of("v1", ci=CI), model=Resolved("s3://m/v1", "etag:1234"))
    world.step()
    run_id = world.status.ci.run_id
    tested = Verdict(run_id, digest("s3://m/v1"), True, {})
    seen = replace(world.observe(), run=RunState(run_id, "Succeeded"), verdict=tested)
    decision = plan(world.spec, world.status, seen, world.now)
    assert decision.status.candidate.content_digest == digest("s3://m/v1")


@pytest.mark.parametrize("passed", [True, False])
def test_the_rows_that_were_read_stand_in_the_status(passed):
    bench = Bench()
    rows = digest("rows")
    found = bench.see("Succeeded", verdict=bench.verdict(passed=passed, test_data_digest=rows)).status
    assert found.ci.test_data_digest == rows


def test_a_digest_that_was_pinned_before_stays():
    bench = Bench()
    decision = bench.see("Succeeded", verdict=bench.verdict(digest=digest("other")))
    assert decision.reason == "VerdictMismatch"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Canceled", None]),
            st.integers(0, 20),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_only_a_verdict_of_the_run_itself_passes_whatever_the_backend_tells(story):
    bench = Bench()
    for phase, seconds, has_verdict in story:
        if bench.status.candidate is None:
            break
        run = None if phase is None else RunState(bench.run_id, phase)
        verdict = bench.verdict() if has_verdict and phase in ("Succeeded", "Failed") else None
        decision = bench.look(timedelta(seconds=seconds), run=run, verdict=verdict)
        passed = decision.status.ci is not None and decision.status.ci.verdict == "Passed"
        assert not passed or (phase == "Succeeded" and has_verdict)
        if passed:
            break


BESIDE = {"gates": [{"metric": "accuracy", "notWorseThan": "champion"}]}


def beside(first, gates):
    """A candidate v9 of a deployment that serves `first`: what launching its test says."""
    world = World(spec_of(first))
    world.settle()
    assert world.status.stable is not None
    world.apply(spec_of("v9", ci={**CI, **gates}))
    actions = plan(world.spec, world.status, world.observe(), world.now).actions
    (launch,) = (action for action in actions if isinstance(action, LaunchRun))
    return launch


def test_a_candidate_is_tested_beside_what_serves_now():
    assert beside("v1", BESIDE).champion.storage_uri == "s3://m/v1"
    first = Bench(**BESIDE)
    assert LaunchRun(first.run_id, first.status.candidate, None) in first.look().actions


def test_beside_another_champion_it_is_another_question():
    ids = {beside(first, gates).run_id for first in ("v1", "v2") for gates in (BESIDE, {})}
    # Without a gate that compares, what serves now does not matter.
    assert len(ids) == 3


def test_a_revision_keeps_which_files_of_it_were_tested():
    bench = Bench()
    brought = BroughtFiles(digest="sha256:" + "a" * 64, is_folder=True)
    decision = bench.see("Succeeded", verdict=bench.verdict(brought=brought))
    assert decision.status.ci.verdict == "Passed"
    assert decision.status.candidate.brought == brought


def test_a_folder_stays_one_where_a_run_does_not_say_so():
    bench = Bench()
    assert isinstance(bench.observed.model, Resolved)
    bench.observed = replace(bench.observed, model=replace(bench.observed.model, is_folder=True))
    bench.world.status = ModelDeploymentStatus()
    bench.look()
    decision = bench.see("Succeeded", verdict=bench.verdict())
    assert decision.status.candidate.brought == BroughtFiles(is_folder=True)
