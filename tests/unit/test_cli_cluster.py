"""Talking to the API server: requests, and the sentences that failures become."""

import json

import httpx2
import pytest
import yaml
from mooring_operator.cli.cluster import connect
from mooring_operator.cli.errors import CliError

from tests.unit.cli_world import AWAITING, invoke

SERVER = "https://cluster.example:6443"


def kubeconfig(*contexts, current="dev", user="me"):
    return {
        "current-context": current,
        "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
        "contexts": [
            {"name": name, "context": {"cluster": "c", "user": user, "namespace": namespace}}
            for name, namespace in contexts
        ],
        "users": [{"name": "me", "user": {"token": "t"}}],
    }


@pytest.fixture
def configured(tmp_path, monkeypatch):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig(("dev", "ml"), ("prod", "live"))))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def server(answers, seen):
    def answer(request):
        seen.append(f"{request.method} {request.url.raw_path.decode()}")
        code, body = answers(request)
        return httpx2.Response(code, json=body)

    return httpx2.MockTransport(answer)


def failure(code, message=""):
    return code, {"kind": "Status", "status": "Failure", "code": code, "message": message}


def test_objects_are_read_from_the_contexts_namespace(configured):
    seen = []
    cluster = connect(transport=server(lambda _: (200, AWAITING), seen))
    assert cluster.get("ModelDeployment", "iris")["status"] == AWAITING["status"]
    assert seen == ["GET /apis/mooring.dev/v1alpha1/namespaces/ml/modeldeployments/iris"]


@pytest.mark.parametrize(
    ("context", "namespace", "expected"), [("prod", None, "live"), (None, "x", "x"), ("prod", "y", "y")]
)
def test_context_and_namespace_may_be_named(configured, context, namespace, expected):
    assert connect(context, namespace).namespace == expected


def test_lists_come_sorted(configured):
    items = [
        {"metadata": {"namespace": space, "name": name}}
        for space, name in [("b", "a"), ("a", "z"), ("a", "b")]
    ]
    cluster = connect(transport=server(lambda _: (200, {"items": items, "metadata": {}}), seen := []))
    found = cluster.list_all("DriftMonitor", all_namespaces=True)
    assert [item["metadata"]["name"] for item in found] == ["b", "z", "a"]
    assert seen == ["GET /apis/mooring.dev/v1alpha1/driftmonitors"]


def test_annotations_are_merged(configured):
    bodies = []

    def answer(request):
        bodies.append((request.headers["content-type"], request.content))
        return 200, AWAITING

    cluster = connect(transport=server(answer, seen := []))
    cluster.annotate("ModelDeployment", "iris", {"mooring.dev/pause": None})
    assert seen[0].startswith("PATCH /apis/mooring.dev/v1alpha1/namespaces/ml/modeldeployments/iris")
    assert bodies == [
        ("application/merge-patch+json", b'{"metadata":{"annotations":{"mooring.dev/pause":null}}}')
    ]


def test_the_server_knows_the_user(configured):
    review = {"status": {"userInfo": {"username": "alice@example.com"}}, "metadata": {}}
    assert connect(transport=server(lambda _: (201, review), [])).user() == "alice@example.com"
    assert connect(transport=server(lambda _: failure(403), [])).user() == ""


def test_events_are_sorted_and_may_be_forbidden(configured):
    events = [
        {"metadata": {"name": name}, "involvedObject": {}, "lastTimestamp": f"2026-01-0{day}T00:00:00Z"}
        for name, day in [("b", 2), ("a", 1)]
    ]
    cluster = connect(transport=server(lambda _: (200, {"items": events, "metadata": {}}), seen := []))
    assert [event["metadata"]["name"] for event in cluster.events("ModelDeployment", "iris")] == ["a", "b"]
    assert "fieldSelector=involvedObject.kind%3DModelDeployment%2CinvolvedObject.name%3Diris" in seen[0]
    assert connect(transport=server(lambda _: failure(403), [])).events("ModelDeployment", "iris") == []


def test_a_watch_gives_changes_and_the_end(configured):
    lines = "".join(json.dumps({"type": kind, "object": AWAITING}) + "\n" for kind in ("MODIFIED", "DELETED"))
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, text=lines))
    changes = connect(transport=transport).watch("ModelDeployment", "iris", "7")
    assert next(changes)["metadata"]["name"] == "iris"
    assert next(changes) is None


@pytest.mark.parametrize(
    ("answer", "says", "hint"),
    [
        (
            failure(404, 'modeldeployments.mooring.dev "iris" not found'),
            "ModelDeployment iris does not exist in namespace ml",
            "mooring list -n ml shows what there is, and mooring list -A elsewhere",
        ),
        (
            failure(404, "the server could not find the requested resource"),
            "this cluster has no ModelDeployment resource",
            "install Mooring's resources: mooring crds | kubectl apply --server-side -f -",
        ),
        (
            failure(403, 'User "me" cannot get resource'),
            'you may not read ModelDeployment iris in namespace ml: User "me" cannot get resource',
            "ask an administrator for ClusterRole mooring-view in namespace ml",
        ),
        (failure(401, "Unauthorized"), "the cluster does not know who you are: log in again", ""),
        (
            failure(500, "etcd is gone"),
            "the cluster refuses to read ModelDeployment iris: etcd is gone",
            "",
        ),
    ],
)
def test_refusals_are_explained(configured, answer, says, hint):
    with pytest.raises(CliError) as caught:
        connect(transport=server(lambda _: answer, [])).get("ModelDeployment", "iris")
    assert (caught.value.message, caught.value.hint, caught.value.exit_code) == (says, hint, 2)


def test_who_may_not_list_everywhere_is_told_so(configured):
    with pytest.raises(CliError) as caught:
        connect(transport=server(lambda _: failure(403, "cannot list"), [])).list_all(
            "ModelDeployment", all_namespaces=True
        )
    assert caught.value.message == "you may not read ModelDeployment in all namespaces: cannot list"
    assert caught.value.hint == "ask an administrator for ClusterRole mooring-view in all namespaces"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            httpx2.ConnectError("connection refused"),
            f"cannot reach the cluster at {SERVER}: connection refused",
        ),
        (httpx2.ReadTimeout("slow"), f"the cluster at {SERVER} does not answer in time"),
    ],
)
def test_an_unreachable_cluster_is_no_traceback(configured, error, says):
    def fail(_):
        raise error

    with pytest.raises(CliError) as caught:
        connect(transport=httpx2.MockTransport(fail)).get("ModelDeployment", "iris")
    assert caught.value.message == says


def test_something_else_than_kubernetes_answers(configured):
    transport = httpx2.MockTransport(lambda _: httpx2.Response(502, text="<html>Bad gateway</html>"))
    with pytest.raises(CliError, match="answered HTTP 502"):
        connect(transport=transport).get("ModelDeployment", "iris")


@pytest.mark.parametrize(
    ("text", "context", "says"),
    [
        ("{}", None, "no usable cluster configuration: it has no 'clusters'"),
        ("[1, 2", None, "no usable cluster configuration"),
        (
            yaml.safe_dump(kubeconfig(("dev", "ml"))),
            "staging",
            "no usable cluster configuration: Context 'staging'",
        ),
        (yaml.safe_dump(kubeconfig(("dev", "ml"), user="you")), None, "no usable cluster configuration"),
    ],
)
def test_a_broken_configuration(tmp_path, monkeypatch, capsys, text, context, says):
    path = tmp_path / "config"
    path.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(path))
    options = ["--context", context] if context else []
    code, out, err = invoke(capsys, "status", "iris", *options)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {says}")
    assert "hint: set KUBECONFIG" in err


def test_no_configuration_at_all(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    code, _, err = invoke(capsys, "list")
    assert code == 2
    assert err.splitlines()[0] == (
        "error: no usable cluster configuration: KUBECONFIG is not set, there is no ~/.kube/config, and this is no "
        "pod with a token"
    )


def test_several_configurations_are_merged(tmp_path, monkeypatch):
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text(yaml.safe_dump(kubeconfig(("dev", "ml"))))
    second.write_text(yaml.safe_dump(kubeconfig(("dev", "ignored"), ("prod", "live"), current="prod")))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{second}:{tmp_path}/missing")
    assert connect().namespace == "ml"
    assert connect("prod").namespace == "live"


def test_a_context_without_a_user(tmp_path, monkeypatch):
    config = kubeconfig(("dev", "ml"))
    del config["contexts"][0]["context"]["user"]
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    assert connect().namespace == "ml"


def test_a_cluster_without_what_is_to_be_adopted_is_told_with_the_way_out(configured):
    missing = failure(404, "the server could not find the requested resource")
    with pytest.raises(CliError) as caught:
        connect(transport=server(lambda _: missing, [])).get("InferenceService", "iris")
    assert caught.value.message == "this cluster has no InferenceService resource"
    assert "mooring adopt -f FILE" in caught.value.hint


def test_a_name_with_its_kind_is_told_to_be_written_alone(configured):
    with pytest.raises(CliError) as caught:
        connect(transport=server(lambda _: failure(404), [])).get("ModelDeployment", "mdep/iris")
    assert caught.value.hint == "write the name alone, without its kind"
