"""The operator's process in the lab of gateway_lab, with the definitions that it and KServe need."""

from contextlib import contextmanager

from cluster.serving import runtimes
from cluster.serving.inferenceservice_crd import inferenceservice_crd
from tests.cluster.gateway_lab import MODELS
from tests.cluster.rollout_steps import DEFINITIONS, OURS, PLURALS, ROOT, SERVING, Operator, until

RUNTIMES = "/apis/serving.kserve.io/v1alpha1/clusterservingruntimes"
ONNX = {
    "apiVersion": "serving.kserve.io/v1alpha1",
    "kind": "ClusterServingRuntime",
    "metadata": {"name": "onnx-server"},
    "spec": {
        "supportedModelFormats": [{"name": "onnx", "version": "1", "autoSelect": True}],
        "containers": [{"name": "kserve-container", "image": "server:1", "args": ["--model_name={{.Name}}"]}],
    },
}


def install_runtime(api):
    """Install the definitions of runtimes, and one of them, which models have that name none."""
    for kind in runtimes.PLURALS:
        api.apply(runtimes.definition(kind, {}))
    until(lambda: _is_told(api), what="runtimes are not served")
    api.apply(ONNX)


def _is_told(api):
    """Whether the API server tells of the kind, which it does later than it serves it."""
    told = (api.get(RUNTIMES.rpartition("/")[0]) or {"resources": []})["resources"]
    return any(resource["name"] == "clusterservingruntimes" for resource in told) and api.get(RUNTIMES)


@contextmanager
def operating(lab, folder):
    """Have an operator at work on the lab's deployments, behind its Gateway."""
    for plural in PLURALS:
        definition = (ROOT / "crds" / f"{plural}.yaml").read_bytes()
        lab.api.apply_text(f"{DEFINITIONS}/{plural}.mooring.dev", definition)
    lab.api.apply(inferenceservice_crd())
    for path in (f"{OURS}/modeldeployments", f"{SERVING}/inferenceservices"):
        until(lambda path=path: lab.api.get(path), what=f"{path} is not served")
    install_runtime(lab.api)
    settings = {"gateway": "gateways/front", "gateway_service": "gateways/envoy", "namespaces": MODELS}
    with Operator(lab.kubeconfig, folder / "operator.log", **settings) as operator:
        yield operator
