"""The command line against a real API server: both judge manifests alike, and commands arrive."""

import json
import time

import pytest
import yaml
from lightkube import Client, KubeConfig

from tests.unit.cli_world import MANIFEST, STABLE, ago, invoke, revision
from tests.unit.spec_table import CASES

VERSION = "/apis/mooring.dev/v1alpha1"
GROUP = f"{VERSION}/namespaces/default"
PLURALS = {
    "ModelDeployment": "modeldeployments",
    "DriftMonitor": "driftmonitors",
    "ModelPolicy": "modelpolicies",
    "ClusterModelPolicy": "clustermodelpolicies",
    "AnalysisTemplate": "analysistemplates",
    "ClusterAnalysisTemplate": "clusteranalysistemplates",
}


@pytest.fixture(scope="module")
def api(control_plane):
    """Give an HTTP client of the API server, with Mooring's resources installed."""
    http = Client(KubeConfig.from_file(control_plane.kubeconfig).get())._client._client
    for definition in _definitions():
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
        answer = http.patch(
            path,
            params={"fieldManager": "test", "force": "true"},
            content=json.dumps(definition),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        assert answer.status_code in (200, 201), answer.text
    for kind in PLURALS:
        _until_served(http, _collection(kind))
    return http


def _collection(kind):
    return f"{VERSION if kind.startswith('Cluster') else GROUP}/{PLURALS[kind]}"


def _definitions():
    from mooring_operator.api import crds

    return [crds.custom_resource_definition(resource) for resource in crds.RESOURCES]


def _until_served(http, path):
    deadline = time.monotonic() + 30
    while http.get(path).status_code != 200:
        assert time.monotonic() < deadline, f"{path} is not served"
        time.sleep(0.1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.kind}-{case.name}")
def test_the_api_server_judges_like_the_command_line(api, case):
    answer = api.post(
        _collection(case.kind),
        params={"dryRun": "All", "fieldValidation": "Strict"},
        json=case.manifest,
    )
    assert (answer.status_code == 201) == case.accepted, answer.text
    if not case.accepted:
        assert case.says in answer.json()["message"]


@pytest.fixture
def iris(api, control_plane, monkeypatch):
    """Make a ModelDeployment whose rollout waits for an approval."""
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    path = f"{GROUP}/modeldeployments"
    api.delete(f"{path}/iris")
    made = api.post(path, json=yaml.safe_load(MANIFEST))
    assert made.status_code == 201, made.text
    candidate = revision(
        "bbbbbbbbbb", 2, weight=10, step=2, startedAt=ago(minutes=9), stepStartedAt=ago(minutes=2)
    )
    status = {
        "observedGeneration": 1,
        "phase": "AwaitingApproval",
        "reason": "AwaitingApproval",
        "message": "revision bbbbbbbbbb at 10% of traffic awaits approval",
        "stable": STABLE,
        "candidate": candidate,
    }
    written = api.patch(
        f"{path}/iris/status",
        content=json.dumps({"status": status}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert written.status_code == 200, written.text
    yield "iris"
    api.delete(f"{path}/iris")


def annotations(api):
    return api.get(f"{GROUP}/modeldeployments/iris").json()["metadata"].get("annotations", {})


def test_status_and_list(iris, capsys):
    code, out, err = invoke(capsys, "status", iris)
    assert (code, err) == (0, "")
    assert "ModelDeployment default/iris  AwaitingApproval" in out
    assert "AwaitingApproval  aaaaaaaaaa  bbbbbbbbbb  10%" in invoke(capsys, "list")[1]
    assert (
        json.loads(invoke(capsys, "status", iris, "-o", "json")[1])["status"]["phase"] == "AwaitingApproval"
    )


def test_an_approval_is_signed_by_the_servers_name_for_the_caller(iris, api, capsys):
    code, out, err = invoke(capsys, "approve", iris, "-m", "looks good")
    assert (code, err) == (0, ""), err
    assert out == "approve iris: asked; next: weight 100%\n"
    asked = annotations(api)
    assert (asked["mooring.dev/approve"], asked["mooring.dev/approve-by"]) == (
        "bbbbbbbbbb/2 looks good",
        "admin",
    )


def test_a_pause_can_be_taken_back(iris, api, capsys):
    assert invoke(capsys, "pause", iris)[0] == 0
    asked = annotations(api)
    assert (asked["mooring.dev/pause"], asked["mooring.dev/pause-by"]) == ("bbbbbbbbbb", "admin")
    assert invoke(capsys, "resume", iris)[0] == 0
    assert not {"mooring.dev/pause", "mooring.dev/pause-by"} & annotations(api).keys()


def test_a_watch_sees_the_end(iris, api, capsys):
    """The status moves on before the watch begins to read: it starts from the version that was read."""
    from mooring_operator.cli.cluster import connect

    cluster = connect()
    item = cluster.get("ModelDeployment", iris)
    api.patch(
        f"{GROUP}/modeldeployments/iris/status",
        content=json.dumps({"status": {"phase": "Promoted", "candidate": None}}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    changes = cluster.watch("ModelDeployment", iris, item["metadata"]["resourceVersion"])
    assert next(changes)["status"]["phase"] == "Promoted"
    api.delete(f"{GROUP}/modeldeployments/iris")
    assert next(changes) is None


def test_what_does_not_exist(api, iris, capsys):
    code, _, err = invoke(capsys, "status", "rose")
    assert code == 2
    assert err.startswith("error: ModelDeployment rose does not exist in namespace default\n")
