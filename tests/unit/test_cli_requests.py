"""Steering a rollout: the annotation that is written, or why it is not."""

import pytest

from tests.unit.cli_world import (
    AWAITING,
    CANARY,
    CANDIDATE,
    FIRST,
    PROMOTED,
    REJECTED,
    STABLE,
    FakeCluster,
    deployment,
    invoke,
)

HELD = deployment(
    "Paused",
    "PausedByCommand",
    "held",
    annotations={"mooring.dev/pause": "bbbbbbbbbb", "mooring.dev/pause-by": "bob"},
    stable=STABLE,
    candidate=CANDIDATE,
)
STALLED = deployment(
    "Pending",
    "VariantUnknown",
    "there is no variant c",
    stable=STABLE,
    candidate={**CANDIDATE, "step": 0},
    conditions=[
        {
            "type": "Stalled",
            "status": "True",
            "reason": "VariantUnknown",
            "message": "there is no variant c",
            "lastTransitionTime": "2026-03-01T12:00:00Z",
            "observedGeneration": 1,
        }
    ],
)
ENDING = deployment("Promoting", message="taking over", stable=STABLE, candidate={**CANDIDATE, "step": 4})
RETURNING = deployment(
    "Promoting",
    "RollingBack",
    "going back",
    stable=STABLE,
    previous=STABLE,
    candidate={**CANDIDATE, "restores": True},
)


@pytest.fixture
def ask(monkeypatch, capsys):
    """Run a command against a cluster that holds one object; give the result and what was written."""

    def run_command(item, *arguments, **cluster):
        world = FakeCluster(item, **cluster)
        monkeypatch.setattr("mooring_operator.cli.cluster.connect", lambda *_: world)
        return (*invoke(capsys, *arguments), world.written)

    return run_command


@pytest.mark.parametrize(
    ("item", "arguments", "annotation", "value", "says"),
    [
        (AWAITING, ["approve"], "approve", "bbbbbbbbbb/2", "approve iris: asked; next: weight 100%"),
        (
            AWAITING,
            ["approve", "-m", "looks\n good"],
            "approve",
            "bbbbbbbbbb/2 looks good",
            "approve iris: asked; next: weight 100%",
        ),
        (
            CANARY,
            ["promote"],
            "promote",
            "bbbbbbbbbb",
            "promote iris: asked; it takes over as soon as it is ready",
        ),
        (
            CANARY,
            ["abort"],
            "abort",
            "bbbbbbbbbb",
            "abort iris: asked; revision aaaaaaaaaa gets all traffic; bbbbbbbbbb is not tried again by itself",
        ),
        (
            FIRST,
            ["abort"],
            "abort",
            "bbbbbbbbbb",
            "abort iris: asked; nothing is served; bbbbbbbbbb is not tried again by itself",
        ),
        (
            REJECTED,
            ["retry"],
            "retry",
            "bbbbbbbbbb",
            "retry iris: asked; it is tested again, attempt 2",
        ),
        (
            CANARY,
            ["pause"],
            "pause",
            "bbbbbbbbbb",
            "pause iris: asked; it stays at its weight from the next step on, until: mooring resume iris",
        ),
        (HELD, ["resume"], "pause", None, "resume iris: asked; the rollout goes on with its next step"),
        (
            PROMOTED,
            ["rollback"],
            "rollback",
            "bbbbbbbbbb",
            "rollback iris: asked; revision aaaaaaaaaa (s3://models/iris/1) takes over as soon as it is ready",
        ),
    ],
)
def test_a_request_that_fits_is_written(ask, item, arguments, annotation, value, says):
    command, *options = arguments
    code, out, _, written = ask(item, command, "iris", *options)
    assert (code, out) == (0, says + "\n")
    by = "alice" if value else None
    assert written == [("iris", {f"mooring.dev/{annotation}": value, f"mooring.dev/{annotation}-by": by})]


def test_a_user_whom_nobody_knows_signs_nothing(ask):
    *_, written = ask(AWAITING, "approve", "iris", user="")
    # Nor is an older name left beside the command.
    assert written == [("iris", {"mooring.dev/approve": "bbbbbbbbbb/2", "mooring.dev/approve-by": None})]


@pytest.mark.parametrize(
    ("item", "command", "says"),
    [
        (CANARY, "approve", "error: iris: nothing awaits approval (Canary: stays at 10%)"),
        (CANARY, "approve", "hint: mooring promote iris skips the steps that are left"),
        (HELD, "approve", "hint: it is paused by hand: mooring resume iris"),
        (PROMOTED, "promote", "error: iris: nothing is on its way to be promoted"),
        (FIRST, "promote", "error: iris: this is the first revision: it has no steps to skip"),
        (PROMOTED, "abort", "error: iris: nothing is on its way that could be aborted"),
        (
            RETURNING,
            "abort",
            "error: iris: revision bbbbbbbbbb is coming back by a rollback, which goes to its end",
        ),
        (PROMOTED, "retry", "error: iris: no revision was rejected"),
        (FIRST, "pause", "error: iris: this is the first revision: it has no steps to pause between"),
        (ENDING, "promote", "error: iris: it has taken its last step: there are none left to skip"),
        (ENDING, "pause", "error: iris: it has taken its last step: there are none left to pause between"),
        (
            STALLED,
            "promote",
            "error: iris: what is asked for cannot be carried out (Pending: there is no variant c)",
        ),
        (STALLED, "promote", "hint: correct what it names first"),
        (CANARY, "resume", "error: iris: it was not paused by hand"),
        (AWAITING, "resume", "hint: it waits for an approval: mooring approve iris"),
        (CANARY, "rollback", "error: iris: no revision was promoted before the one that serves"),
        (RETURNING, "rollback", "error: iris: revision aaaaaaaaaa is coming back already"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(ask, item, command, says):
    code, out, err, written = ask(item, command, "iris")
    assert (code, out, written) == (1, "", [])
    assert says in err


def test_a_deployment_that_does_not_exist(ask):
    code, _, err, _ = ask(PROMOTED, "approve", "rose")
    assert code == 2
    assert err == "error: ModelDeployment rose does not exist in namespace ml\n"


@pytest.mark.parametrize(
    ("command", "item", "end", "expected"),
    [
        ("approve", AWAITING, PROMOTED, 0),
        ("approve", AWAITING, REJECTED, 1),
        ("pause", CANARY, HELD, 0),
        ("abort", CANARY, deployment("RolledBack", "Aborted", "aborted", stable=STABLE), 0),
        ("abort", CANARY, PROMOTED, 1),
        ("rollback", PROMOTED, deployment("RolledBack", "RollbackRequested", "went back", stable=STABLE), 0),
    ],
)
def test_waiting_ends_with_what_became_of_it(ask, command, item, end, expected):
    # The answer to the write still has the phase from before: the annotation says that it does not count.
    before = {
        **item,
        "metadata": {**item["metadata"], "annotations": {f"mooring.dev/{command}": "bbbbbbbbbb"}},
    }
    code, *_ = ask(before, command, "iris", "--wait", later=[before, end])
    assert code == expected
