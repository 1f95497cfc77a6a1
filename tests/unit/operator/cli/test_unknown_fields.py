"""Fields that are not there: what is said of a wrong indent, and of the names of other tools."""

import pytest
import yaml
from mooring_operator.api.crds import MODEL_DEPLOYMENT, custom_resource_definition
from mooring_operator.cli.validation.check import check_document
from mooring_operator.cli.validation.source import read_documents
from mooring_operator.cli.validation.unknown import ELSEWHERE, has_field

MODEL = {"uri": "s3://models/iris/1", "format": "onnx"}
STEPS = [{"setWeight": 10}, {"setWeight": 100}]


def said(spec, kind="ModelDeployment"):
    manifest = {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "iris"},
        "spec": spec,
    }
    (document,) = read_documents(yaml.safe_dump(manifest))
    return [f"{problem.field}: {problem.message}" for problem in check_document(document).problems]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"model": MODEL, "steps": STEPS}, "spec.steps: unknown field; there is spec.rollout.steps"),
        (
            {"model": MODEL, "volumes": []},
            "spec.volumes: unknown field; there is spec.serving.template.volumes",
        ),
        (
            {"model": {}, **MODEL},
            "spec.format: unknown field; there is spec.model.format or spec.batch.format",
        ),
        (
            {"model": MODEL, "rollout": {"steps": [{"pause": None, "duration": "10m"}, *STEPS]}},
            "spec.rollout.steps[0].duration: unknown field; there is spec.rollout.steps[0].pause.duration or "
            "spec.rollout.steps[0].analyse.duration",
        ),
        (
            {"model": MODEL, "rollout": {"window": {"start": "Fri 18:00"}, "start": "Fri 18:00"}},
            "spec.rollout.start: unknown field; there is spec.rollout.freeze[].start",
        ),
        # Nothing near has it, and what is far was not meant.
        (
            {"model": {**MODEL, "steps": STEPS}},
            "spec.model.steps: unknown field; "
            "known here: digest, format, formatVersion, pollInterval, promoteAlias, signature, uri",
        ),
        ({"model": MODEL, "sreving": {}}, "spec.sreving: unknown field; did you mean serving?"),
    ],
)
def test_a_wrong_indent_is_told_with_the_place_that_has_the_field(spec, message):
    assert message in said(spec)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"model": MODEL, "replicas": 3}, "spec.replicas: unknown field; there is spec.serving.minReplicas"),
        ({"predictor": {}}, "spec.predictor: unknown field; there is spec.serving"),
        (
            {"model": MODEL, "rollout": {"steps": [{"setMirrorRoute": {}}, *STEPS]}},
            "spec.rollout.steps[0].setMirrorRoute: unknown field; there is spec.rollout.shadow",
        ),
        (
            {"model": MODEL, "rollout": {"progressDeadlineSeconds": 600}},
            "spec.rollout.progressDeadlineSeconds: unknown field; there is spec.rollout.progressDeadline",
        ),
    ],
)
def test_names_of_other_tools_are_told_with_ours(spec, message):
    assert message in said(spec)


def test_names_of_other_tools_are_hints_for_kinds_that_have_ours():
    (problem,) = [text for text in said({"replicas": 3}, "DriftMonitor") if text.startswith("spec.replicas")]
    assert "spec.serving" not in problem


def test_every_name_of_other_tools_leads_to_a_field_and_is_none_of_ours_there():
    definition = custom_resource_definition(MODEL_DEPLOYMENT)
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    lost = {name: place for name, place in ELSEWHERE.items() if not has_field(schema, place)}
    assert lost == {}
    assert not has_field(schema, "spec.rollout.nothing")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"model": {**MODEL, "pollInterval": 600}},
            "spec.model.pollInterval: must be a string, got the integer 600; write hours, minutes and seconds, "
            "each from 1 to 99999, like 1h30m or 45s",
        ),
        (
            {"model": MODEL, "rollout": {"steps": [{"setWeight": "10%"}, {"setWeight": 100}]}},
            'spec.rollout.steps[0].setWeight: must be an integer, got the string "10%"; write 10',
        ),
        (
            {"model": MODEL, "serving": {"minReplicas": "some"}},
            'spec.serving.minReplicas: must be an integer, got the string "some"',
        ),
        (
            {"model": MODEL, "rollout": {"strategy": {"canary": {}}}},
            "spec.rollout.strategy: must be a string, got a mapping; write one of Canary, BlueGreen, Shadow, ABTest, "
            "Recreate",
        ),
        (
            {"model": MODEL, "serving": {"gpu": 1}},
            "spec.serving.gpu: must be a mapping, got the integer 1; it has count, resourceName",
        ),
        (
            {"model": MODEL, "serving": {"resources": {"limits": {"cpu": 0.5}}}},
            "spec.serving.resources.limits.cpu: must be an integer or a string, got the number 0.5; quote it",
        ),
        (
            {"model": MODEL, "serving": {"env": [{"name": "A", "value": 1}]}},
            "spec.serving.env[0].value: must be a string, got the integer 1; quote it",
        ),
    ],
)
def test_another_type_is_told_with_what_to_write(spec, message):
    assert message in said(spec)
