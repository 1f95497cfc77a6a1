"""`mooring adopt` reads what a real API server has, and writes what it takes."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from mooring_operator.cli.adoption.argo import adopt_rollout
from mooring_operator.cli.adoption.flagger import adopt_canary

from tests.cluster.rollout_steps import OURS, SERVING, install
from tests.unit.cli_world import invoke
from tests.unit.operator.cli.adoption import shapes

NAMESPACE = "mooring-adopt"


@pytest.fixture
def api(control_plane, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    install(control_plane.api, NAMESPACE)
    return control_plane.api


def test_an_inference_service_that_runs_is_adopted(api, capsys):
    predictor = {
        "minReplicas": 2,
        "nodeSelector": {"pool": "y"},
        "model": {
            "modelFormat": {"name": "onnx", "version": "1"},
            "storageUri": "s3://models/iris/1",
            "resources": {"limits": {"cpu": 1, "memory": "2Gi"}},
            "env": [{"name": "THREADS", "value": "2"}, {"name": "TOKEN", "valueFrom": {"x": "y"}}],
        },
    }
    metadata = {
        "name": "iris",
        "namespace": NAMESPACE,
        "annotations": {"serving.kserve.io/deploymentMode": "RawDeployment"},
    }
    api.apply(
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": metadata,
            "spec": {"predictor": predictor},
        }
    )
    code, out, err = invoke(capsys, "adopt", "isvc/iris", "-n", NAMESPACE)
    assert code == 1
    assert err == "iris: not carried over: spec.predictor.model.env.TOKEN\n"
    made = api.apply(yaml.safe_load(out))
    assert made["spec"]["serving"]["nodeSelector"] == {"pool": "y"}
    assert made["spec"]["serving"]["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    assert made["spec"]["serving"]["env"] == [{"name": "THREADS", "value": "2"}]
    api.delete(f"{OURS}/namespaces/{NAMESPACE}/modeldeployments/iris")
    api.delete(f"{SERVING}/namespaces/{NAMESPACE}/inferenceservices/iris")


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("isvc/none", f"error: InferenceService none does not exist in namespace {NAMESPACE}\n"),
        (
            "canary/none",
            "error: this cluster has no Canary resource\n"
            "hint: is it the right one (--context)? mooring adopt -f FILE reads one from a file\n",
        ),
    ],
)
def test_what_is_not_there_gets_one_sentence(api, capsys, what, says):
    assert invoke(capsys, "adopt", what, "-n", NAMESPACE) == (2, "", says)


SHAPES = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_taken(api, adopted):
    """Whether the API server takes it, by schema and rules; it says what it does not."""
    manifest = adopted.manifest
    manifest["metadata"] = {"name": "shape", "namespace": NAMESPACE}
    path = f"{OURS}/namespaces/{NAMESPACE}/modeldeployments?dryRun=All&fieldValidation=Strict"
    return api.request("POST", path, manifest)["spec"]["model"]["uri"] == shapes.MODEL["uri"]


@SHAPES
@given(item=shapes.rollouts)
def test_rollouts_of_all_shapes_become_what_the_api_server_takes(api, item):
    assert is_taken(api, adopt_rollout(item, shapes.MODEL))


@SHAPES
@given(item=shapes.canaries)
def test_canaries_of_all_shapes_become_what_the_api_server_takes(api, item):
    assert is_taken(api, adopt_canary(item, shapes.MODEL))
