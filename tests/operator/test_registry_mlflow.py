"""What addresses of models resolve to, against a real MLflow server and real files."""

import httpx
import httpx2
import pytest
from mooring_artifacts.grants import Grant, Grants, parse_grants
from mooring_operator.adapters import model_sources
from mooring_operator.adapters.mlflow import MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.planning.rollout.situation import Resolved

pytestmark = pytest.mark.timeout(240)


def granted(*addresses, files=False):
    """Grants to namespace team-a."""
    grants = Grants((Grant(("team-a",), addresses),), files)
    return lambda: grants


EVERYTHING = granted("s3://", "models:/", files=True)


def model(uri, **fields):
    return ModelSpec.model_validate({"uri": uri, "format": "onnx", **fields})


def make_model(folder, content):
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(content)
    return f"file://{folder}"


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


async def test_a_version_resolves_to_where_its_files_are(mlflow, register):
    version = register("digits", "gs://models/digits/v1")
    resolved = await ModelSources(MlflowRest(mlflow), EVERYTHING).resolve(
        model(f"models:/digits/{version}"), "team-a"
    )
    assert resolved == Resolved("gs://models/digits/v1", registered=f"digits/{version}")


async def test_an_alias_that_moves_is_noticed_after_the_poll_interval(mlflow, register):
    now = 0.0
    sources = ModelSources(MlflowRest(mlflow), EVERYTHING, clock=lambda: now)
    register("moving", "gs://models/moving/v1", alias="champion")
    spec = model("models:/moving@champion", pollInterval="1m")
    first = await sources.resolve(spec, "team-a")
    assert first.storage_uri == "gs://models/moving/v1"
    register("moving", "gs://models/moving/v2", alias="champion")
    now = 30.0
    assert await sources.resolve(spec, "team-a") == first
    now = 60.0
    assert await sources.resolve(spec, "team-a") == Resolved("gs://models/moving/v2", registered="moving/2")


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("models:/nobody/1", "'nobody'"),
        ("models:/nobody@champion", "'nobody'"),
    ],
)
async def test_what_the_registry_does_not_know_is_named(mlflow, uri, named):
    with pytest.raises(ModelNotFound) as raised:
        await ModelSources(MlflowRest(mlflow), EVERYTHING).resolve(model(uri), "team-a")
    assert named in raised.value.message


async def test_a_registry_that_does_not_answer_is_waited_for():
    with pytest.raises(RegistryUnavailable, match=r"cannot reach MLflow at http://127\.0\.0\.1:9"):
        await ModelSources(MlflowRest("http://127.0.0.1:9"), EVERYTHING).resolve(
            model("models:/digits/1"), "team-a"
        )


async def test_without_a_registry_its_addresses_are_refused_with_the_setting():
    with pytest.raises(ModelNotFound, match="MOORING_MLFLOW_TRACKING_URI"):
        await ModelSources(MlflowRest(None), EVERYTHING).resolve(model("models:/digits/1"), "team-a")


async def test_files_have_to_be_what_the_digest_says(tmp_path):
    uri = make_model(tmp_path / "v1", b"one")
    digest = (await ModelSources(MlflowRest(None), EVERYTHING).resolve(model(uri), "team-a")).digest
    assert (
        await ModelSources(MlflowRest(None), EVERYTHING).resolve(model(uri, digest=digest), "team-a")
    ).digest == digest
    with pytest.raises(ModelNotFound) as raised:
        await ModelSources(MlflowRest(None), EVERYTHING).resolve(
            model(uri, digest="sha256:" + "0" * 64), "team-a"
        )
    assert raised.value.reason == "DigestMismatch"
    with pytest.raises(ModelNotFound, match="nothing can be read there"):
        await ModelSources(MlflowRest(None), EVERYTHING).resolve(model(f"file://{tmp_path}/gone"), "team-a")


@pytest.mark.parametrize("uri", ["gs://models/v1", "oci://registry/model:1", "hf://org/model"])
async def test_an_address_that_only_kserve_can_read_stands_for_itself(uri):
    resolved = await ModelSources(MlflowRest(None), EVERYTHING).resolve(model(uri), "team-a")
    assert (resolved.storage_uri, resolved.digest) == (uri, None)


@pytest.mark.parametrize(
    "uri", ["s3://team-b/model", "gs://team-b/model", "az://team-b/model", "s3://team-a-b/model"]
)
async def test_what_nobody_granted_is_not_opened(uri, monkeypatch):
    def opened(*_, **__):
        raise AssertionError("the store was opened")

    monkeypatch.setattr(model_sources, "open_store", opened)
    sources = ModelSources(MlflowRest(None), granted("s3://team-a/", "gs://team-a", "az://team-a/model"))
    assert await sources.resolve(model(uri), "team-a") == Resolved(uri)
    digest = "sha256:" + "1" * 64
    assert await sources.resolve(model(uri, digest=digest), "team-a") == Resolved(uri, digest)
    granted_only_to_another = granted("s3://", "gs://", "az://")
    assert await ModelSources(MlflowRest(None), granted_only_to_another).resolve(
        model(uri), "team-b"
    ) == Resolved(uri)
    with pytest.raises(AssertionError, match="the store was opened"):
        await ModelSources(MlflowRest(None), granted_only_to_another).resolve(model(uri), "team-a")


@pytest.mark.parametrize("uri", ["models:/digits/1", "models:/digits@champion"])
async def test_a_registered_model_needs_a_grant_that_the_refusal_writes(uri):
    sources = ModelSources(MlflowRest("http://127.0.0.1:9"), granted("models:/team-a-", "s3://"))
    with pytest.raises(ModelNotFound) as raised:
        await sources.resolve(model(uri), "team-a")
    assert raised.value.reason == "AddressNotGranted"
    line = raised.value.message.partition("mooring-grants: ")[2]
    grants = parse_grants(line)
    with pytest.raises((RegistryUnavailable, ModelNotFound)) as after:
        await ModelSources(MlflowRest("http://127.0.0.1:9"), lambda: grants).resolve(model(uri), "team-a")
    assert getattr(after.value, "reason", "") != "AddressNotGranted"


async def test_where_the_registry_leads_needs_a_grant_of_its_own(mlflow, register, monkeypatch):
    listed = []
    listing = model_sources._Listing("etag:1", is_folder=True)
    monkeypatch.setattr(model_sources, "_list", lambda uri: listed.append(uri) or listing)
    version = register("elsewhere", "s3://team-b/secret")
    spec = model(f"models:/elsewhere/{version}")
    found = await ModelSources(MlflowRest(mlflow), granted("models:/elsewhere")).resolve(spec, "team-a")
    assert found == Resolved("s3://team-b/secret", registered=f"elsewhere/{version}")
    assert listed == []
    found = await ModelSources(MlflowRest(mlflow), granted("models:/elsewhere", "s3://team-b")).resolve(
        spec, "team-a"
    )
    assert found == Resolved("s3://team-b/secret", "etag:1", f"elsewhere/{version}", is_folder=True)


@pytest.mark.parametrize(
    "source", ["pvc://payments/iris", "pvc:/payments", "oci://registry.example.com/iris:1"]
)
async def test_a_registry_names_no_claims_and_no_images(source):
    """Or whoever registers models could lend what the author of a deployment may not name."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"artifact_uri": source}))
    async with httpx2.AsyncClient(transport=transport) as client:
        sources = ModelSources(MlflowRest("http://mlflow", client=client), granted("models:/odd", "s3://"))
        with pytest.raises(ModelNotFound, match="for those who may name it") as raised:
            await sources.resolve(model("models:/odd/1"), "team-a")
    assert raised.value.reason == "AddressNotAllowed"
    # Written into the spec, it is for the API server's policies to judge.
    assert (
        await ModelSources(MlflowRest(None), granted("s3://")).resolve(model(source), "team-a")
    ).storage_uri == source


@pytest.mark.parametrize(
    "source", ["file:///var/run/secrets/token", "/var/run/secrets/token", "s3://b/$(TOKEN)", "s3:b", "--help"]
)
async def test_where_the_registry_leads_has_to_be_servable(source):
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"artifact_uri": source}))
    async with httpx2.AsyncClient(transport=transport) as client:
        sources = ModelSources(MlflowRest("http://mlflow", client=client), granted("models:/odd", "s3://"))
        with pytest.raises(ModelNotFound) as raised:
            await sources.resolve(model("models:/odd/1"), "team-a")
    assert raised.value.reason == "AddressNotAllowed"


async def answered(source):
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"artifact_uri": source}))
    async with httpx2.AsyncClient(transport=transport) as client:
        sources = ModelSources(MlflowRest("http://mlflow", client=client), granted("models:/odd", "s3://"))
        return await sources.resolve(model("models:/odd/1"), "team-a")


async def test_what_mlflow_hands_out_itself_is_told_and_not_opened():
    source = "mlflow-artifacts:/1/models/m-1/artifacts"
    assert await answered(source) == Resolved(source, registered="odd/1")


@pytest.mark.parametrize(
    "source",
    [
        "mlflow-artifacts://elsewhere/1",
        "mlflow-artifacts:/1/../2",
        "mlflow-artifacts:/1/%2e%2e/2",
        "mlflow-artifacts:/",
    ],
)
async def test_where_mlflow_hands_out_has_to_be_below_its_own_root(source):
    with pytest.raises(ModelNotFound, match="leads where no run may look") as raised:
        await answered(source)
    assert raised.value.reason == "AddressNotAllowed"


async def test_errors_tell_nothing_of_what_was_read(tmp_path):
    folder = tmp_path / "secret"
    uri = make_model(folder, b"content")
    (folder / "token.txt").write_text("very secret")
    digest = (await ModelSources(MlflowRest(None), EVERYTHING).resolve(model(uri), "team-a")).digest
    for spec in (
        model(uri, digest="sha256:" + "0" * 64),
        model(f"{uri}/token.txt/x"),
        # No spec can say that; a folder that is read again checks it all the same.
        model(uri).model_copy(update={"uri": f"{uri}/../secret"}),
    ):
        with pytest.raises(ModelNotFound) as raised:
            await ModelSources(MlflowRest(None), EVERYTHING).resolve(spec, "team-a")
        said = raised.value.message
        assert digest not in said
        assert "token" not in said.replace("token.txt/x", "")
