"""What addresses of models resolve to, against a real MLflow server and real files."""

import os
import signal
import subprocess
import sys
import time

import httpx
import pytest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api.model_deployment import ModelSpec

from cluster.processes import free_ports

pytestmark = pytest.mark.timeout(240)


def model(uri, **fields):
    return ModelSpec.model_validate({"uri": uri, "format": "onnx", **fields})


def make_model(folder, content):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    return f"file://{folder}"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    """The address of a server that hands out its artifacts' own addresses."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_ports(1)[0]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
        "--no-serve-artifacts", "--default-artifact-root", f"file://{folder}/artifacts",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while not _healthy(url):
            assert server.poll() is None, (folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def register(mlflow):
    def post(path, body):
        answer = httpx.post(f"{mlflow}/api/2.0/mlflow/{path}", json=body, timeout=60)
        assert answer.status_code in (200, 400), answer.text
        return answer.json()

    def version(name, source, alias=None):
        post("registered-models/create", {"name": name})
        answer = post("model-versions/create", {"name": name, "source": source})
        assert "model_version" in answer, answer
        made = answer["model_version"]["version"]
        if alias:
            post("registered-models/alias", {"name": name, "alias": alias, "version": made})
        return made

    return version


def _healthy(url):
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


async def test_a_version_resolves_to_where_its_files_are(mlflow, register):
    version = register("digits", "pvc://models/digits/v1")
    resolved = await ModelSources(mlflow).resolve(model(f"models:/digits/{version}"))
    assert (resolved.storage_uri, resolved.digest) == ("pvc://models/digits/v1", None)


async def test_an_alias_that_moves_is_noticed_after_the_poll_interval(mlflow, register):
    now = 0.0
    sources = ModelSources(mlflow, clock=lambda: now)
    register("moving", "pvc://models/moving/v1", alias="champion")
    spec = model("models:/moving@champion", pollInterval="1m")
    first = await sources.resolve(spec)
    assert first.storage_uri == "pvc://models/moving/v1"
    register("moving", "pvc://models/moving/v2", alias="champion")
    now = 30.0
    assert await sources.resolve(spec) == first
    now = 60.0
    assert (await sources.resolve(spec)).storage_uri == "pvc://models/moving/v2"


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("models:/nobody/1", "'nobody'"),
        ("models:/nobody@champion", "'nobody'"),
    ],
)
async def test_what_the_registry_does_not_know_is_named(mlflow, uri, named):
    with pytest.raises(ModelNotFound) as raised:
        await ModelSources(mlflow).resolve(model(uri))
    assert named in raised.value.message


async def test_a_registry_that_does_not_answer_is_waited_for():
    with pytest.raises(RegistryUnavailable, match=r"cannot reach MLflow at http://127\.0\.0\.1:9"):
        await ModelSources("http://127.0.0.1:9").resolve(model("models:/digits/1"))


async def test_without_a_registry_its_addresses_are_refused_with_the_setting():
    with pytest.raises(ModelNotFound, match="MOORING_MLFLOW_TRACKING_URI"):
        await ModelSources(None).resolve(model("models:/digits/1"))


async def test_files_have_to_be_what_the_digest_says(tmp_path):
    uri = make_model(tmp_path / "v1", b"one")
    digest = (await ModelSources(None).resolve(model(uri))).digest
    assert (await ModelSources(None).resolve(model(uri, digest=digest))).digest == digest
    with pytest.raises(ModelNotFound) as raised:
        await ModelSources(None).resolve(model(uri, digest="sha256:" + "0" * 64))
    assert raised.value.reason == "DigestMismatch"
    with pytest.raises(ModelNotFound, match="does not exist"):
        await ModelSources(None).resolve(model(f"file://{tmp_path}/gone"))


@pytest.mark.parametrize("uri", ["pvc://models/v1", "oci://registry/model:1", "hf://org/model"])
async def test_an_address_that_only_kserve_can_read_stands_for_itself(uri):
    resolved = await ModelSources(None).resolve(model(uri))
    assert (resolved.storage_uri, resolved.digest) == (uri, None)
