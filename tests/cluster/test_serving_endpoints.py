"""Router Endpoints in a cluster of the demo's kind: pods are processes of the serving agent, and Kubernetes' own
controller says which of them are behind a Service."""

from collections import Counter
from contextlib import ExitStack

import httpx
import onnx
import pytest

from cluster.control_plane import ControlPlane
from cluster.network_namespace import NetworkNamespace
from cluster.programs import ProgramUnavailableError
from tests.cluster.rollout_steps import OURS, Operator, install, until
from tests.cluster.serving_agents import serving_agent
from tests.unit.inference.inference_process import BODY, save_negation

NAMESPACE, NAME = "mooring-endpoints", "digits"
PATH = f"{OURS}/namespaces/{NAMESPACE}/modeldeployments/{NAME}"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
STEPS = [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}]


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A control plane with the one controller, the serving agent and the operator, in a network of their own."""
    folder = tmp_path_factory.mktemp("endpoints")
    for version in ("v1", "v2"):
        path = save_negation(folder / "models" / version) / "model.onnx"
        # The same files would be the same revision.
        model = onnx.load(path)
        model.doc_string = version
        onnx.save(model, path)
    with ExitStack() as stack:
        try:
            stack.enter_context(NetworkNamespace())
            plane = stack.enter_context(ControlPlane(["endpoint-slices"]))
        except ProgramUnavailableError as error:
            pytest.skip(str(error))
        install(plane.api, NAMESPACE, kserve=False)
        stack.enter_context(serving_agent(plane.kubeconfig, folder))
        stack.enter_context(
            Operator(plane.kubeconfig, folder / "operator.log", namespaces=NAMESPACE, file_addresses="true")
        )
        yield Stage(plane.api, folder)


class Stage:
    def __init__(self, api, folder):
        self.api, self._folder = api, folder

    def apply(self, version):
        rollout = {"router": "Endpoints", "steps": STEPS, "scaleDownDelay": "1s", "progressDeadline": "60s"}
        spec = {
            "model": {"uri": f"file://{self._folder}/models/{version}", "format": "onnx"},
            "serving": {"minReplicas": 2, "maxReplicas": 2},
            "rollout": rollout,
        }
        metadata = {"name": NAME, "namespace": NAMESPACE}
        kind = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment"}
        self.api.apply({**kind, "metadata": metadata, "spec": spec})

    def reaches(self, phase, version):
        """Wait until the deployment is in a phase that is about a version; give its status."""

        def holds(status):
            about = status.get("candidate") or status.get("stable") or {}
            return status.get("phase") == phase and about.get("modelUri", "").endswith(f"/{version}")

        return until(lambda: self.api.get(PATH).get("status", {}), holds, what=f"{version} is not {phase}")

    def slices(self, service=NAME):
        return [
            found
            for found in self.api.items(SLICES)
            if found["metadata"]["labels"]["kubernetes.io/service-name"] == service
        ]

    def asked(self):
        """Who answers at the ready addresses behind the deployment's Service, asked once each."""
        return Counter(
            httpx.post(f"http://{address}:{port['port']}/v2/models/{NAME}/infer", json=BODY, trust_env=False)
            .raise_for_status()
            .headers["x-mooring-revision"]
            for found in self.slices()
            for port in found["ports"]
            if port["name"] != "grpc"
            for endpoint in found["endpoints"] or []
            if endpoint["conditions"]["ready"]
            for address in endpoint["addresses"]
        )


def test_a_canary_is_walked_to_its_promotion_by_the_pods_behind_the_service(stage):
    stage.apply("v1")
    first = stage.reaches("Promoted", "v1")
    assert first["router"]["name"] == "Endpoints"
    stable = first["stable"]["revision"]
    until(stage.asked, lambda asked: asked == {stable: 2}, what="its pods do not have the requests")
    stage.apply("v2")
    candidate = stage.reaches("AwaitingApproval", "v2")["candidate"]
    assert (candidate["weight"], candidate["routed"]) == (50, 50)
    new = candidate["revision"]
    asked = until(
        stage.asked, lambda asked: set(asked) == {stable, new}, what="they do not share the requests"
    )
    assert asked[stable] == asked[new]
    given = {"mooring.dev/approve": new, "mooring.dev/approve-by": "admin"}
    stage.api.merge(PATH, {"metadata": {"annotations": given}})
    stage.reaches("Promoted", "v2")
    until(stage.asked, lambda asked: asked == {new: 2}, what="the new revision has not all requests")
    for found in stage.api.items(SLICES):
        labels = found["metadata"]["labels"]
        assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
        assert labels["mooring.dev/model-deployment"] == NAME

    # A pod that somebody deletes ends, and another takes its place.
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"

    def present():
        found = [pod["metadata"] for pod in stage.api.items(pods)]
        return {pod["name"] for pod in found if pod["labels"]["mooring.dev/revision"] == new}

    named = present()
    gone = min(named)
    stage.api.delete(f"{pods}/{gone}")
    until(present, lambda names: gone not in names and len(names) == 2, what="the pod has not been replaced")
    until(
        stage.asked, lambda asked: asked == {new: 2}, what="the pod that is gone is not replaced for requests"
    )
