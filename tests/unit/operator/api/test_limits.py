"""Everything in a spec has an end: a text, a list or a map without a limit could fill etcd and the operator."""

import pytest
from mooring_operator.api.crds import MODEL_DEPLOYMENT, RESOURCES, custom_resource_definition
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from pydantic import ValidationError

from tests.unit.largest import largest, largest_deployment


def properties(resource):
    version = custom_resource_definition(resource)["spec"]["versions"][0]
    return version["schema"]["openAPIV3Schema"]["properties"]


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.kind)
def test_every_field_of_a_spec_has_a_limit(resource):
    assert largest(properties(resource)["spec"])


def test_a_field_without_a_limit_is_noticed():
    for schema in ({"type": "string"}, {"type": "array", "items": {"type": "boolean"}}):
        with pytest.raises(AssertionError, match=r"spec\.field has no max"):
            largest({"type": "object", "properties": {"field": schema}})


def test_the_models_take_the_largest_object_and_nothing_larger():
    spec, status = largest_deployment(properties(MODEL_DEPLOYMENT))
    ModelDeploymentSpec.model_validate(spec)
    ModelDeploymentStatus.model_validate(status)
    spec["serving"]["env"][0]["value"] += "x" * 64
    with pytest.raises(ValidationError, match="at most 11264 are allowed in all"):
        ModelDeploymentSpec.model_validate(spec)
