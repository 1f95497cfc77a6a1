"""Whoever has a DriftMonitor roll back must be allowed to roll back: on a real API server with real roles."""

from dataclasses import dataclass

import pytest

from tests.cluster.people import (
    ARGO,
    Thing,
    bind,
    install_people,
    outcome,
    policies,
    wait_until_allowed,
    wait_until_refused,
)

NAMESPACE = "mooring-drift"
BARE = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "DriftMonitor",
    "metadata": {"name": "iris-traffic"},
    "spec": {"target": {"name": "iris"}, "baseline": {"uri": "s3://d/a"}, "window": {"uri": "s3://d/b/"}},
}
ACTS = {"actions": ["Rollback"]}
OPERATION = {"operation": {"actions": ["Abort"]}, "window": None}


@pytest.fixture(scope="module")
def monitor(control_plane):
    """A DriftMonitor that everybody may try to write, with the policies in force."""
    api = control_plane.api
    install_people(api, NAMESPACE)
    for role in ("mooring-edit", "rolls-back-rose"):
        bind(api, NAMESPACE, "gerd", role)
    rule = {"apiGroups": ["mooring.dev"], "resources": ["modeldeployments"], "resourceNames": ["rose"]}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "rolls-back-rose"},
    }
    api.apply({**role, "rules": [{**rule, "verbs": ["rollback"]}]})
    thing = Thing(api, NAMESPACE, BARE)
    rose = {"spec": {**ACTS, "target": {"name": "rose"}}}
    with policies(api):
        wait_until_allowed(lambda: thing.create("dora", {"spec": ACTS}, dry=True))
        wait_until_refused(lambda: thing.create("alice", {"spec": ACTS}, dry=True), "may not roll back")
        wait_until_allowed(lambda: thing.create("gerd", rose, dry=True))
        yield thing
        api.delete(thing.path)
    wait_until_allowed(lambda: thing.create("alice", {"spec": ACTS}, dry=True))


@dataclass(frozen=True)
class Try:
    """Who writes what over which spec; whether it is refused."""

    who: str
    spec: dict
    before: dict | None = None
    refused: bool = False


TRIES = {
    "made-by-editor": Try("alice", ACTS, refused=True),
    "made-by-argo": Try(ARGO, ACTS, refused=True),
    "made-by-lead": Try("dora", ACTS),
    "pause-by-editor": Try("alice", {"actions": ["Pause"]}, refused=True),
    "pause-by-lead": Try("dora", {"actions": ["Pause"]}),
    "abort-by-editor": Try("alice", {"actions": ["Abort"]}, refused=True),
    "abort-by-lead": Try("dora", {"actions": ["Abort"]}),
    # Whatever asks for it.
    "of-performance-by-editor": Try("alice", {"performance": ACTS}, refused=True),
    "of-performance-by-lead": Try("dora", {"performance": ACTS}),
    "of-operation-by-editor": Try("alice", OPERATION, refused=True),
    "of-operation-by-lead": Try("dora", OPERATION),
    "performance-alone-by-editor": Try("alice", {"performance": {}}),
    # Who may roll back this one may do no more with it.
    "pause-of-own-by-gerd": Try("gerd", {"actions": ["Pause"], "target": {"name": "rose"}}, refused=True),
    "made-without-by-editor": Try("alice", {}),
    "added-by-editor": Try("alice", ACTS, {}, refused=True),
    "added-by-lead": Try("dora", ACTS, {}),
    # What decides whether it acts is as good as acting.
    "threshold-by-editor": Try("alice", {"detectors": {"psi": {"threshold": 0.001}}}, ACTS, refused=True),
    "window-by-editor": Try("alice", {"window": {"uri": "s3://mine/"}}, ACTS, refused=True),
    "other-target-by-editor": Try("alice", {"target": {"name": "rose"}}, ACTS, refused=True),
    "window-by-lead": Try("dora", {"window": {"uri": "s3://mine/"}}, ACTS),
    # A monitor that does nothing, and one that is made to, is the editor's.
    "window-of-a-watcher-by-editor": Try("alice", {"window": {"uri": "s3://mine/"}}, {}),
    "taken-out-by-editor": Try("alice", {"actions": None}, ACTS),
    "emptied-by-editor": Try("alice", {"actions": []}, ACTS),
    # The verb on one deployment is none on another.
    "own-target-by-gerd": Try("gerd", {**ACTS, "target": {"name": "rose"}}),
    "foreign-target-by-gerd": Try("gerd", ACTS, refused=True),
    "moved-to-own-by-gerd": Try("gerd", {"target": {"name": "rose"}}, ACTS),
    "moved-to-foreign-by-gerd": Try(
        "gerd", {"target": {"name": "iris"}}, {**ACTS, "target": {"name": "rose"}}, True
    ),
}


@pytest.mark.parametrize("one", TRIES.values(), ids=TRIES)
def test_who_may_have_it_roll_back(monitor, one):
    if one.before is None:
        said = outcome(lambda: monitor.create(one.who, {"spec": one.spec}))
    else:
        monitor.start_from(spec=one.before)
        said = outcome(lambda: monitor.change(one.who, {"spec": one.spec}))
    target = one.spec.get("target", {"name": "iris"})["name"]
    whole = {**(one.before or {}), **one.spec}
    parts = [whole, whole.get("performance", {}), whole.get("operation", {})]
    [action] = next((part["actions"] for part in parts if part.get("actions")), ["Rollback"])
    verb = {"Rollback": "roll back", "Pause": "pause a rollout of", "Abort": "abort a rollout of"}[action]
    says = f"actions: {action}: {one.who} may not {verb} ModelDeployment {target} in namespace {NAMESPACE}"
    assert says in said if one.refused else said == ""


def test_labels_of_a_monitor_that_acts_are_the_editors(monitor):
    monitor.start_from(spec=ACTS)
    for way in ("merge", "apply", "json", "update"):
        assert (
            outcome(lambda way=way: monitor.change("alice", {"metadata": {"labels": {"a": way}}}, way=way))
            == ""
        )
