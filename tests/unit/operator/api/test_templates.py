"""What the models say of the fields that go to KServe: the last line behind the API server's rules."""

import json

import pytest
from mooring_operator.api import ModelDeploymentSpec, crds
from mooring_operator.api.serving import LARGEST_SERVING, ServingSpec
from mooring_operator.api.templates import TEMPLATE_SCHEMA
from mooring_operator.planning import identity
from pydantic import ValidationError

from tests.unit.spec_table_fields import FIELDS

CLIENT_SIDE = 262_144
"""What an annotation may hold: kubectl apply writes the whole definition into one."""
BY_THE_API_SERVER_ALONE = ("autoscaling", "which replaces the runtime", "scaler KEDA", "scaler None")


@pytest.mark.parametrize("case", FIELDS, ids=lambda case: case.name)
def test_the_models_judge_fields_like_the_api_server(case):
    if any(words in case.says for words in BY_THE_API_SERVER_ALONE):
        return
    try:
        ModelDeploymentSpec.model_validate(case.manifest["spec"])
        accepted = True
    except ValidationError:
        accepted = False
    assert accepted == case.accepted


def test_a_template_has_an_end():
    room = {"model": {"args": ["x" * (LARGEST_SERVING - 100)]}}
    ServingSpec.model_validate({"template": room})
    room["model"]["args"].append("x" * 200)
    with pytest.raises(ValidationError, match=f"at most {LARGEST_SERVING} are allowed in all"):
        ServingSpec.model_validate({"template": room})


def test_nesting_in_a_template_has_an_end():
    """A thousand levels would stop whoever reads a list of deployments."""

    def depth(schema):
        below = [*schema.get("properties", {}).values()]
        below += [
            schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)
        ]
        return 1 + max(map(depth, below), default=0)

    assert depth(TEMPLATE_SCHEMA) < 20


def test_a_definition_fits_into_an_annotation():
    for resource in crds.RESOURCES:
        text = json.dumps(crds.custom_resource_definition(resource), separators=(",", ":"))
        assert len(text) < CLIENT_SIDE, resource.kind


def test_a_snapshot_has_every_field_but_the_budget():
    said = {
        "args": ["a"],
        "template": {"hostNetwork": True},
        "transformer": {"containers": [{"name": "a", "image": "b"}]},
        "podDisruptionBudget": {"minAvailable": 1},
    }
    snapshot = identity.serving_snapshot(ServingSpec.model_validate(said))
    assert snapshot == {name: said[name] for name in ("args", "template", "transformer")}


@pytest.mark.parametrize(
    ("field", "pod"),
    [
        ("template", {"containers": [{"name": "kserve-container"}, {"name": "kserve-container"}]}),
        ("template", {"containers": [{"name": "log"}], "initContainers": [{"name": "log"}]}),
        ("transformer", {"containers": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}),
        ("explainer", {"containers": [{"name": "a"}, {"name": "a"}]}),
    ],
)
def test_two_containers_of_one_name_are_refused(field, pod):
    """They would be merged into one, or no pod of them would ever start."""
    with pytest.raises(ValidationError, match=rf"{field}\.containers: '.+' is the name of two containers"):
        ServingSpec.model_validate({field: pod})
    ServingSpec.model_validate({field: {"containers": [{"name": "a"}, {"name": "b"}]}})


@pytest.mark.parametrize("edges", ["1,2,2.0", "1,2,1.5", "0,-0"])
def test_edges_of_a_bucket_that_do_not_rise_are_refused(edges):
    """An edge twice is more than a rule of a definition can find out."""
    capture = {"store": "s3://captured", "mask": {"age": f"bucket:{edges}"}}
    with pytest.raises(ValidationError, match="'age' has edges that do not rise"):
        ServingSpec.model_validate({"capture": capture})
