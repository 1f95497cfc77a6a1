"""KServe's controller, outside the cluster: its definitions, its configuration and its webhooks.

The controller is not built here. ``MOORING_KSERVE`` names a folder with its executable, ``manager``, and with
``manifests/``: the definitions and webhook configurations of the same version, as files of KServe's release
or of its ``config`` folder.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster import gateway_api
from cluster.api import Api, ApiError, Object
from cluster.commands import Command
from cluster.programs import ProgramUnavailableError

NAMESPACE = "kserve"
GATEWAY = "kserve/kserve-ingress-gateway"
"""The Gateway that HTTPRoutes name as their parent; nobody has to run it."""

_DEFINITION = "CustomResourceDefinition"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

_LIMITS = {"memoryRequest": "100Mi", "memoryLimit": "1Gi", "cpuRequest": "100m", "cpuLimit": "1"}

CONFIGURATION: dict[str, dict[str, Any]] = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {
        "enableGatewayApi": True,
        "kserveIngressGateway": GATEWAY,
        # Unused without Istio, and mandatory.
        "ingressGateway": "knative-serving/knative-ingress-gateway",
        "ingressDomain": "example.com",
        "domainTemplate": "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}",
        "urlScheme": "http",
    },
    "storageInitializer": {"image": "kserve/storage-initializer:v0.20.0", **_LIMITS},
    "credentials": {},
    # The webhook for pods parses these, whether or not a pod asks for any of them.
    "logger": {"image": "kserve/agent:v0.20.0", "defaultUrl": "http://default-broker", **_LIMITS},
    "batcher": {"image": "kserve/agent:v0.20.0", "maxBatchSize": "32", "maxLatency": "5000", **_LIMITS},
    "agent": {"image": "kserve/agent:v0.20.0", **_LIMITS},
    "inferenceService": {
        "resource": {"cpuLimit": "1", "memoryLimit": "2Gi", "cpuRequest": "1", "memoryRequest": "2Gi"}
    },
}
"""``inferenceservice-config``: Standard mode, with routes of the Gateway API."""


@dataclass(frozen=True)
class Given:
    """A KServe controller and the files that belong to it."""

    controller: Path
    manifests: tuple[Path, ...]


def locate() -> Given:
    """The controller that ``MOORING_KSERVE`` names; raises ProgramUnavailableError without one."""
    folder = Path(os.environ.get("MOORING_KSERVE", "/nonexistent"))
    controller = folder / "manager"
    manifests = tuple(sorted((folder / "manifests").glob("*.yaml")))
    if not os.access(controller, os.X_OK) or not manifests:
        raise ProgramUnavailableError(
            "there is no KServe controller: let MOORING_KSERVE name a folder with its executable, manager, and "
            "with its definitions and webhook configurations, manifests/*.yaml (KServe 0.21 or newer)"
        )
    return Given(controller, manifests)


def install(api: Api, given: Given) -> None:
    """Apply what has to be there before the controller starts, and wait until it is served."""
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "inferenceservice-config", "namespace": NAMESPACE},
            "data": {key: json.dumps(value) for key, value in CONFIGURATION.items()},
        }
    )
    documents = [document for path in gateway_api.definitions() for document in _documents(path)]
    documents += [document for path in given.manifests for document in _documents(path)]
    names = [name for kind, name, _ in documents if kind == _DEFINITION]
    for kind, name, text in documents:
        if kind == _DEFINITION:
            api.apply_text(f"{_DEFINITIONS}/{name}", text.encode())
    _wait_until_established(api, names)


def apply_file(api: Api, path: Path) -> None:
    """Apply every document of a YAML file, such as a ClusterServingRuntime."""
    for manifest in yaml.safe_load_all(path.read_text()):
        if manifest is not None:
            api.apply(manifest)


def command(given: Given, kubeconfig: Path, ports: Sequence[int]) -> Command:
    """The controller's command line; ``ports`` are for webhooks and for its health."""
    return [
        given.controller,
        f"--kubeconfig={kubeconfig}",
        f"--webhook-port={ports[0]}",
        f"--health-probe-addr=127.0.0.1:{ports[1]}",
        "--metrics-addr=0",
    ]


def environment(*, temporary: Path) -> dict[str, str]:
    """Its environment; it looks for the webhooks' certificate below TMPDIR and nowhere else."""
    return os.environ | {"TMPDIR": str(temporary), "POD_NAMESPACE": NAMESPACE}


def register_webhooks(api: Api, given: Given, server: str, authority: bytes) -> None:
    """Have the API server call the controller's webhooks at ``server``; return when it does."""
    for path in given.manifests:
        for kind, _, text in _documents(path):
            if kind in _WEBHOOKS:
                manifest = yaml.safe_load(text)
                for webhook in manifest["webhooks"]:
                    _redirect(webhook, server, authority)
                api.apply(manifest)
    _wait_until_asked(api)


def _redirect(webhook: Object, server: str, authority: bytes) -> None:
    path = webhook["clientConfig"]["service"]["path"]
    bundle = base64.b64encode(authority).decode()
    webhook["clientConfig"] = {"url": server + path, "caBundle": bundle}


def _documents(path: Path) -> Iterator[tuple[str, str, str]]:
    """(kind, name, text) of every document, found without parsing: the largest take seconds."""
    for text in re.split(r"^---\s*$", path.read_text(), flags=re.MULTILINE):
        kind = re.search(r"^kind: *(\S+)", text, re.MULTILINE)
        name = re.search(r"^metadata:\n(?:[ ].*\n)*?  name: *(\S+)", text, re.MULTILINE)
        if kind and name:
            yield kind[1], name[1], text


def _wait_until_established(api: Api, names: Sequence[str], *, timeout: float = 90) -> None:
    deadline = time.monotonic() + timeout
    for name in names:
        while not _established(api, name):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} is not established after {timeout:g} s")
            time.sleep(0.1)


def _established(api: Api, name: str) -> bool:
    found = api.get(f"{_DEFINITIONS}/{name}") or {}
    # The API server writes a null before the first condition.
    conditions = found.get("status", {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _wait_until_asked(api: Api, *, timeout: float = 30) -> None:
    """Wait until the validator refuses what the definition alone lets pass: a canary without a name."""
    model = {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://probe/probe"}}
    annotations = {"serving.kserve.io/deploymentMode": "Standard"}
    nameless = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "probe", "namespace": "default", "annotations": annotations},
        "spec": {"predictor": model, "canary": [{"trafficPercent": 0, "predictor": model}]},
    }
    path = api.path(nameless).rpartition("/")[0] + "?dryRun=All"
    deadline, answer = time.monotonic() + timeout, ""
    while time.monotonic() < deadline:
        try:
            api.request("POST", path, nameless)
            answer = "a canary without a name is accepted (KServe older than 0.20 has no spec.canary)"
        except ApiError as error:
            answer = error.message
            if "denied the request" in answer:
                return
        time.sleep(0.1)
    raise TimeoutError(f"KServe's webhooks do not answer after {timeout:g} s: {answer}")
