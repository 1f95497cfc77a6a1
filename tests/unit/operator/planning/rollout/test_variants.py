"""An A/B test of more than two revisions: kept ones answer beside the stable and the new one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.routes import Traits
from mooring_operator.planning.routing import Rule

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.fleet import promoted as promoted_by
from tests.unit.operator.planning.world import spec_of

MANY = Traits(
    "Flows", 40, serves_each=True, mirrors=True, matches=True, sticks=True, previews=True, splits_many=True
)
SERVING = {"minReplicas": 2}
LIMIT = {"revisionHistoryLimit": 3}


def kept(limit: int = 3, router: Traits = MANY) -> Fleet:
    """A fleet that has promoted v1, v2 and v3, and keeps the first two without pods."""
    fields = {"serving": SERVING, "revisionHistoryLimit": limit}
    fleet = promoted_by("v1", **fields)
    fleet.router = router
    for model in ("v2", "v3"):
        fleet.apply(spec_of(model, **fields))
        fleet.settle(limit=300)
    pass_time(fleet, 300)
    fleet.carried_out.clear()
    fleet.actions.clear()
    return fleet


def of(fleet: Fleet, model: str) -> str:
    """The revision of a model."""
    status = fleet.status
    known = [status.stable, status.candidate, *status.retained]
    return next(one.revision for one in known if one is not None and one.storage_uri == f"s3://m/{model}")


def b_and_c(fleet: Fleet, **test: Any) -> dict[str, Any]:
    """A test of v4 at 20%, of v1 as variant b at 30%, and of v2 as c."""
    variants = [
        {"name": "b", "revision": of(fleet, "v1"), "weight": 30},
        {"name": "c", "revision": of(fleet, "v2")},
    ]
    matches = [{"header": "X-Group", "value": "c", "to": "c"}, {"header": "X-Group", "value": "new"}]
    return {"weight": 20, "variants": variants, "matches": matches, **test}


def begin(fleet: Fleet, test: dict[str, Any], **rollout: Any) -> None:
    fleet.apply(
        spec_of("v4", rollout={"strategy": "ABTest", "abTest": test, **rollout}, serving=SERVING, **LIMIT)
    )
    pass_time(fleet, 0, steps=20)


def pass_time(fleet: Fleet, seconds: int, steps: int = 8) -> None:
    fleet.now += timedelta(seconds=seconds)
    for _ in range(steps):
        fleet.step()
        fleet.now += timedelta(seconds=1)


def condition(fleet: Fleet) -> tuple[str, str, str] | None:
    return next(
        ((c.status, c.reason, c.message) for c in fleet.status.conditions if c.type == "VariantsReady"), None
    )


def test_four_revisions_answer_side_by_side():
    fleet = kept()
    begin(fleet, b_and_c(fleet, sticky="arm"))
    assert fleet.weights() == {"v3": 50, "v4": 20, "v1": 30}
    assert fleet.running() == {"v1": 2, "v2": 2, "v3": 2, "v4": 2}
    assert fleet.routing.sticky == "arm"
    c, new = Rule(of(fleet, "v2"), "c", header="X-Group"), Rule(of(fleet, "v4"), "new", header="X-Group")
    assert fleet.routing.rules == (c, new)
    assert (fleet.status.reason, condition(fleet)) == ("AwaitingApproval", None)
    assert f"variant b ({of(fleet, 'v1')}) and variant c" in fleet.status.message
    told = {
        fleet.model_of(known.revision): (known.variant, known.weight, known.routed)
        for known in fleet.status.retained
    }
    assert told == {"v1": ("b", 30, 30), "v2": ("c", 0, 0)}


def test_a_variant_has_its_pods_before_it_gets_requests():
    fleet = kept()
    begin(fleet, b_and_c(fleet))
    for routing, pods in fleet.carried_out:
        for arm in routing.arms:
            assert 100 * pods.get(arm.revision.revision, 0) >= arm.weight * 2
        for rule in routing.rules:
            assert pods.get(rule.revision) == 2


@pytest.mark.parametrize(
    ("decision", "phase", "reason", "stays"),
    [
        ("v4", "Promoted", "Promoted", "v4"),
        ("v3", "RolledBack", "Aborted", "v3"),
        ("v1", "RolledBack", "RollbackRequested", "v1"),
        ("v2", "RolledBack", "RollbackRequested", "v2"),
    ],
)
def test_any_of_them_can_win(decision, phase, reason, stays):
    fleet = kept()
    begin(fleet, b_and_c(fleet))
    arms = {model: of(fleet, model) for model in ("v1", "v2", "v3", "v4")}
    fleet.carried_out.clear()
    fleet.commands["promote"] = f"{arms[decision]} best"
    fleet.askers = {"promote": "ann"}
    fleet.settle(limit=100)
    pass_time(fleet, 60)
    assert (fleet.status.phase, fleet.status.reason, fleet.weights()) == (phase, reason, {stays: 100})
    assert {model for model, pods in fleet.running().items() if pods} == {stays}
    assert fleet.commands == {}
    assert fleet.status.stable.revision == arms[stays]
    if decision != "v4":
        assert fleet.status.failed_revision == arms["v4"]
        assert "best" in fleet.status.message
    # Nobody ever got more than its pods carry.
    for routing, pods in fleet.carried_out:
        for arm in routing.arms:
            assert 100 * pods.get(arm.revision.revision, 0) >= arm.weight * 2


def test_a_winner_that_does_not_come_up_takes_nothing_and_the_test_begins_anew():
    fleet = kept()
    begin(fleet, b_and_c(fleet), progressDeadline="1m")
    fleet.startable = {"s3://m/v1": False}
    pass_time(fleet, 0)
    fleet.commands["promote"], fleet.askers["promote"] = of(fleet, "v1"), "ann"
    pass_time(fleet, 0)
    assert (fleet.status.reason, fleet.weights()) == ("RollingBack", {"v3": 100})
    pass_time(fleet, 60, steps=90)
    assert (fleet.status.reason, fleet.weights()) == ("AwaitingApproval", {"v3": 80, "v4": 20})
    assert condition(fleet)[1] == "VariantNotReady"
    ended = [(entry.outcome, entry.reason) for entry in fleet.status.history[:2]]
    assert ended == [("Failed", "ProgressDeadlineExceeded"), ("Superseded", "RollbackRequested")]
    assert fleet.commands == {}


def test_variants_keep_their_pods_until_their_traffic_has_left():
    fleet = kept()
    begin(fleet, b_and_c(fleet), scaleDownDelay="30s")
    fleet.command("abort")
    fleet.step()
    fleet.step()
    assert fleet.weights() == {"v3": 100}
    pass_time(fleet, 0, steps=20)
    assert fleet.running() == {"v1": 1, "v2": 1, "v3": 2, "v4": 1}
    pass_time(fleet, 30)
    assert fleet.running() == {"v1": 0, "v2": 0, "v3": 2}
    assert [known.variant for known in fleet.status.retained] == [None, None]


def test_it_ends_at_its_time():
    fleet = kept()
    begin(fleet, b_and_c(fleet, duration="10m"))
    assert fleet.status.reason == "SideBySide"
    pass_time(fleet, 600)
    assert (fleet.status.reason, fleet.weights()) == ("TrialEnded", {"v3": 100})


def test_a_variant_that_dies_is_told_of_and_the_stable_revision_answers_for_it():
    fleet = kept()
    begin(fleet, b_and_c(fleet))
    b, c = of(fleet, "v1"), of(fleet, "v2")
    fleet.startable = {"s3://m/v1": False, "s3://m/v2": False}
    pass_time(fleet, 0)
    assert fleet.weights() == {"v3": 80, "v4": 20}
    stable, new = of(fleet, "v3"), of(fleet, "v4")
    assert fleet.routing.rules == (Rule(stable, "c", header="X-Group"), Rule(new, "new", header="X-Group"))
    status, reason, message = condition(fleet)
    assert (status, reason) == ("False", "VariantNotReady")
    assert f"variant b ({b}): 0 of 2 pods are ready: CrashLoopBackOff; variant c ({c})" in message
    told = [a.reason for a in fleet.actions if isinstance(a, Notify) and a.reason.startswith("Variant")]
    assert told == ["VariantNotReady"]
    fleet.startable = {}
    pass_time(fleet, 0)
    assert (condition(fleet), fleet.weights()) == (None, {"v3": 50, "v4": 20, "v1": 30})


def test_who_matches_stays_where_it_is_while_the_new_revision_lacks_pods():
    fleet = kept()
    begin(fleet, b_and_c(fleet, sticky="arm"))
    c, stable = of(fleet, "v2"), of(fleet, "v3")
    fleet.kill("candidate", 1)
    fleet.startable = {"s3://m/v4": False}
    pass_time(fleet, 0)
    assert fleet.weights() == {"v3": 70, "v1": 30}
    assert fleet.routing.rules == (Rule(c, "c", header="X-Group"), Rule(stable, "new", header="X-Group"))
    assert fleet.routing.sticky == "arm"


def test_a_variant_that_does_not_come_up_holds_the_test_up_for_progress_deadline_alone():
    fleet = kept()
    fleet.startable = {"s3://m/v1": False}
    begin(fleet, b_and_c(fleet, duration="10m"), progressDeadline="1m")
    assert fleet.status.reason == "SettingWeight"
    assert "waits for variant b" in fleet.status.message
    pass_time(fleet, 60)
    assert (fleet.status.reason, fleet.weights()) == ("SideBySide", {"v3": 80, "v4": 20})
    assert condition(fleet)[1] == "VariantNotReady"


@pytest.mark.parametrize(
    ("revision", "says"),
    [
        ("0123456789", "it is not kept, status.retained has"),
        ("v3", "it is the stable revision, which takes part as that"),
    ],
)
def test_a_revision_that_cannot_take_part_is_said_before_anything_moves(revision, says):
    fleet = kept()
    named = of(fleet, revision) if revision.startswith("v") else revision
    begin(fleet, {"variants": [{"name": "b", "revision": named, "weight": 9}]})
    assert (fleet.status.reason, fleet.weights(), fleet.running()["v3"]) == ("VariantUnknown", {"v3": 100}, 2)
    assert f"spec.rollout.abTest.variants[0].revision {named}: {says}" in condition(fleet)[2]
    assert {c.type: c.status for c in fleet.status.conditions}["Stalled"] == "True"
    assert not fleet.status.candidate.runs


def test_the_new_revision_is_no_variant():
    fleet = kept()
    fleet.apply(
        spec_of(
            "v4",
            rollout={"steps": [{"setWeight": 5}, {"approve": {}}, {"setWeight": 100}]},
            serving=SERVING,
            **LIMIT,
        )
    )
    fleet.settle()
    new = of(fleet, "v4")
    begin(fleet, {"variants": [{"name": "b", "revision": new, "weight": 9}]})
    assert condition(fleet)[1] == "VariantUnknown"
    assert fleet.weights() == {"v3": 50, "v4": 50}


def test_a_variant_that_is_taken_out_of_a_test_that_goes_on_leaves_alone():
    fleet = kept()
    asked = b_and_c(fleet)
    begin(fleet, asked)
    begin(fleet, {**asked, "variants": asked["variants"][1:]})
    assert (fleet.status.reason, fleet.weights()) == ("AwaitingApproval", {"v3": 80, "v4": 20})


def test_a_test_can_be_decided_in_the_spec():
    fleet = kept()
    asked = b_and_c(fleet)
    begin(fleet, asked)
    fleet.apply(spec_of("v1", rollout={"strategy": "ABTest", "abTest": asked}, serving=SERVING, **LIMIT))
    fleet.settle(limit=100)
    pass_time(fleet, 60)
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v1": 100})
    assert condition(fleet) is None


def test_a_freeze_holds_the_promotion_of_a_variant():
    fleet = kept()
    asked = b_and_c(fleet)
    begin(fleet, asked)
    today = f"{fleet.now:%Y-%m-%d}"
    begin(fleet, asked, freeze=[{"start": today, "end": today}])
    fleet.commands["promote"] = of(fleet, "v1")
    pass_time(fleet, 0)
    assert (fleet.status.reason, fleet.weights()) == ("Frozen", {"v3": 50, "v4": 20, "v1": 30})
    pass_time(fleet, 86_400, steps=30)
    assert fleet.weights() == {"v1": 100}


def test_a_revision_that_was_rejected_is_no_variant():
    fleet = kept()
    steps = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 100}]
    fleet.apply(spec_of("v5", rollout={"steps": steps}, serving=SERVING, **LIMIT))
    pass_time(fleet, 0)
    rejected = of(fleet, "v5")
    fleet.command("abort")
    begin(fleet, {"weight": 20, "variants": [{"name": "b", "revision": rejected, "weight": 30}]})
    assert rejected in [known.revision for known in fleet.status.retained if known.rejected]
    assert (fleet.status.reason, fleet.weights()) == ("VariantUnknown", {"v3": 100})
    assert f"{rejected}: it is not kept" in fleet.status.message


def test_a_router_that_splits_between_two_says_so():
    fleet = kept(router=replace(MANY, splits_many=False))
    begin(fleet, b_and_c(fleet))
    [router] = [c for c in fleet.status.conditions if c.type == "RouterReady"]
    assert (router.status, router.reason) == ("False", "UnsupportedByRouter")
    assert "spec.rollout.abTest.variants" in router.message
    assert "split traffic between more than two revisions" in router.message
    assert fleet.weights() == {"v3": 100}


def test_variants_stay_where_history_keeps_no_more():
    fleet = kept()
    asked = b_and_c(fleet)
    begin(fleet, asked)
    fleet.apply(
        spec_of(
            "v4", rollout={"strategy": "ABTest", "abTest": asked}, serving=SERVING, revisionHistoryLimit=0
        )
    )
    pass_time(fleet, 60)
    assert fleet.weights() == {"v3": 50, "v4": 20, "v1": 30}
    fleet.command("abort")
    pass_time(fleet, 0)
    pass_time(fleet, 60)
    assert (fleet.weights(), fleet.status.retained) == ({"v3": 100}, [])
