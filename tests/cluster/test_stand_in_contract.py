"""What stands behind an InferenceService that others route to: the same of the stand-in as of KServe's own controller.

The cases of the stand-in run everywhere; KServe's need its controller, see cluster/README.md.
"""

import itertools

import pytest

from cluster.serving import workloads
from tests.cluster.deployed import ONNX, runtime
from tests.cluster.rollout_steps import SERVING, install, until

NAMESPACE = "contract"
NUMBERS = itertools.count(1)
CASES = {
    "a fixed number": ("none", {"minReplicas": 2, "maxReplicas": 2}, 2),
    "a fixed number of none": ("none", {"minReplicas": 0, "maxReplicas": 1}, 0),
    "nothing said": ("none", {}, 1),
    "an autoscaler starts with one where it may have none": ("hpa", {"minReplicas": 0, "maxReplicas": 3}, 1),
    "labels of its own": ("none", {"labels": {"team": "vision"}}, 1),
}


def service(name, scaler, predictor):
    """An InferenceService that KServe makes no route for."""
    model = {"modelFormat": {"name": "onnx"}, "storageUri": "pvc://models/x", "runtime": "contract"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"networking.kserve.io/visibility": "cluster-local"},
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": scaler,
            },
        },
        "spec": {"predictor": {"model": model, **predictor}},
    }


def made_by_the_stand_in(request, asked):
    """Deployment and Service, as the stand-in writes them."""
    return workloads.deployment(asked, workloads.replicas(asked, None)), workloads.service(asked)


def made_by_kserve(request, asked):
    """Deployment and Service, as KServe writes them."""
    api = request.getfixturevalue("kserve_cluster").api
    install(api, NAMESPACE, kserve=False)
    api.apply(runtime("contract", {**ONNX, "autoSelect": False}))
    api.apply(asked)
    name = f"{asked['metadata']['name']}-predictor"
    paths = (
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{name}",
        f"/api/v1/namespaces/{NAMESPACE}/services/{name}",
    )
    made = tuple(until(lambda path=path: api.get(path), what=f"{path} is not made") for path in paths)
    api.delete(f"{SERVING}/namespaces/{NAMESPACE}/inferenceservices/{asked['metadata']['name']}")
    return made


@pytest.mark.parametrize("make", [made_by_the_stand_in, made_by_kserve], ids=["stand-in", "KServe"])
@pytest.mark.parametrize("case", CASES)
def test_the_same_stands_behind_an_inference_service(request, case, make):
    scaler, predictor, replicas = CASES[case]
    asked = service(f"c{next(NUMBERS)}", scaler, predictor)
    deployment, front = make(request, asked)
    name = f"{asked['metadata']['name']}-predictor"
    assert deployment["metadata"]["name"] == front["metadata"]["name"] == name
    assert deployment["spec"]["replicas"] == replicas
    selected = {"app": f"isvc.{name}"}
    assert deployment["spec"]["selector"]["matchLabels"] == front["spec"]["selector"] == selected
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert {**selected, "component": "predictor", **predictor.get("labels", {})}.items() <= labels.items()
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "kserve-container"
    [port] = front["spec"]["ports"]
    # What the port is called is not compared: KServe takes the name that the container's port has.
    assert (port["port"], port["protocol"]) == (80, "TCP")
    assert port["targetPort"] == container["ports"][0]["containerPort"]
    for made in (deployment, front):
        [owner] = made["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == (
            "InferenceService",
            asked["metadata"]["name"],
            True,
        )
