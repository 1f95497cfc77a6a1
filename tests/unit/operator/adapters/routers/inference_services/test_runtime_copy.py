"""Copies of serving runtimes."""

import json

import pytest
from mooring_operator.adapters.routers.inference_services.runtime_copy import copy_of, pinned

from tests.unit.operator.adapters.routers.revisions import OWNER, revision


def runtime(**spec):
    annotations = {"serving.kserve.io/server-type": "mlserver", "argocd.argoproj.io/tracking-id": "x"}
    formats = [{"name": "onnx", "version": "1", "autoSelect": True, "priority": 2}]
    return {
        "metadata": {"name": "ours", "annotations": annotations, "resourceVersion": "7"},
        "spec": {"supportedModelFormats": formats, "containers": [], **spec},
    }


def copied(**spec):
    return copy_of(OWNER, revision(), pinned("ClusterServingRuntime", runtime(**spec)))


def test_a_copy_is_chosen_for_no_other_model_and_keeps_what_kserve_reads():
    copy = copied(annotations={"prometheus.kserve.io/port": "8080"})
    assert copy["kind"] == "ServingRuntime"
    assert copy["metadata"]["name"] == "digits-raaaabbbb"
    assert copy["metadata"]["annotations"] == {"serving.kserve.io/server-type": "mlserver"}
    assert copy["spec"]["supportedModelFormats"] == [{"name": "onnx", "version": "1"}]
    assert copy["spec"]["annotations"] == {"prometheus.kserve.io/port": "8080"}
    assert copy["metadata"]["ownerReferences"][0]["uid"] == "uid-1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--model_name={{.Name}}", "--model_name=digits"),
        ("{{ .Name }}/{{- .Name -}}", "digits/digits"),
        ("{{.Labels.modelClass}} {{.Namespace}}", "{{.Labels.modelClass}} {{.Namespace}}"),
        ("{{.Named}} .Name", "{{.Named}} .Name"),
    ],
)
def test_the_models_name_is_the_deployments_whatever_the_revision(text, expected):
    copy = copied(
        containers=[{"name": "kserve-container", "args": [text], "env": [{"name": "A", "value": text}]}]
    )
    assert copy["spec"]["containers"] == [
        {"name": "kserve-container", "args": [expected], "env": [{"name": "A", "value": expected}]}
    ]


def test_what_is_kept_of_a_runtime_can_be_kept_in_a_status():
    kept = pinned("ServingRuntime", runtime())
    written = json.loads(json.dumps(kept.model_dump(mode="json", by_alias=True)))
    assert type(kept).model_validate(written) == kept


def test_kserves_own_runtimes_are_known_by_their_names_and_copies_by_annotation():
    theirs = {"metadata": {"name": "kserve-tritonserver"}, "spec": {}}
    kept = pinned("ClusterServingRuntime", theirs)
    assert kept.server_type == "tritonserver"
    copy = copy_of(OWNER, revision(), kept)
    assert copy["metadata"]["annotations"] == {"serving.kserve.io/server-type": "tritonserver"}
