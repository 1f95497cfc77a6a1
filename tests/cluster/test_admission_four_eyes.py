"""Who asked for a revision, and who else approves it: on a real API server with real roles."""

from dataclasses import dataclass, field

import pytest

from tests.cluster.people import (
    ARGO,
    Thing,
    annotations,
    install_people,
    outcome,
    policies,
    wait_until_allowed,
    wait_until_in_force,
    wait_until_refused,
)
from tests.operator.objects import merge
from tests.unit.cli_world import CANDIDATE

NAMESPACE = "mooring-four-eyes"
WAYS = ("merge", "json", "apply", "update")
ELSE, ANYONE = {"approve": {"by": "SomeoneElse"}}, {"approve": {}}
STEPS = [{"setWeight": 10}, ELSE, {"setWeight": 50}, ANYONE, {"setWeight": 100}]
FREE = {"rollout": {"steps": [{"setWeight": 10}, {"setWeight": 100}]}}
IRIS = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "iris"},
    "spec": {"model": {"uri": "s3://m/iris/1", "format": "onnx"}, "rollout": {"steps": STEPS}},
}
V2 = {"spec": {"model": {"uri": "s3://m/iris/2"}}}
SERVING = {"spec": {"serving": {"maxReplicas": 3}}}
ELSEWHERE = {"spec": {"historyLimit": 3}}


@pytest.fixture(scope="module")
def things(control_plane):
    """A ModelDeployment that everybody may try to write, and one that nobody is noted for."""
    api = control_plane.api
    install_people(api, NAMESPACE)
    iris = Thing(api, NAMESPACE, IRIS)
    old = Thing(api, NAMESPACE, {**IRIS, "metadata": {"name": "old"}})
    wait_until_allowed(old.start_from)
    with policies(api):
        wait_until_in_force(api, NAMESPACE)
        for user in ("alice", "dora", ARGO):
            wait_until_allowed(lambda user=user: iris.create(user, annotations(requested_by=user), dry=True))
        for user in ("bob", "carol"):
            wait_until_allowed(lambda user=user: old.change(user, {}, dry=True))
        wait_until_refused(lambda: iris.create("alice", {}, dry=True), "say who asks for the revision")
        yield iris, old
        for thing in (iris, old):
            api.delete(thing.path)
    wait_until_allowed(lambda: iris.create("alice", {}, dry=True))


# --- who asked


CREATIONS = {
    "nameless": ("alice", {}, "say who asks for the revision, annotation mooring.dev/requested-by: alice"),
    "named": ("alice", annotations(requested_by="alice"), ""),
    "borrowed": (
        "alice",
        annotations(requested_by="dora"),
        "must say who changes spec.model or spec.serving: alice",
    ),
    "argo": (ARGO, annotations(requested_by=ARGO), ""),
    "argo-for-alice": (ARGO, annotations(requested_by="alice"), f"spec.serving: {ARGO}, not alice"),
    "nameless-where-anyone-approves": ("alice", {"spec": FREE}, ""),
    "borrowed-where-anyone-approves": (
        "alice",
        {"spec": FREE, **annotations(requested_by="dora")},
        "not dora",
    ),
}


@pytest.mark.parametrize(("who", "patch", "says"), CREATIONS.values(), ids=CREATIONS)
def test_who_asks_is_noted_when_it_is_made(things, who, patch, says):
    said = outcome(lambda: things[0].create(who, patch))
    assert says in said if says else said == ""


@dataclass(frozen=True)
class Try:
    """Who changes what of alice's revision, and with which words that is refused."""

    who: str
    patch: dict
    says: str = ""
    start: dict = field(default_factory=lambda: {"by": "alice"})
    ways: tuple = WAYS


def both(*patches):
    """One patch that does what several do."""
    whole = {}
    for patch in patches:
        whole = merge(whole, patch, keep_null=True)
    return whole


MUST, STAYS = (
    "must say who changes spec.model or spec.serving: ",
    "stays alice until spec.model or spec.serving changes",
)
REVISIONS = {
    "own": Try("alice", V2),
    "others": Try("dora", V2, f"{MUST}dora, not alice"),
    "others-serving": Try("dora", SERVING, f"{MUST}dora, not alice"),
    "others-named": Try("dora", both(V2, annotations(requested_by="dora"))),
    "own-for-another": Try("alice", both(V2, annotations(requested_by="dora")), f"{MUST}alice, not dora"),
    "argo": Try(ARGO, both(V2, annotations(requested_by=ARGO))),
    "elsewhere": Try("dora", ELSEWHERE),
    # Taking over what another has asked for would let that other approve it.
    "taken-over": Try("dora", annotations(requested_by="dora"), STAYS),
    "taken-over-elsewhere": Try("dora", both(ELSEWHERE, annotations(requested_by="dora")), STAYS),
    "removed": Try("dora", annotations(requested_by=None), STAYS, ways=("merge", "json", "update")),
    "removed-by-requester": Try("alice", annotations(requested_by=None), STAYS, ways=("merge",)),
    "removed-with-a-revision": Try(
        "alice", both(V2, annotations(requested_by=None)), "say who asks", ways=("merge", "json", "update")
    ),
    "four-eyes-from-now-on": Try(
        "alice", {"spec": {"rollout": {"steps": STEPS}}}, "say who asks", {"spec": FREE}
    ),
    "four-eyes-from-now-on-named": Try(
        "alice",
        both({"spec": {"rollout": {"steps": STEPS}}}, annotations(requested_by="alice")),
        "",
        {"spec": FREE},
    ),
}


@pytest.mark.parametrize(
    ("one", "way"),
    [pytest.param(one, way, id=f"{name}-{way}") for name, one in REVISIONS.items() for way in one.ways],
)
def test_who_asks_is_noted_when_the_revision_changes(things, one, way):
    things[0].start_from(**one.start)
    said = outcome(lambda: things[0].change(one.who, one.patch, way=way))
    assert one.says in said if one.says else said == ""


# --- who approves


def approve(by, value="bbbbbbbbbb", command="approve"):
    return annotations(**{command: value, f"{command}_by": by})


OWN, NOBODY = "dora asked for this revision", "nobody is noted as that"


@dataclass(frozen=True)
class Approval:
    """Who approves, or promotes, the revision that dora asked for, at a step; and the words of refusal."""

    who: str
    patch: dict
    says: str = ""
    step: int = 1
    requested_by: str | None = "dora"
    annotated: str = "dora"


APPROVALS = {
    "own": Approval("dora", approve("dora"), OWN),
    "anothers": Approval("bob", approve("bob")),
    "own-as-another": Approval("dora", approve("bob"), "must say who asks: dora"),
    "anothers-as-requester": Approval("bob", approve("dora"), "must say who asks: bob"),
    "own-of-the-step": Approval("dora", approve("dora", "bbbbbbbbbb/1"), OWN),
    "own-where-anyone-may": Approval("dora", approve("dora"), step=3),
    "own-of-the-step-where-anyone-may": Approval("dora", approve("dora", "bbbbbbbbbb/3 note/9"), step=3),
    "own-of-an-earlier-step": Approval("dora", approve("dora", "bbbbbbbbbb/1"), OWN, step=3),
    # Given before it is waited for, it could be used at any step that comes.
    "own-ahead": Approval("dora", approve("dora"), OWN, step=0),
    "own-behind-the-last": Approval("dora", approve("dora", "bbbbbbbbbb/99"), OWN),
    "own-of-no-step": Approval("dora", approve("dora", "bbbbbbbbbb/x"), OWN),
    "own-promotion": Approval("dora", approve("dora", command="promote"), "to promote skips an approval"),
    "anothers-promotion": Approval("carol", approve("carol", command="promote")),
    "own-abortion": Approval("dora", approve("dora", command="abort")),
    "own-pause": Approval("dora", approve("dora", command="pause")),
    # What the operator took up counts; the annotation where it has not said, as after an upgrade.
    "own-after-the-spec-went-on": Approval("dora", approve("dora"), OWN, annotated="alice"),
    "anothers-before-the-spec-went-on": Approval("dora", approve("dora"), requested_by="alice"),
    "own-not-taken-up": Approval("dora", approve("dora"), OWN, requested_by=None),
    "together-with-a-revision": Approval("dora", both(V2, approve("dora")), OWN),
}


@pytest.mark.parametrize("one", APPROVALS.values(), ids=APPROVALS)
def test_who_approves(things, one):
    noted = {} if one.requested_by is None else {"requestedBy": one.requested_by}
    things[0].start_from(by=one.annotated, status={"candidate": {**CANDIDATE, "step": one.step, **noted}})
    said = outcome(lambda: things[0].change(one.who, one.patch))
    assert one.says in said if one.says else said == ""


AHEAD = {"rollout": {"steps": [ELSE, {"setWeight": 50}, ANYONE, {"setWeight": 100}], "strategy": "Shadow"}}
SWITCH = [ELSE, {"setWeight": 100}, ANYONE]
STAGES = {
    # The strategy's own two stages come first: what is shadowed, or tried out, ends by anybody's approval.
    "shadow-own": (AHEAD, 2, "/2", OWN),
    "shadow-own-where-anyone-may": (AHEAD, 4, "/4", ""),
    "shadow-own-of-the-copies": (AHEAD, 1, "/1", ""),
    "shadow-own-ahead": (AHEAD, 1, "", OWN),
    "trial-own": ({"rollout": {"strategy": "ABTest", "abTest": {}, "steps": SWITCH}}, 2, "/2", OWN),
    "trial-own-of-the-trial": (
        {"rollout": {"strategy": "ABTest", "abTest": {}, "steps": SWITCH}},
        1,
        "/1",
        "",
    ),
    "preview-own": ({"rollout": {"strategy": "BlueGreen", "steps": SWITCH}}, 1, "/1", OWN),
    "gap-own": ({"rollout": {"strategy": "Recreate", "steps": SWITCH}}, 0, "/0", OWN),
    "gap-own-where-anyone-may": ({"rollout": {"strategy": "Recreate", "steps": SWITCH}}, 2, "/2", ""),
}


@pytest.mark.parametrize(("spec", "step", "of", "says"), STAGES.values(), ids=STAGES)
def test_who_approves_stages_of_a_strategy(things, spec, step, of, says):
    candidate = {**CANDIDATE, "step": step, "requestedBy": "dora"}
    things[0].start_from(by="dora", spec=spec, status={"candidate": candidate})
    said = outcome(lambda: things[0].change("dora", approve("dora", f"bbbbbbbbbb{of}")))
    assert says in said if says else said == ""


def test_a_status_in_the_request_says_nothing_of_who_asked(things):
    iris = things[0]
    candidate = {**CANDIDATE, "step": 1, "requestedBy": "alice"}
    claims = both(approve("dora"), {"status": {"candidate": candidate}})
    iris.start_from(by="dora", status={"candidate": {**candidate, "requestedBy": "dora"}})
    for way in ("merge", "update"):
        assert OWN in outcome(lambda way=way: iris.change("dora", claims, way=way))
    assert OWN in outcome(lambda: iris.create("dora", both(claims, annotations(requested_by="dora"))))


def test_what_nobody_is_noted_for_can_be_edited_and_claimed_but_not_approved(things):
    old = things[1]
    assert outcome(lambda: old.change("alice", {"metadata": {"labels": {"a": "b"}}})) == ""
    assert outcome(lambda: old.change("alice", ELSEWHERE)) == ""
    assert NOBODY in outcome(lambda: old.change("bob", approve("bob")))
    assert NOBODY in outcome(lambda: old.change("carol", approve("carol", command="promote")))
    assert "must say who changes" in outcome(lambda: old.change("alice", annotations(requested_by="bob")))
    assert outcome(lambda: old.change("alice", annotations(requested_by="alice"))) == ""
    assert outcome(lambda: old.change("bob", approve("bob"))) == ""
