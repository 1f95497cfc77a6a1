"""Argo CD's actions: offered where they fit the state, and the same that the command line asks for."""

import copy
from pathlib import Path

import pytest
import yaml
from mooring_operator.api.names import COMMAND_PREFIX
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.errors import RefusedError
from mooring_operator.cli.requests import REQUESTS

from cluster.gitops import Question, judge
from tests.cluster.people import (
    Thing,
    annotations,
    install_people,
    policies,
    rendered,
    wait_until_allowed,
    wait_until_refused,
)
from tests.cluster.planned import STORIES

FOLDER = Path(__file__).parents[2] / "manifests" / "argocd"
ACTIONS = FOLDER / "mooring.dev" / "ModelDeployment" / "actions"
SERVER = "system:serviceaccount:argocd:argocd-server"
NAMESPACE = "mooring-argocd"
DIGITS = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "digits"},
    "spec": {"model": {"uri": "s3://m/v2", "format": "onnx"}},
}
SCRIPTS = {path.parent.name: path.read_text() for path in ACTIONS.glob("*/action.lua")}


@pytest.fixture(scope="module")
def deployments(gitops):
    """A resource for every state that the stories come through, with the commands that it had."""
    return [item for story in STORIES.values() for item in story().seen]


def offered(items):
    """The names of the actions that are enabled, for each resource."""
    discovery = (ACTIONS / "discovery.lua").read_text()
    told = judge(Question(item, discovery) for item in items)
    assert [answer.error for answer in told if answer.error] == []
    assert all(set(answer.value) == set(SCRIPTS) for answer in told)
    return [{name for name, how in answer.value.items() if not how["disabled"]} for answer in told]


def requests(item):
    """What the command line would ask for in this state, by name."""
    deployment, found = Deployment.parse(item), {}
    for name, make in REQUESTS.items():
        try:
            found[name] = make(deployment)
        except RefusedError:
            continue
    return found


def for_someone_else(item):
    changed = copy.deepcopy(item)
    for step in changed["spec"]["rollout"]["steps"]:
        if "approve" in step:
            step["approve"]["by"] = "SomeoneElse"
    return changed


def test_there_is_an_action_for_every_request():
    assert set(SCRIPTS) == set(REQUESTS)


def test_every_action_is_offered_somewhere_and_no_action_everywhere(deployments):
    seen = offered(deployments)
    assert set.union(*seen) == set(REQUESTS)
    assert set.intersection(*seen) == set()


def test_offered_is_what_the_command_line_would_ask_for(deployments):
    for item, names in zip(deployments, offered(deployments), strict=True):
        fitting = set(requests(item))
        if f"{COMMAND_PREFIX}pause" in item["metadata"].get("annotations", {}):
            fitting -= {"pause"}
        assert names == fitting, item["status"]


def test_an_action_writes_what_the_command_line_writes(deployments):
    asked = [(item, name) for item in deployments for name in SCRIPTS]
    told = judge(Question(item, SCRIPTS[name]) for item, name in asked)
    for (item, name), answer in zip(asked, told, strict=True):
        request = requests(item).get(name)
        if request is None:
            assert answer.patch is None, name
            # Shown to who clicks: a sentence, and no place in the script.
            assert "<string>" not in answer.error.splitlines()[0]
            continue
        before = item["metadata"].get("annotations") or {}
        wanted = {
            key: value for key, value in request.annotations("", SERVER).items() if before.get(key) != value
        }
        left = {key for key in before if wanted.get(key, "") is not None}
        assert answer.patch == expected_patch(wanted, left)


def expected_patch(annotations, left):
    """The merge patch for these changes; where none is left, it takes the whole map away."""
    if not annotations:
        return {}
    if not left and set(annotations.values()) == {None}:
        return {"metadata": {"annotations": None}}
    return {"metadata": {"annotations": annotations}}


STRATEGIES = {"Canary", "BlueGreen", "Shadow", "ABTest", "Recreate"}


def test_argo_cd_stands_for_nobody_else(deployments):
    """It does not say who clicks, so what is for someone else than the requester is not offered, nor done."""
    waiting = [
        item
        for item in deployments
        if item["status"]["reason"] == "AwaitingApproval"
        and any("approve" in step for step in item["spec"]["rollout"]["steps"])
    ]
    assert {item["spec"]["rollout"]["strategy"] for item in waiting} == STRATEGIES
    changed = [for_someone_else(item) for item in waiting]
    assert all({"approve", "promote"} <= names for names in offered(waiting))
    assert not any({"approve", "promote"} & names for names in offered(changed))
    for answer in judge(Question(item, SCRIPTS[name]) for item in changed for name in ("approve", "promote")):
        assert "someone else" in answer.error
        assert answer.patch is None


def test_resuming_leaves_other_annotations(deployments):
    held = next(item for item in reversed(deployments) if item["status"]["reason"] == "PausedByCommand")
    item = {
        **held,
        "metadata": {**held["metadata"], "annotations": {**held["metadata"]["annotations"], "a": "b"}},
    }
    (answer,) = judge([Question(item, SCRIPTS["resume"])])
    assert answer.patch["metadata"]["annotations"] == {
        "mooring.dev/pause": None,
        "mooring.dev/pause-by": None,
    }


# --- as Argo CD tests its own ------------------------------------------------------------------


def cases(kind):
    """The entries of every file of cases, with the folder that their paths are relative to."""
    return [
        pytest.param(path.parent, case, id=f"{path.parent.relative_to(FOLDER)}/{case['inputPath']}")
        for path in sorted(FOLDER.rglob("health_test.yaml" if kind == "tests" else "action_test.yaml"))
        for case in yaml.safe_load(path.read_text())[kind]
    ]


def stored(folder, path):
    return yaml.safe_load((folder / path).read_text())


@pytest.mark.parametrize(("folder", "case"), cases("tests"))
def test_health_of_the_stored_resources(gitops, folder, case):
    script = (folder / "health.lua").read_text()
    (answer,) = judge([Question(stored(folder, case["inputPath"]), script)])
    assert answer.value == case["healthStatus"]


@pytest.mark.parametrize(("folder", "case"), cases("discoveryTests"))
def test_discovery_of_the_stored_resources(gitops, folder, case):
    script = (folder / "discovery.lua").read_text()
    (answer,) = judge([Question(stored(folder, case["inputPath"]), script)])
    told = [{"name": name, **how} for name, how in sorted(answer.value.items())]
    assert told == sorted(case["result"], key=lambda one: one["name"])


@pytest.mark.parametrize(("folder", "case"), cases("actionTests"))
def test_actions_on_the_stored_resources(gitops, folder, case):
    script = (folder / case["action"] / "action.lua").read_text()
    (answer,) = judge([Question(stored(folder, case["inputPath"]), script)])
    assert answer.value == stored(folder, case["expectedOutputPath"])


# --- as it is installed ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(control_plane, gitops):
    """A ModelDeployment in a cluster with Argo CD's settings, and with the policies in force."""
    api = control_plane.api
    install_people(api, NAMESPACE)
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}})
    theirs = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-cm", "namespace": "argocd"},
    }
    api.apply({**theirs, "data": {"url": "https://argocd.example.com"}})
    for manifest in rendered("argocd"):
        path = f"{api.path(manifest)}?fieldManager=mooring"
        text = yaml.safe_dump(manifest).encode()
        api.request("PATCH", path, text, content="application/apply-patch+yaml")
    with policies(api):
        thing = Thing(api, NAMESPACE, DIGITS)
        thing.start_from()
        wait_until_refused(
            lambda: thing.change("alice", annotations(approve="r"), dry=True), "may not approve"
        )
        wait_until_allowed(lambda: thing.change(SERVER, {}, dry=True))
        yield thing
        thing.remove()


def test_other_settings_of_argo_cd_stay(installed):
    data = installed.api.get("/api/v1/namespaces/argocd/configmaps/argocd-cm")["data"]
    assert data["url"] == "https://argocd.example.com"
    assert len(data) == 8


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_the_policies_let_argo_cds_server_act(installed, deployments, name):
    item = next(item for item in deployments if name in requests(item))
    installed.start_from(spec={"rollout": item["spec"]["rollout"]})
    commands = item["metadata"].get("annotations", {})
    paused = {key: SERVER if key.endswith("-by") else value for key, value in commands.items()}
    if paused:
        installed.change(SERVER, {"metadata": {"annotations": paused}})
    installed.api.merge(f"{installed.path}/status", {"status": item["status"]})
    (answer,) = judge([Question(installed.api.get(installed.path), SCRIPTS[name])])
    given = installed.change(SERVER, answer.patch)["metadata"].get("annotations", {})
    assert set(given) == (
        set() if name == "resume" else {f"mooring.dev/{name}", f"mooring.dev/{name}-by", *commands}
    )


def test_the_config_map_holds_the_scripts_by_argo_cds_keys():
    data = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())["data"]
    health = {path.parent.name: path.read_text() for path in FOLDER.rglob("health.lua")}
    assert health.keys() == {
        "ModelDeployment",
        "DriftMonitor",
        "ModelPolicy",
        "ClusterModelPolicy",
        "AnalysisTemplate",
        "ClusterAnalysisTemplate",
    }
    for kind, script in health.items():
        assert data.pop(f"resource.customizations.health.mooring.dev_{kind}") == script
    actions = yaml.safe_load(data.pop("resource.customizations.actions.mooring.dev_ModelDeployment"))
    assert {one["name"]: one["action.lua"] for one in actions.pop("definitions")} == SCRIPTS
    assert actions == {"discovery.lua": (ACTIONS / "discovery.lua").read_text()}
    assert data == {}
