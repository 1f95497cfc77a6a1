"""Whose approvals count, and who is named for what they asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api.names import COMMANDS
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.situation import Resolved

from tests.unit.operator.planning.world import CI, World, spec_of

ELSE = {"approve": {"by": "SomeoneElse"}}
LONGEST = f"system:serviceaccount:{'n' * 63}:{'a' * 253}"
STEPS = [{"setWeight": 10}, ELSE, {"setWeight": 100}]


def rolling(steps, requested_by="alice"):
    """A world in which alice's v2 is on its way to take over from v1."""
    world = World(spec_of("v1", rollout={"steps": steps}))
    world.settle()
    world.requested_by = requested_by
    world.apply(spec_of("v2", rollout={"steps": steps}))
    return world


def waiting(steps=STEPS, **world):
    """Such a world, as far as it gets by itself."""
    started = rolling(steps, **world)
    started.settle()
    assert started.status.phase == "AwaitingApproval"
    started.actions.clear()
    return started


def told(world, reason):
    return [
        action.message for action in world.actions if isinstance(action, Notify) and action.reason == reason
    ]


def test_someone_elses_approval_counts_and_is_noted():
    world = waiting()
    assert world.status.candidate.requested_by == "alice"
    world.command("approve", "compared the error rates", by="bob")
    world.settle()
    assert world.status.phase == "Promoted"
    assert told(world, "Approved") == [
        f"revision {world.status.stable.revision} was approved by bob at 10% of traffic: compared the error rates"
    ]
    ended = world.status.history[0]
    assert (ended.requested_by, ended.approved_by) == ("alice", "bob")


def test_while_the_rollout_goes_on_status_says_who_approved():
    world = waiting(
        [{"setWeight": 10}, {"approve": {}}, {"setWeight": 20}, {"approve": {}}, {"setWeight": 100}]
    )
    for approver, noted in (("bob", ["bob"]), ("carol", ["bob", "carol"])):
        world.command("approve", by=approver)
        world.settle()
        if world.status.candidate is not None:
            assert world.status.candidate.approved_by == noted
    assert world.status.history[0].approved_by == "bob, carol"


@pytest.mark.parametrize(
    ("requester", "approver", "says"),
    [
        ("alice", "alice", "approve; that was alice"),
        ("", "bob", "nobody is noted as that (annotation mooring.dev/requested-by)"),
        ("alice", "", "nobody is noted as who gives it (annotation mooring.dev/approve-by)"),
        ("", "", "nobody is noted as that"),
        # Names that look the same to people are the same.
        ("alice\x00", " alice", "that was alice"),
        (LONGEST, LONGEST, f"that was {LONGEST}"),
    ],
)
def test_an_approval_that_is_not_someone_elses_is_dropped(requester, approver, says):
    world = waiting(requested_by=requester)
    world.command("approve", by=approver)
    world.settle()
    assert (world.status.phase, world.status.candidate.step) == ("AwaitingApproval", 1)
    assert world.commands == {}
    (message,) = told(world, "ApprovalRefused")
    assert message.startswith(f"approve of {world.status.candidate.revision}: ")
    assert says in message
    assert all(action.type == "Warning" for action in world.actions if isinstance(action, Notify))


def test_where_anyone_may_approve_the_requester_may():
    world = waiting([{"setWeight": 10}, {"approve": {"by": "Anyone"}}, {"setWeight": 100}])
    world.command("approve", by="alice")
    world.settle()
    assert (world.status.phase, world.status.history[0].approved_by) == ("Promoted", "alice")


def test_an_approval_that_is_given_early_is_judged_where_it_is_used():
    world = rolling(STEPS)
    world.step()
    assert world.status.candidate.step == 0
    world.command("approve", by="alice")
    world.settle()
    assert (world.status.phase, world.commands) == ("AwaitingApproval", {})
    assert told(world, "ApprovalRefused")


def test_an_own_promotion_does_not_skip_it():
    world = waiting()
    world.command("promote", by="alice")
    world.settle()
    assert (world.status.phase, world.commands) == ("AwaitingApproval", {})
    (message,) = told(world, "ApprovalRefused")
    assert message.startswith("promote of ")
    world.command("promote", by="carol")
    world.settle()
    assert world.status.phase == "Promoted"


def test_an_own_promotion_skips_what_is_left_once_someone_else_has_approved():
    steps = [{"setWeight": 10}, ELSE, {"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
    world = waiting(steps)
    world.command("approve", by="bob")
    world.settle()
    assert world.status.phase == "Paused"
    world.command("promote", by="alice")
    world.settle()
    assert world.status.phase == "Promoted"


def test_who_asked_is_who_asked_when_the_revision_was_taken_up():
    world = waiting()
    world.requested_by = "carol"
    world.command("approve", by="alice")
    world.settle()
    assert world.status.phase == "AwaitingApproval"
    assert told(world, "ApprovalRefused")


@given(st.lists(st.tuples(st.sampled_from(COMMANDS), st.sampled_from(["", "/0", "/1", "/2"])), max_size=6))
def test_whatever_the_requester_asks_nothing_passes_a_step_for_someone_else(requests):
    world = rolling([{"setWeight": 10}, {"pause": {"duration": "1m"}}, ELSE, {"setWeight": 100}])
    stable = world.status.stable.revision
    for command, step in requests:
        world.command(command, by="alice")
        world.commands[command] += step
        world.settle()
    assert world.status.stable.revision == stable
    assert max([weight for _, weight in world.weights_seen], default=0) <= 10


def test_who_paused_aborted_and_rolled_back_is_named_before_their_words():
    world = rolling(STEPS)
    world.step()
    world.command("pause", "error budget\nspent", by="carol")
    world.settle()
    assert world.status.message.endswith("is held by carol at 10% of traffic: error budget spent")
    world.command("abort", "by alice", by="carol")
    world.settle()
    assert "was aborted by carol: by alice; " in world.status.message
    world = waiting()
    world.command("approve", by="bob")
    world.settle()
    world.command("rollback", "complaints", by="carol")
    world.settle()
    assert world.status.message.endswith(": asked for by carol: complaints")


def test_long_and_unprintable_words_do_not_reach_status():
    world = waiting()
    world.command("approve", "\x1b[2J" + "word " * 1000, by="bob" * 1000)
    world.step()
    assert world.status.message.isprintable()
    assert len(world.status.message) < 1200


def at(address, digest="sha256:" + "d" * 64, **fields):
    """A spec whose author says what is at the address."""
    spec = spec_of("v1", **fields)
    return spec.model_copy(
        update={"model": spec.model.model_copy(update={"uri": address, "digest": digest})}
    ), Resolved(address, digest)


def test_an_approval_is_not_for_another_address_that_the_spec_had_before():
    world = rolling(STEPS)
    spec, world.model = at("s3://m/hostile", rollout={"steps": STEPS})
    world.apply(spec)
    world.settle()
    assert world.status.candidate.storage_uri == "s3://m/hostile"
    # The same revision by the digest that is claimed, and what people read when they approve.
    spec, world.model = at("s3://m/good", rollout={"steps": STEPS})
    world.apply(spec)
    world.command("approve", by="bob")
    world.settle()
    assert world.status.phase == "AwaitingApproval"
    assert world.status.candidate.storage_uri == "s3://m/good"
    assert world.status.candidate.approved_by == []
    world.command("approve", by="bob")
    world.settle()
    assert (world.status.phase, world.status.stable.storage_uri) == ("Promoted", "s3://m/good")
    assert world.served[0].storage_uri == "s3://m/good"


def test_what_was_found_at_an_address_is_no_answer_for_another():
    """Or whoever claims the digest of a model that was tested serves one that was not."""
    world = World(spec_of("v1"))
    for address in ("s3://m/good", "s3://m/other", "s3://m/hostile"):
        digest = "sha256:" + ("e" if address.endswith("other") else "d") * 64
        spec, world.model = at(address, digest, ci=CI)
        world.apply(spec)
        world.step()
        assert world.status.phase == "Testing"
        tested = world.runs[world.status.ci.run_id]
        assert tested == address
        world.settle()
    assert len(world.launched) == len(set(world.launched)) == 3
