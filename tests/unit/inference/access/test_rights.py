"""What a key allows, over REST and gRPC; and labels that nobody may send."""

from __future__ import annotations

import grpc
import pytest
from mooring_inference.access.api_keys import ApiKeys, ApiKeysError
from mooring_inference.grpc_front.schema import message
from mooring_inference.rest.routes import METHODS, RIGHTS

from tests.unit.inference.grpc_front.test_grpc_front import grpc_running, infer_request, unary
from tests.unit.inference.inference_process import BODY, running, save_negation

KEYS = """# the team's
plain-key-0123456789
predict-key-0123456789 rights=predict
labels-key-0123456789   rights=labels
both-key-0123456789\trights=predict,labels
admin-key-0123456789 rights=admin
twice-key-0123456789 rights=predict
twice-key-0123456789 rights=admin
a key with spaces in it
"""
METRICS = "metrics-key-0123456789 rights=metrics\n"
LABEL = {"id": "a", "value": 1}
EXPLAIN = {"instances": [[1, 2]]}

PATHS = {
    "infer": ("POST", "/v2/models/m/infer", BODY),
    "predict": ("POST", "/v1/models/m:predict", EXPLAIN),
    "explain": ("POST", "/v1/models/m:explain", EXPLAIN),
    "labels": ("POST", "/v2/models/m/labels", LABEL),
    "load": ("POST", "/v2/repository/models/m/load", None),
    "unload": ("POST", "/v2/repository/models/other/unload", None),
    "index": ("POST", "/v2/repository/index", None),
    "model": ("GET", "/v2/models/m", None),
    "server": ("GET", "/v2", None),
    "models": ("GET", "/v1/models", None),
    "openapi": ("GET", "/openapi.json", None),
    "docs": ("GET", "/docs", None),
    "metrics": ("GET", "/metrics", None),
    "alive": ("GET", "/", None),
    "live": ("GET", "/v2/health/live", None),
    "ready": ("GET", "/v2/health/ready", None),
    "model_ready": ("GET", "/v2/models/m/ready", None),
    "model_status": ("GET", "/v1/models/m", None),
}
OPEN = {"alive", "live", "ready", "model_ready", "model_status"}


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


def test_every_action_is_in_the_table():
    assert set(PATHS) == set(METHODS)
    assert set(RIGHTS) <= set(METHODS)


async def ask(client, action, key):
    method, path, body = PATHS[action]
    headers = {"x-api-key": key} if key else {}
    return await client.request(method, path, json=body, headers=headers)


@pytest.mark.parametrize("has_metrics_right", [False, True])
async def test_a_key_may_do_what_its_line_says(model_dir, tmp_path, has_metrics_right):
    (tmp_path / "keys").write_text(KEYS + (METRICS if has_metrics_right else ""))
    flags = [f"--api_keys={tmp_path}/keys", f"--capture_uri={tmp_path}/capture", "--allow_repository_changes"]
    async with running(model_dir, *flags, "--drain_seconds=0") as (_, client):
        rights = {
            "plain-key-0123456789": {"predict"},
            "predict-key-0123456789": {"predict"},
            "labels-key-0123456789": {"labels"},
            "both-key-0123456789": {"predict", "labels"},
            "admin-key-0123456789": {"admin"},
            "twice-key-0123456789": {"predict", "admin"},
            "a key with spaces in it": {"predict"},
            **({"metrics-key-0123456789": {"metrics"}} if has_metrics_right else {}),
        }
        for key, allowed in (*rights.items(), (None, None), ("wrong-key-0123456789", None)):
            for action in PATHS:
                answer = await ask(client, action, key)
                needed = RIGHTS.get(action)
                is_open = action in OPEN or (action == "metrics" and not has_metrics_right)
                if is_open:
                    assert answer.status_code == 200, (key, action)
                elif allowed is None:
                    assert answer.status_code == 401, (key, action)
                elif needed is not None and needed not in allowed:
                    assert answer.status_code == 403, (key, action)
                    assert answer.json()["error"] == (
                        f"the key does not have the right {needed}: its line in the file of keys needs rights={needed}"
                    )
                else:
                    assert answer.status_code not in (401, 403), (key, action, answer.text)


async def test_a_key_may_do_over_grpc_what_its_line_says(model_dir, tmp_path):
    (tmp_path / "keys").write_text(KEYS)
    flags = [f"--api_keys={tmp_path}/keys", "--allow_repository_changes"]
    async with grpc_running(model_dir, *flags) as (_, address), grpc.aio.insecure_channel(address) as channel:
        load = message("RepositoryModelLoadRequest")(model_name="m")
        table = {
            ("ModelInfer", "plain-key-0123456789"): None,
            ("ModelInfer", "labels-key-0123456789"): grpc.StatusCode.PERMISSION_DENIED,
            ("ModelInfer", "wrong-key-0123456789"): grpc.StatusCode.UNAUTHENTICATED,
            ("RepositoryModelLoad", "plain-key-0123456789"): grpc.StatusCode.PERMISSION_DENIED,
            ("RepositoryModelLoad", "admin-key-0123456789"): None,
            ("ServerMetadata", "labels-key-0123456789"): None,
            ("ServerMetadata", "wrong-key-0123456789"): grpc.StatusCode.UNAUTHENTICATED,
        }
        requests = {
            "ModelInfer": infer_request(),
            "RepositoryModelLoad": load,
            "ServerMetadata": message("ServerMetadataRequest")(),
        }
        for (method, key), expected in table.items():
            try:
                await unary(channel, method)(requests[method], metadata=[("x-api-key", key)], timeout=30)
                code = None
            except grpc.aio.AioRpcError as error:
                code = error.code()
            assert code is expected, (method, key)


async def test_a_key_is_looked_at_before_a_message_is_read(model_dir, tmp_path):
    (tmp_path / "keys").write_text(KEYS)
    flags = [f"--api_keys={tmp_path}/keys"]
    async with grpc_running(model_dir, *flags) as (_, address), grpc.aio.insecure_channel(address) as channel:
        # As a stream, of which no message is ever sent.
        call = channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")(timeout=30)
        assert await call.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("keys", [None, "labels-key-0123456789 rights=labels,predict\n"])
async def test_a_server_can_refuse_all_labels(model_dir, tmp_path, keys):
    flags = [f"--capture_uri={tmp_path}/capture", "--refuse_labels"]
    if keys:
        (tmp_path / "keys").write_text(keys)
        flags.append(f"--api_keys={tmp_path}/keys")
    async with running(model_dir, *flags, "--drain_seconds=0") as (_, client):
        refused = await ask(client, "labels", "labels-key-0123456789")
        assert (refused.status_code, refused.json()) == (
            403,
            {"error": "labels are not taken here: --refuse_labels"},
        )
        assert (await ask(client, "infer", "labels-key-0123456789")).status_code == 200


async def test_without_keys_whoever_reaches_the_server_may_send_labels(model_dir, tmp_path):
    async with running(model_dir, f"--capture_uri={tmp_path}/capture", "--drain_seconds=0") as (_, client):
        assert (await ask(client, "labels", None)).status_code == 202


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("good-key-0123456789 rights=predict,write\n", r"expected rights=predict\|labels\|admin\|metrics"),
        ("good-key-0123456789 rights=\n", r"expected rights=predict\|labels\|admin\|metrics"),
        ("good-key-0123456789 rights=Predict\n", "with commas between, in line 1 of"),
        ("short rights=predict\n", "expected 16 characters or more in line 1 of .*, got 5"),
    ],
)
def test_a_line_that_is_wrong_is_refused_without_showing_it(tmp_path, content, said):
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(ApiKeysError, match=said) as caught:
        ApiKeys(path)
    for part in ("good-key", "write", "short rights"):
        assert part not in str(caught.value)


def test_rights_are_followed_when_the_file_changes(tmp_path):
    path = tmp_path / "keys"
    path.write_text("one-key-0123456789\n")
    keys = ApiKeys(path, interval=0)
    headers = {"x-api-key": "one-key-0123456789"}
    assert keys.check(headers, "labels").status == 403
    assert not keys.protect_metrics
    path.write_text("one-key-0123456789 rights=labels,metrics\n")
    assert keys.maybe_reload(1)
    assert keys.check(headers, "labels") is None
    assert keys.check(headers, None) is None
    assert keys.check(headers, "predict").status == 403
    assert keys.protect_metrics
