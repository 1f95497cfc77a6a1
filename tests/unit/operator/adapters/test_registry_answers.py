"""Whatever answers for a registry, the outcome is a model, one sentence about it, or patience."""

import gzip
import json

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.grants import parse_grants
from mooring_operator.adapters.mlflow import MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api.model_deployment import ModelSpec

GRANTS = parse_grants('- {namespaces: [team-a], addresses: ["models:/digits", "s3://"]}')
VERSION = ModelSpec.model_validate({"uri": "models:/digits/1", "format": "onnx"})
ALIAS = ModelSpec.model_validate(
    {"uri": "models:/digits@champion", "format": "onnx", "digest": "sha256:" + "1" * 64}
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["version", "aliases"]), inner)
    ),
    max_leaves=5,
)
answers = st.dictionaries(st.sampled_from(["model_version", "artifact_uri"]), values) | values


async def resolve(model, answer):
    """What becomes of a lookup where this is the answer to every request."""
    asked = []

    def handle(request):
        asked.append(request)
        return answer() if callable(answer) else answer

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(handle)) as client:
        sources = ModelSources(MlflowRest("http://mlflow", client=client), lambda: GRANTS)
        try:
            return await sources.resolve(model, "team-a"), asked
        except (ModelNotFound, RegistryUnavailable) as error:
            return error, asked


def says(artifact_uri):
    return httpx2.Response(200, json={"artifact_uri": artifact_uri, "model_version": {"version": "1"}})


@given(answers, st.sampled_from([VERSION, ALIAS]))
async def test_any_json_is_no_surprise(value, model):
    found, _ = await resolve(model, httpx2.Response(200, content=json.dumps(value).encode()))
    assert len(str(found)) < 3000


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>login</html>",
        b"[" * 100_000,
        b'{"artifact_uri": "s3://m/x"',
        b"\xff\xfe",
        b"NaN",
        b"1" * 5000,
    ],
)
async def test_what_is_no_answer_of_mlflows_is_waited_out(content):
    found, _ = await resolve(VERSION, httpx2.Response(200, content=content))
    assert isinstance(found, RegistryUnavailable)
    assert str(found) == "what answers at http://mlflow does not answer as MLflow does"


async def test_an_endless_answer_is_not_read_to_its_end():
    read = 0

    async def endless():
        nonlocal read
        while True:
            read += 1 << 16
            assert read < 64 << 20
            yield b" " * (1 << 16)

    found, _ = await resolve(VERSION, lambda: httpx2.Response(200, content=endless()))
    assert isinstance(found, RegistryUnavailable)


async def test_an_answer_that_is_packed_is_not_unpacked():
    packed = httpx2.Response(
        200, content=gzip.compress(b" " * (64 << 20)), headers={"Content-Encoding": "gzip"}
    )
    found, asked = await resolve(VERSION, packed)
    assert isinstance(found, RegistryUnavailable)
    assert asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [204, 301, 302, 307, 405, 418, 429, 500, 503])
async def test_what_says_nothing_about_the_model_is_waited_out(status):
    elsewhere = httpx2.Response(status, headers={"Location": "http://169.254.169.254/latest"}, content=b"{}")
    found, asked = await resolve(VERSION, elsewhere)
    assert isinstance(found, RegistryUnavailable)
    assert str(found) == f"MLflow at http://mlflow answered {status}"
    assert [request.url.host for request in asked] == ["mlflow"]


@pytest.mark.parametrize("status", [401, 403])
async def test_credentials_that_are_refused_are_waited_out_and_named(status):
    found, _ = await resolve(VERSION, httpx2.Response(status, content=b"{}"))
    assert isinstance(found, RegistryUnavailable)
    assert str(found).startswith(
        f"MLflow at http://mlflow answered {status}: the operator's MOORING_MLFLOW_USER"
    )


@pytest.mark.parametrize("status", [400, 404])
async def test_a_model_that_there_is_not_is_named(status):
    found, _ = await resolve(VERSION, httpx2.Response(status, json={"error_code": "RESOURCE_DOES_NOT_EXIST"}))
    assert (found.reason, found.message) == ("ModelNotFound", "MLflow knows no name 'digits' version '1'")


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIA:topsecret@bucket/model",
        "https://user:topsecret@example.com/model",
        "https://topsecret@example.com/model",
        "https://example.com/model?sig=topsecret",
        "sftp://user:topsecret@example.com/model",
    ],
)
async def test_credentials_in_an_address_are_shown_to_nobody(address):
    found, _ = await resolve(VERSION, says(address))
    assert isinstance(found, ModelNotFound)
    assert found.reason == "AddressNotAllowed"
    assert "with a user or a query" in found.message
    assert "topsecret" not in found.message


@pytest.mark.parametrize("address", ["abfss://models@account.dfs.core.windows.net/iris", "gs://b/iris@v2"])
async def test_an_at_sign_that_names_no_user_is_fine(address):
    found, _ = await resolve(VERSION, says(address))
    assert found.storage_uri == address


@pytest.mark.parametrize(
    "address",
    ["oci+native://registry/iris:1", "oci+fetch://registry/iris:1", "oci://r/i", "pvc://claim/iris"],
)
async def test_a_registry_lends_no_image_and_no_claim_by_any_of_kserves_schemes(address):
    found, _ = await resolve(VERSION, says(address))
    assert isinstance(found, ModelNotFound)
    assert "for those who may name it" in found.message
