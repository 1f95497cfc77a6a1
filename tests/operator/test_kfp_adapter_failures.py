"""The operator's adapter against servers that refuse, fail, hang up or are something else."""

import contextlib
import hashlib
import http.server
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from mooring_operator.adapters.pipelines import LaunchUncertain, PipelinesRefused, PipelinesUnavailable
from mooring_pipelines.parameters import check_parameters

from tests.operator.test_kfp_adapter import MODEL_CI, adapter, request
from tests.operator.test_kfp_server import SECONDS


@contextlib.contextmanager
def scripted(answer):
    """A server whose `answer(method, path, headers, body)` is (status, JSON or bytes), or None to hang up."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def handle_any(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            seen.append((self.command, self.path.split("?")[0].removeprefix("/apis/v2beta1/")))
            reply = answer(self.command, seen[-1][1], self.headers, body)
            if reply is None:
                self.close_connection = True
                return
            status, content = reply
            content = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


NOT_FOUND = (404, {"code": 5, "message": "Run not found", "details": []})


def healthy(method, path, run):
    """What KFP answers to everything before the run is created; `run` answers that."""
    if method == "GET" and path.startswith("runs/"):
        return NOT_FOUND
    if (method, path) == ("POST", "runs"):
        return run
    if path.startswith("pipelines/names/"):
        return 200, {"pipeline_id": "p"}
    if path.endswith("/versions"):
        name = "model-ci-" + hashlib.sha256(MODEL_CI.read_bytes()).hexdigest()[:16]
        return 200, {"pipeline_versions": [{"name": name, "pipeline_version_id": "v"}]}
    return 200, {"experiments": [{"experiment_id": "e", "display_name": "mooring"}]}


@pytest.mark.parametrize(
    "reply", [None, (500, {"message": "Internal Server Error"}), (503, b"busy"), (200, b"<html>")]
)
async def test_a_post_of_unknown_outcome_is_never_repeated(tmp_path, reply):
    with scripted(lambda method, path, *_: healthy(method, path, reply)) as (host, seen):
        with pytest.raises(PipelinesUnavailable) as raised:
            await adapter(host).launch(request(tmp_path, tmp_path))
        assert seen.count(("POST", "runs")) == 1
        assert isinstance(raised.value, LaunchUncertain) or reply == (200, b"<html>")


async def test_a_run_that_exists_is_not_posted_again(tmp_path):
    with scripted(lambda *_: (200, {"run_id": "r", "state": "RUNNING"})) as (host, seen):
        await adapter(host).launch(request(tmp_path, tmp_path, run_id="r"))
        assert seen == [("GET", "runs/r")]


async def test_a_backend_that_chooses_its_own_run_id_is_refused_and_its_run_terminated(tmp_path):
    reply = (200, {"run_id": "other"})
    with scripted(lambda method, path, *_: healthy(method, path, reply)) as (host, seen):
        with pytest.raises(PipelinesRefused, match="made run other where r was asked for"):
            await adapter(host).launch(request(tmp_path, tmp_path, run_id="r"))
        assert seen[-1] == ("POST", "runs/other:terminate")


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (
            (403, {"message": "long", "details": [{"message": "no access to team"}]}),
            PipelinesUnavailable,
            "403: no access",
        ),
        ((401, b"who are you"), PipelinesUnavailable, "401: who are you"),
        (
            (400, {"message": "long", "details": [{"message": "no such label"}]}),
            PipelinesRefused,
            "no such label",
        ),
        (
            (500, {"message": "a: b: Error 1366", "details": [{"message": "Internal Server Error"}]}),
            PipelinesUnavailable,
            "500: a: b: Error 1366",
        ),
        ((500, {"message": "x" * 600 + "the cause"}), PipelinesUnavailable, r"x \.\.\. x.*the cause$"),
        (
            (400, {"error_message": "e", "error_details": "upload failed: why"}),
            PipelinesRefused,
            "upload failed: why",
        ),
        ((429, {"message": "slow down"}), PipelinesUnavailable, "429: slow down"),
        ((502, b"<html>bad gateway"), PipelinesUnavailable, "502: <html>bad gateway"),
        ((200, b"<html>log in"), PipelinesUnavailable, "it is not KFP"),
        (None, PipelinesUnavailable, "cannot be reached"),
    ],
)
async def test_answers_are_told_apart_by_who_has_to_act(reply, error, message):
    with scripted(lambda *_: reply) as (host, _), pytest.raises(error, match=message):
        await adapter(host).get("team", "r")


async def test_a_backend_that_is_not_there_or_does_not_answer_is_unavailable():
    with pytest.raises(PipelinesUnavailable, match="cannot be reached"):
        await adapter("http://127.0.0.1:1").get("team", "r")
    release = threading.Event()
    with scripted(lambda *_: release.wait(SECONDS) and None) as (host, _):
        try:
            with pytest.raises(PipelinesUnavailable, match="timed out"):
                await adapter(host, read_seconds=0.2).get("team", "r")
        finally:
            release.set()


async def test_the_token_is_read_again_for_each_request(tmp_path, monkeypatch):
    token = tmp_path / "token"
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
    sent = []
    with scripted(lambda method, path, headers, body: sent.append(headers["authorization"]) or NOT_FOUND) as (
        host,
        _,
    ):
        pipelines = adapter(host)
        with pytest.raises(PipelinesUnavailable, match="the token for KFP cannot be read"):
            await pipelines.get("team", "r")
        for content in ("one\n", "two\n"):
            token.write_text(content)
            await pipelines.get("team", "r")
    assert sent == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(("multi_user", "named"), [(True, "mlflow"), (False, None)])
async def test_a_secret_is_named_where_the_run_is_in_its_own_namespace(tmp_path, multi_user, named):
    """Where all runs share one, its Secrets are not for who asks for runs elsewhere."""
    created = {}
    with scripted(lambda *asked: made(created, *asked)) as (host, _):
        run = replace(request(tmp_path, tmp_path, run_id="r"), credentials_secret="mlflow")
        await adapter(host, multi_user=multi_user).launch(run)
    parameters = created["runs"]["runtime_config"]["parameters"]
    assert parameters.get("credentials_secret") == named
    spec, _ = yaml.safe_load_all(MODEL_CI.read_text())
    check_parameters(spec, parameters)


def made(created, method, path, headers, body):
    """Answer as KFP does where nothing was there; keep what is made."""
    if method == "POST":
        created[path] = json.loads(body) if headers["content-type"] == "application/json" else body
        keys = {
            "experiments": {"experiment_id": "e"},
            "pipelines": {"pipeline_id": "p"},
            "runs": {"run_id": "r"},
        }
        return 200, keys.get(path, {"pipeline_version_id": "v"})
    return NOT_FOUND if path.startswith(("runs/", "pipelines/names/")) else (200, {})


async def test_in_multi_user_mode_everything_lives_in_the_runs_namespace(tmp_path):
    created = {}
    with scripted(lambda *asked: made(created, *asked)) as (host, _):
        await adapter(host, multi_user=True).launch(request(tmp_path, tmp_path, run_id="r"))
    assert (created["experiments"]["namespace"], created["pipelines"]["namespace"]) == ("team", "team")
    assert created["runs"]["experiment_id"] == "e"
    assert created["runs"]["pipeline_version_reference"] == {"pipeline_id": "p", "pipeline_version_id": "v"}
    assert MODEL_CI.read_bytes() in created["pipelines/upload_version"]


async def test_a_missing_permission_makes_no_run_and_may_come(tmp_path):
    reply = (403, {"message": "no create on runs"})
    with scripted(lambda method, path, *_: healthy(method, path, reply)) as (host, _):
        with pytest.raises(PipelinesUnavailable) as raised:
            await adapter(host).launch(request(tmp_path, tmp_path))
        assert not isinstance(raised.value, LaunchUncertain)


async def test_a_run_is_asked_for_once_more_only_where_other_ids_are_found(tmp_path):
    """What was remembered may be gone: a version in KFP's database, or the database."""
    versions, posted = ["old"], []

    def answer(method, path, headers, body):
        if path.endswith("/versions"):
            name = "model-ci-" + hashlib.sha256(MODEL_CI.read_bytes()).hexdigest()[:16]
            return 200, {"pipeline_versions": [{"name": name, "pipeline_version_id": versions[-1]}]}
        if (method, path) == ("POST", "runs"):
            run = json.loads(body)
            posted.append(run["pipeline_version_reference"]["pipeline_version_id"])
            known = posted[-1] == versions[-1] and versions[-1] != "broken"
            return (200, {"run_id": run["run_id"]}) if known else (500, {"message": "no such version"})
        return healthy(method, path, None)

    with scripted(answer) as (host, _):
        pipelines = adapter(host)
        await pipelines.launch(request(tmp_path, tmp_path))
        versions.append("new")
        await pipelines.launch(request(tmp_path, tmp_path))
        assert posted == ["old", "old", "new"]
        versions.append("broken")
        with pytest.raises(LaunchUncertain, match="no such version"):
            await pipelines.launch(request(tmp_path, tmp_path))
        assert posted[3:] == ["new", "broken"]
        with pytest.raises(LaunchUncertain, match="no such version"):
            await pipelines.launch(request(tmp_path, tmp_path))
        assert posted[5:] == ["broken"]


async def test_a_name_that_the_database_cannot_hold_is_not_sent(tmp_path):
    names = []

    def answer(method, path, headers, body):
        if (method, path) == ("POST", "runs"):
            names.append(json.loads(body)["display_name"])
            return 200, {"run_id": json.loads(body)["run_id"]}
        return healthy(method, path, None)

    with scripted(answer) as (host, _):
        for name in ("team/\N{ROCKET}", "x" * 300):
            await adapter(host).launch(replace(request(tmp_path, tmp_path), name=name))
    assert names == ["team/?", "x" * 255]


@pytest.mark.parametrize("state", ["CANCELING", "FAILED", "SUCCEEDED"])
async def test_terminating_what_is_ending_or_has_ended_is_no_error(state):
    """KFP refuses it, though the Workflow may never have been told: the caller asks until the run has ended."""

    def answer(method, path, *_):
        if method == "POST":
            return 400, {"message": "Failed to terminate"}
        return 200, {"run_id": "r", "state": state}

    with scripted(answer) as (host, seen):
        await adapter(host).terminate("team", "r")
        assert seen == [("POST", "runs/r:terminate"), ("GET", "runs/r")]


async def test_a_terminate_that_fails_on_the_way_is_unavailable():
    failing = scripted(lambda *_: (500, {"message": "the workflow was not told"}))
    with failing as (host, _), pytest.raises(PipelinesUnavailable, match="the workflow was not told"):
        await adapter(host).terminate("team", "r")


async def test_the_task_that_failed_is_named_where_the_run_has_no_error():
    tasks = [
        {"display_name": "fetch-model", "state": "SUCCEEDED"},
        {"display_name": "evaluate-quality", "state": "FAILED", "error": {"message": "exit code 1"}},
    ]
    run = {"run_id": "r", "state": "FAILED", "created_at": "2026-03-01T12:00:00Z"}
    with scripted(lambda *_: (200, {**run, "run_details": {"task_details": tasks}})) as (host, _):
        state = await adapter(host).get("team", "r")
    assert state.message == "evaluate-quality: exit code 1"
    assert state.started_at == datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_a_run_has_the_service_account_that_it_was_asked_for(tmp_path):
    sent = []

    def answer(method, path, headers, body):
        if (method, path) == ("POST", "runs"):
            sent.append(json.loads(body))
            return 200, {"run_id": sent[-1]["run_id"]}
        return healthy(method, path, None)

    with scripted(answer) as (host, _):
        await adapter(host).launch(replace(request(tmp_path, tmp_path), service_account="ci"))
        await adapter(host).launch(request(tmp_path, tmp_path))
    assert [run.get("service_account") for run in sent] == ["ci", None]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_uri": "s3://m/🙂"}, "parameter model_uri holds '🙂', which Kubeflow Pipelines cannot keep"),
        ({"gates": [{"metric": "a", "note": ["𝒙"]}]}, "parameter gates holds '𝒙'"),
        (
            {"label_column": "{{$.outputs}}"},
            "parameter label_column holds '{{$', which Kubeflow",
        ),
    ],
)
async def test_parameters_that_kfp_cannot_keep_are_refused_before_it_is_asked(tmp_path, changes, says):
    """KFP makes the Workflow first and fails on the row, each time that it is asked."""
    with scripted(lambda *_: NOT_FOUND) as (host, seen):
        with pytest.raises(PipelinesRefused, match=says.replace("{{$", r"\{\{\$")):
            await adapter(host).launch(request("m", tmp_path, **changes))
        assert seen == []
