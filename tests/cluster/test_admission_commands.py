"""Who may give commands: every verb, by every way of writing, on a real API server with real roles."""

import subprocess
from dataclasses import dataclass, field

import pytest
from mooring_operator.api.names import COMMANDS

from cluster.kubeconfig import write_kubeconfig
from tests.cluster.people import (
    ARGO,
    OPERATOR,
    RBAC,
    Thing,
    annotations,
    bind,
    install_people,
    outcome,
    policies,
    wait_until_allowed,
    wait_until_refused,
)
from tests.cluster.rollout_steps import make_namespace
from tests.unit.cli_world import CANDIDATE, STABLE, invoke

NAMESPACE = "mooring-commands"
WAYS = ("merge", "json", "apply", "update")
OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "6d6f6f72-696e-4067-8000-6d6f6f72696e"}
IRIS = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "iris"},
    "spec": {
        "model": {"uri": "s3://m/iris/1", "format": "onnx"},
        "rollout": {"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]},
    },
}


@pytest.fixture(scope="module")
def iris(control_plane):
    """A ModelDeployment that everybody may try to steer, with the policies in force."""
    api = control_plane.api
    install_people(api, NAMESPACE)
    thing = Thing(api, NAMESPACE, IRIS)
    with policies(api):
        thing.start_from()
        wait_until_allowed(lambda: thing.change("alice", {"metadata": {"labels": {"a": "b"}}}, dry=True))
        wait_until_allowed(lambda: thing.change("bob", {}, dry=True))
        wait_until_allowed(lambda: thing.change("carol", {}, dry=True))
        wait_until_refused(
            lambda: thing.change("alice", annotations(approve="r"), dry=True), "may not approve"
        )
        yield thing
        api.delete(thing.path)
    wait_until_allowed(lambda: thing.create("alice", annotations(approve="r"), dry=True))


def given(command, by):
    """The patch with which a user gives a command."""
    return annotations(**{command: "r", f"{command}_by": by})


@dataclass(frozen=True)
class Try:
    """Who changes what, starting from which commands, and with which words that is refused."""

    who: str
    patch: dict
    refused: str = ""
    start: dict = field(default_factory=dict)
    ways: tuple = ("merge",)


def of_one_command(command):
    """The table of one command: row, user, change, words of refusal, what was there before."""
    holder, other = ("bob", "carol") if command == "approve" else ("carol", "bob")
    before = {command: ("old", holder)}
    changed = annotations(**{command: "new", f"{command}_by": "dora"})
    removed = annotations(**{command: None, f"{command}_by": None})
    no = f"may not {command} ModelDeployment iris in namespace {NAMESPACE}"
    named = f"annotation mooring.dev/{command}-by must say who asks: {holder}"
    # Giving it takes the verb, whatever else one may do.
    yield "by-holder", holder, given(command, holder), "", {}
    yield "by-lead", "dora", given(command, "dora"), "", {}
    for who in ("alice", "frank", ARGO, other):
        yield f"by-{who}", who, given(command, who), f"{who} {no}", {}
    # In somebody else's name, or in nobody's.
    yield "borrowed", holder, given(command, "dora"), named, {}
    yield "nameless", holder, annotations(**{command: "r"}), named, {}
    yield "named-anew", holder, annotations(**{f"{command}_by": "dora"}), named, before
    yield "unnamed-later", holder, annotations(**{f"{command}_by": None}), named, before
    yield "name-only", "alice", annotations(**{f"{command}_by": "alice"}), no, {}
    # Changing it, and taking it away: another person's pause above all.
    yield "changed-by-lead", "dora", changed, "", before
    yield "changed-by-editor", "alice", changed, no, before
    yield "removed-by-editor", "alice", removed, no, before
    yield "removed-by-holder", holder, removed, "", before
    yield "removed-by-operator", OPERATOR, removed, "", before
    yield "half-removed-by-operator", OPERATOR, annotations(**{command: None}), "", before


def tries():
    """All that somebody may try."""
    for command in COMMANDS:
        for row, who, patch, refused, before in of_one_command(command):
            ways = WAYS if command == "approve" else ("merge",)
            if any(value is None for value in patch["metadata"]["annotations"].values()):
                # Who applies takes away only what they applied.
                ways = tuple(way for way in ways if way != "apply")
            yield f"{command}-{row}", Try(who, patch, refused, before, ways)
        # Monitors of drift ask for these.
        may = command in ("rollback", "pause", "abort")
        refused = "" if may else f"{OPERATOR} may not {command}"
        yield f"{command}-by-operator", Try(OPERATOR, given(command, OPERATOR), refused)
    yield "rollback-by-operator-for-alice", Try(OPERATOR, given("rollback", "alice"), "must say who asks")
    yield from edits()
    for who, refused in {"dora": "", "alice": "may not approve"}.items():
        everything = {f"{command}{end}": who for command in COMMANDS for end in ("", "_by")}
        yield f"all-at-once-by-{who}", Try(who, annotations(**everything), refused)


def edits():
    """What is no command takes the verb update, whatever commands are pending."""
    pending = {"pause": ("old", "carol"), "approve": ("old", "bob")}
    patches = {
        "labels": {"metadata": {"labels": {"a": "b"}}},
        "spec": {"spec": {"historyLimit": 3}},
        "look-alikes": {
            "metadata": {"annotations": {"mooring.dev/approved": "x", "example.com/approve": "y"}}
        },
        "owners": {"metadata": {"ownerReferences": [OWNER]}},
    }
    only, most = "only to give commands", ("merge", "json", "apply")
    for name, patch in patches.items():
        yield f"{name}-by-editor", Try("alice", patch, "", pending, WAYS)
        for who in ("bob", "carol", OPERATOR):
            yield f"{name}-by-{who}", Try(who, patch, only, pending, most)
    for who in ("bob", "carol", OPERATOR):
        yield (
            f"finalizers-by-{who}",
            Try(who, {"metadata": {"finalizers": ["example.com/mine"]}}, only, pending),
        )
        yield f"requester-by-{who}", Try(who, annotations(requested_by=who), only, pending)


def cases():
    for name, one in tries():
        for way in one.ways:
            # Those who may only patch are refused updates by RBAC already.
            if way != "update" or one.who not in ("bob", "carol", OPERATOR):
                yield pytest.param(one, way, id=f"{name.replace(':', '-')}-{way}")


@pytest.mark.parametrize(("one", "way"), list(cases()))
def test_who_may_write_what(iris, one, way):
    iris.start_from(**one.start)
    said = outcome(lambda: iris.change(one.who, one.patch, way=way))
    assert one.refused in said if one.refused else said == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_comes_with_the_object_is_judged_too(iris, command):
    refused = outcome(lambda: iris.create("alice", given(command, "alice")))
    assert f"alice may not {command} ModelDeployment iris" in refused
    assert outcome(lambda: iris.create("dora", given(command, "dora"))) == ""
    assert "must say who asks: dora" in outcome(lambda: iris.create("dora", given(command, "bob")))
    assert outcome(lambda: iris.create("alice", {})) == ""


def test_a_right_to_one_deployment_is_no_right_to_another(iris, control_plane):
    api = control_plane.api
    rule = {"apiGroups": ["mooring.dev"], "resources": ["modeldeployments"], "resourceNames": ["other"]}
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "approves-other"}}
    api.apply({**role, "rules": [{**rule, "verbs": ["approve"]}]})
    bind(api, NAMESPACE, "alice", "approves-other")
    bind(api, NAMESPACE, "gerd", "mooring-approver")
    other = Thing(api, NAMESPACE, {**IRIS, "metadata": {"name": "other"}})
    other.start_from()
    iris.start_from()
    wait_until_allowed(lambda: other.change("alice", given("approve", "alice")))
    assert "alice may not approve ModelDeployment iris" in outcome(
        lambda: iris.change("alice", given("approve", "alice"))
    )
    api.delete(other.path)


def test_an_approver_of_one_namespace_is_none_of_another(iris, control_plane):
    api, elsewhere = control_plane.api, "mooring-elsewhere"
    make_namespace(api, elsewhere)
    bind(api, elsewhere, "bob", "mooring-edit")
    there = Thing(api, elsewhere, IRIS)
    there.start_from()
    wait_until_refused(lambda: there.change("bob", given("approve", "bob")), "bob may not approve")


def test_the_status_carries_no_commands(iris):
    """Who writes the status goes through no policy, and cannot bring annotations along."""
    iris.start_from()
    patch = {**given("approve", "alice"), "status": {"phase": "Canary"}}
    made = iris.api.merge(f"{iris.path}/status", patch)
    assert made["status"]["phase"] == "Canary"
    assert "annotations" not in made["metadata"]


def test_kubectl_gives_commands_by_two_annotations(iris, control_plane):
    iris.start_from()

    def kubectl(user, *words):
        command = ["kubectl", "--kubeconfig", str(control_plane.kubeconfig), "--as", user, "-n", NAMESPACE]
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    words = ("annotate", "mdep", "iris", "mooring.dev/approve=r", "mooring.dev/approve-by=bob")
    code, said = kubectl("alice", *words)
    assert code == 1
    assert "alice may not approve ModelDeployment iris" in said
    assert kubectl("bob", *words) == (0, "")


def test_the_command_line_says_which_role_is_missing(iris, control_plane, tmp_path, monkeypatch, capsys):
    """Somebody with an account of their own, who edits, and then may approve."""
    api, account = control_plane.api, f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    user = f"system:serviceaccount:{NAMESPACE}:clerk"
    about = {"name": "clerk", "namespace": NAMESPACE}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": about})
    token = api.request("POST", f"{account}/clerk/token", {"spec": {}})["status"]["token"]
    authority = control_plane.files.authority.read_bytes()
    kubeconfig = tmp_path / "kubeconfig"
    write_kubeconfig(kubeconfig, name="clerk", server=control_plane.server, token=token, authority=authority)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    bind(api, NAMESPACE, user, "mooring-edit")
    candidate = {**CANDIDATE, "step": 1}
    status = {"observedGeneration": 1, "phase": "AwaitingApproval", "reason": "AwaitingApproval"}
    iris.start_from(status={**status, "stable": STABLE, "candidate": candidate})
    approve = ("approve", "iris", "-n", NAMESPACE, "-m", "looks good")
    wait_until_allowed(lambda: iris.change(user, {"metadata": {"labels": {"a": "b"}}}, dry=True))
    assert invoke(capsys, *approve) == (
        1,
        "",
        f"error: {user} may not approve ModelDeployment iris in namespace {NAMESPACE}: that needs a verb of its own "
        "on modeldeployments.mooring.dev, by ClusterRole mooring-approver\n",
    )
    bind(api, NAMESPACE, user, "mooring-approver")
    wait_until_allowed(lambda: iris.change(user, given("approve", user), dry=True))
    assert invoke(capsys, *approve) == (0, "approve iris: asked; next: weight 100%\n", "")
    asked = api.get(iris.path)["metadata"]["annotations"]
    assert asked == {"mooring.dev/approve": "bbbbbbbbbb/1 looks good", "mooring.dev/approve-by": user}


def test_who_may_not_skip_an_approval_may_not_take_it_out_of_the_steps(iris):
    without = {"spec": {"rollout": {"steps": [{"setWeight": 10}, {"setWeight": 100}]}}}
    later = {"spec": {"rollout": {"steps": [{"setWeight": 10}, {"setWeight": 100}, {"approve": {}}]}}}
    for way in WAYS:
        for patch in (without, later):
            iris.start_from()
            assert "alice may not change the steps of ModelDeployment iris" in outcome(
                lambda patch=patch, way=way: iris.change("alice", patch, way=way)
            )
            assert outcome(lambda patch=patch, way=way: iris.change("dora", patch, way=way)) == ""
    # Who puts an approval in, or changes steps that hold none, needs no more than the edit.
    iris.start_from(spec=without["spec"])
    slower = {"spec": {"rollout": {"steps": [{"setWeight": 5}, {"setWeight": 100}]}}}
    assert outcome(lambda: iris.change("alice", slower)) == ""
    assert outcome(lambda: iris.change("alice", later)) == ""
    assert outcome(lambda: iris.change("alice", {"spec": {"historyLimit": 2}})) == ""
    # A pause without an end waits for an approval as well.
    iris.start_from(spec={"rollout": {"steps": [{"pause": {}}, {"setWeight": 100}]}})
    assert "change the steps" in outcome(lambda: iris.change("alice", slower))
