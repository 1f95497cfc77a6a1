"""Predictors of InferenceServices."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.inference_services.manifest import predictor, scaling

from tests.unit.operator.adapters.routers.revisions import revision


@pytest.mark.parametrize(
    ("serving", "path", "value"),
    [
        ({"gpu": {"count": 2}}, "model.resources", {"limits": {"nvidia.com/gpu": "2"}}),
        (
            {"gpu": {"count": 1, "resourceName": "amd.com/gpu"}},
            "model.resources",
            {"limits": {"amd.com/gpu": "1"}},
        ),
        ({"nodeSelector": {"gpu": "l4"}}, "nodeSelector", {"gpu": "l4"}),
        (
            {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
            "tolerations",
            [{"key": "gpu", "operator": "Exists"}],
        ),
        ({"affinity": {"nodeAffinity": {}}}, "affinity", {"nodeAffinity": {}}),
        ({"runtime": "mine"}, "model.runtime", "mine"),
        ({"serviceAccountName": "reader"}, "serviceAccountName", "reader"),
        ({"maxReplicas": 6}, "maxReplicas", 6),
        ({"autoscaling": {"metric": "memory", "target": 70}}, "scaleMetric", "memory"),
        ({"autoscaling": {"metric": "memory", "target": 70}}, "scaleTarget", 70),
        (
            {"batching": {"maxBatchSize": 8, "maxLatencyMs": 250}},
            "batcher",
            {"maxBatchSize": 8, "maxLatency": 250},
        ),
        ({"mode": "Knative", "minReplicas": 0}, "minReplicas", 0),
        ({"mode": "Knative", "minReplicas": 0}, "maxReplicas", 1),
    ],
)
def test_what_serving_says_is_where_kserve_reads_it(serving, path, value):
    made = revision(**serving)
    found = {**predictor(made), **scaling(made.serving_spec)}
    for part in path.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize("text", ["$(DB_PASSWORD)", "$$(DB_PASSWORD)", "plain"])
def test_variables_of_a_spec_are_not_expanded_in_the_pod(text):
    written, ours = predictor(revision(env=[{"name": "A", "value": text}]))["model"]["env"]
    assert written == {"name": "A", "value": text.replace("$", "$$")}
    assert ours == {"name": "MOORING_REVISION", "value": "aaaabbbbcc"}


def executed(text):
    """What KServe makes of a value in a container; of programs only the one that gives its text is known here."""
    out, at = "", 0
    while (start := text.find("{{", at)) >= 0:
        literal = re.match(r"\{\{`([^`]*)`\}\}", text[start:])
        assert literal, f"KServe would execute {text[start:]}"
        out, at = out + text[at:start] + literal[1], start + literal.end()
    return out + text[at:]


@given(st.text(alphabet='{}`-. $/*"\\a'))
@example("{{.Name}}")
@example("{{{{{")
@example("{{/* */}}{{`{{`}}")
@example("{{$a := printf `%1000000d` 1}}{{$a = printf `%s%s` $a $a}}")
def test_variables_of_a_spec_are_no_programs_for_kserve(text):
    """KServe executes a model's container as a template, in the process that serves every tenant."""
    (written, _) = predictor(revision(env=[{"name": "A", "value": text}]))["model"]["env"]
    assert executed(written["value"]).replace("$$", "$") == text


TESTED = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("uri", "is_folder", "told"),
    [
        ("s3://models/churn/1", True, "s3://models/churn/1/"),
        ("s3://models/churn/1/", True, "s3://models/churn/1/"),
        ("s3://models/churn.onnx", False, "s3://models/churn.onnx"),
        ("gs://models/churn/1", True, "gs://models/churn/1"),
        ("file:///models/churn", True, "file:///models/churn"),
    ],
)
def test_kserve_is_told_to_bring_the_files_that_were_tested_and_not_their_neighbours(uri, is_folder, told):
    """Given ``churn/1``, KServe brings what lies in ``churn/10`` as well."""
    made = revision()
    tested = made.as_revision(storage_uri=uri, brought={"digest": TESTED, "isFolder": is_folder})
    assert predictor(tested)["model"]["storageUri"] == told
    assert predictor(made.as_revision(storage_uri=uri))["model"]["storageUri"] == uri


def test_a_server_is_told_which_files_were_tested():
    digest = {"name": "MOORING_MODEL_DIGEST", "value": TESTED}
    made = revision()
    assert digest in predictor(made.as_revision(brought={"digest": TESTED}))["model"]["env"]
    for unknown in (made, made.as_revision(brought={"isFolder": True})):
        assert [one["name"] for one in predictor(unknown)["model"]["env"]] == ["MOORING_REVISION"]


def test_a_spec_cannot_say_that_other_files_were_tested():
    made = revision(env=[{"name": "MOORING_MODEL_DIGEST", "value": "sha256:" + "b" * 64}])
    env = predictor(made.as_revision(brought={"digest": TESTED}))["model"]["env"]
    assert [one["value"] for one in env if one["name"] == "MOORING_MODEL_DIGEST"] == [TESTED]
