"""Addresses in a spec that the operator may look up, or may not."""

import pytest
from mooring_artifacts.grants import Grants, parse_grants
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.planning.addresses import advise_grant, refuse_files, refuse_lookup
from mooring_operator.planning.rollout.plan import plan

from tests.unit.operator.planning.world import START, World

GRANTS = parse_grants('- {namespaces: [team-a], addresses: ["s3://team-a/", "models:/team-a-"]}')


def test_addresses_of_files_are_refused_but_in_development():
    addresses = {"spec.model.uri": "s3://m/v1", "spec.ci.testData.uri": "file:///var/run/secrets/token"}
    refusal = refuse_files(addresses, files=False)
    assert "spec.ci.testData.uri 'file:///var/run/secrets/token'" in refusal
    assert "MOORING_FILE_ADDRESSES" in refusal
    assert refuse_files(addresses, files=True) is None
    assert refuse_files({"spec.model.uri": "s3://m/v1"}, files=False) is None


TRAINED = "{{columns: [{{name: a, type: integer}}], trainingData: {{uri: '{}'}}}}"


@pytest.mark.parametrize(
    "spec",
    [
        {"model": {"uri": "file:///var/run/secrets/kubernetes.io/serviceaccount", "format": "onnx"}},
        {"ci": {"testData": {"uri": "file:///var/run/secrets/kubernetes.io/serviceaccount/token"}}},
        {"ci": {"testData": {"uri": "file://localhost/etc/passwd"}}},
        {"ci": {"testData": {"uri": "s3://d/t", "schema": "file:///etc/passwd"}}},
        {"ci": {"testData": {"uri": "s3://d/t", "schema": TRAINED.format("file:///etc/passwd")}}},
    ],
)
def test_deployment_with_an_address_of_a_file_is_refused_and_nothing_is_run(spec):
    model = {"uri": "s3://m/v1", "format": "onnx"}
    world = World(ModelDeploymentSpec.model_validate({"model": model, **spec}))
    decision = plan(world.spec, world.status, world.observe(), START)
    assert (decision.phase, decision.reason) == ("Failed", "AddressNotAllowed")
    assert decision.status.candidate is None
    assert [type(action).__name__ for action in decision.actions] == ["Notify"]


@pytest.mark.parametrize("uri", ["models:/digits/1", "models:/digits@champion", "models:/team-b-x@y"])
def test_registered_model_needs_a_grant(uri):
    refusal = refuse_lookup(uri, "team-a", GRANTS)
    line = refusal.partition("mooring-grants: ")[2]
    assert refuse_lookup(uri, "team-a", parse_grants(line)) is None
    assert refuse_lookup(uri, "team-b", parse_grants(line)) is not None
    # Nor a model whose name begins alike.
    other = uri.replace("@", "-2@").replace("/1", "-2/1")
    assert refuse_lookup(other, "team-a", parse_grants(line)) is not None


def test_granted_models_and_addresses_of_stores_are_not_refused():
    assert refuse_lookup("models:/team-a-digits@champion", "team-a", GRANTS) is None
    assert refuse_lookup("s3://team-b/model", "team-a", Grants()) is None


@pytest.mark.parametrize(
    ("uri", "digest", "advised"),
    [
        ("s3://team-a/model", None, False),
        ("s3://team-b/model", None, True),
        ("s3://team-b/model", "sha256:" + "0" * 64, False),
        ("pvc://claim/model", None, False),
        ("https://example.com/model", None, False),
    ],
)
def test_address_that_nobody_looks_at_is_said(uri, digest, advised):
    advice = advise_grant(uri, digest, "team-a", GRANTS)
    assert (advice is not None) is advised
    if advice is not None:
        assert (
            advise_grant(uri, digest, "team-a", parse_grants(advice.partition("mooring-grants: ")[2])) is None
        )
