"""Runs as Jobs: whose turn it is."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.planning.runs import job_states, turns

from tests.unit.operator.planning.jobs import job


def at(number: int, **changes: Any) -> dict[str, Any]:
    made = f"2026-03-01T12:{number % 60:02}:00Z"
    return job(metadata={"name": f"mooring-run-{number:03}", "creationTimestamp": made}, **changes)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["running", "waiting", "over"]), max_size=12),
    st.integers(min_value=1, max_value=5),
    st.randoms(),
)
def test_runs_go_in_the_order_in_which_they_came_and_never_too_many(kinds, limit, random):
    over = {"conditions": [{"type": "Complete", "status": "True"}]}
    made = {
        "running": at,
        "waiting": lambda n: turns.suspended(at(n)),
        "over": lambda n: at(n, status=over),
    }
    jobs = [made[kind](number) for number, kind in enumerate(kinds)]
    waiting = [job["metadata"]["name"] for job, kind in zip(jobs, kinds, strict=True) if kind == "waiting"]
    random.shuffle(jobs)
    going = [job["metadata"]["name"] for job in turns.whose_turn(jobs, limit)]
    assert going == waiting[: len(going)]
    assert len(going) == max(0, min(len(waiting), limit - kinds.count("running")))
    assert turns.must_wait(jobs, limit) is (len(jobs) - kinds.count("over") >= limit)


def test_what_is_kept_of_a_job_decides_as_the_job_does_and_is_small():
    running, waiting = at(1), turns.suspended(at(2))
    for made in (running, waiting):
        made["metadata"]["labels"] = made["metadata"].get("labels", {}) | {"x": "y" * 100_000}
        made["metadata"]["annotations"] = made["metadata"].get("annotations", {}) | {"x": "y" * 100_000}
        made["spec"]["template"] = {"metadata": {"annotations": {"x": "y" * 100_000}}}
        kept = turns.essence(made)
        assert len(str(kept)) < 1000
        assert (job_states.is_waiting(kept), job_states.is_over(kept)) == (made is waiting, False)
        for name in ("namespace", "name", "uid", "creationTimestamp"):
            assert kept["metadata"].get(name) == made["metadata"].get(name)
    assert turns.whose_turn([turns.essence(waiting), turns.essence(running)], 2) == [turns.essence(waiting)]


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=4), st.integers(min_value=1, max_value=20))
def test_every_run_gets_its_turn(limit, count):
    """Runs come faster than they end; the first to come is the first to go all the same."""
    jobs: dict[str, dict[str, Any]] = {}
    gone: list[str] = []
    for number in range(count):
        made = at(number)
        jobs[made["metadata"]["name"]] = (
            turns.suspended(made) if turns.must_wait(jobs.values(), limit) else made
        )
    while jobs:
        running = next(name for name, made in jobs.items() if not job_states.is_waiting(made))
        gone.append(running)
        del jobs[running]
        for made in turns.whose_turn(jobs.values(), limit):
            jobs[made["metadata"]["name"]] = {**made, "spec": {**made["spec"], "suspend": False}}
    assert gone == sorted(gone)
