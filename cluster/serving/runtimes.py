"""Which serving runtime a predictor has, decided as KServe 0.21 decides it: from objects, without I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.serving.status import Failure

GROUP, VERSION = "serving.kserve.io", "v1alpha1"
PLURALS = {"ServingRuntime": "servingruntimes", "ClusterServingRuntime": "clusterservingruntimes"}
_STATUS = {"ServingRuntime": "servingRuntimeName", "ClusterServingRuntime": "clusterServingRuntimeName"}
_PROTOCOLS = {"v1": 1, "v2": 2, "grpc-v1": 3, "grpc-v2": 4}
_UNKNOWN_PROTOCOL = 5

Runtime = Mapping[str, Any]

LOCAL: dict[str, Any] = {
    "apiVersion": f"{GROUP}/{VERSION}",
    "kind": "ClusterServingRuntime",
    "metadata": {
        "name": "local-inference",
        "annotations": {"serving.kserve.io/server-type": "mooring-inference"},
    },
    "spec": {
        "supportedModelFormats": [
            {"name": name, "autoSelect": True} for name in ("onnx", "mlflow", "pytorch", "torchscript")
        ],
        "protocolVersions": ["v1", "v2"],
        "containers": [{"name": "kserve-container", "image": "mooring-inference"}],
    },
}
"""What the agent runs, for clusters that have no runtime."""


class NoRuntimeError(Exception):
    """KServe would run nothing; carries the failure for status."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True)
class Choice:
    """The runtime of a predictor."""

    kind: str
    name: str
    spec: Runtime

    @property
    def status(self) -> dict[str, str]:
        """What an InferenceService's status says of it."""
        return {_STATUS[self.kind]: self.name}

    @property
    def digest(self) -> str:
        """Stands for what pods have of it."""
        kept = {name: value for name, value in self.spec.items() if name != "supportedModelFormats"}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Runtimes:
    """The runtimes that one namespace's models can have: its own, and the cluster's."""

    own: Sequence[Runtime] = ()
    cluster: Sequence[Runtime] = ()

    def of(self, predictor: Mapping[str, Any]) -> Choice | None:
        """The runtime of a predictor; None for one of a container of its own.

        Raises:
            NoRuntimeError: it has none.
        """
        model = predictor.get("model")
        if model is None:
            return None
        name = model.get("runtime")
        return self._chosen(predictor, model) if name is None else self._named(name, model)

    def _named(self, name: str, model: Mapping[str, Any]) -> Choice:
        for kind, objects in self._kinds():
            for found in objects:
                if found["metadata"]["name"] != name:
                    continue
                spec = found["spec"]
                if spec.get("disabled"):
                    raise _none("RuntimeDisabled", "Specified runtime is disabled")
                if not _speaks(spec, model.get("protocolVersion")):
                    raise _none(
                        "NoSupportingRuntime", "Specified runtime does not support specified protocol version"
                    )
                if not _supports(spec, model, by_itself=False):
                    raise _none(
                        "NoSupportingRuntime",
                        "Specified runtime does not support specified framework/version",
                    )
                return Choice(kind, name, spec)
        raise _none("RuntimeNotRecognized", "Waiting for runtime to become available")

    def _chosen(self, predictor: Mapping[str, Any], model: Mapping[str, Any]) -> Choice:
        several = predictor.get("workerSpec") is not None
        for kind, objects in self._kinds():
            fitting = [
                found
                for found in objects
                if not found["spec"].get("disabled")
                and not found["spec"].get("multiModel")
                and _supports(found["spec"], model, by_itself=True)
                and _speaks(found["spec"], model.get("protocolVersion") or "v1")
                and (found["spec"].get("workerSpec") is not None) == several
            ]
            if fitting:
                first = _in_order(fitting, model["modelFormat"]["name"])[0]
                return Choice(kind, first["metadata"]["name"], first["spec"])
        raise _none("NoSupportingRuntime", "No runtime found to support specified framework/version")

    def _kinds(self) -> Iterable[tuple[str, Sequence[Runtime]]]:
        return (("ServingRuntime", self.own), ("ClusterServingRuntime", self.cluster))


def definition(kind: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A permissive definition of a kind of runtimes, for API servers without KServe's own."""
    plural = PLURALS[kind]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": dict(labels)},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind == "ServingRuntime" else "Cluster",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [
                {"name": VERSION, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
            ],
        },
    }


def _supports(spec: Runtime, model: Mapping[str, Any], *, by_itself: bool) -> bool:
    wanted = model["modelFormat"]
    return any(
        entry.get("name") == wanted["name"]
        and wanted.get("version") in (None, entry.get("version"))
        and (entry.get("autoSelect") or not by_itself)
        for entry in spec.get("supportedModelFormats") or []
    )


def _speaks(spec: Runtime, protocol: str | None) -> bool:
    spoken = spec.get("protocolVersions") or []
    return not protocol or not spoken or protocol in spoken


def _in_order(runtimes: Sequence[Runtime], model_format: str) -> list[Runtime]:
    """The one that KServe prefers first: by protocol, the newest, by name; priorities have the last word."""
    ordered = sorted(runtimes, key=lambda found: str(found["metadata"]["name"]))
    ordered.sort(key=lambda found: str(found["metadata"].get("creationTimestamp", "")), reverse=True)
    ordered.sort(key=_protocol)
    ordered.sort(key=lambda found: -_priority(found, model_format))
    return ordered


def _protocol(runtime: Runtime) -> int:
    spoken = runtime["spec"].get("protocolVersions") or []
    return min((_PROTOCOLS.get(name, _UNKNOWN_PROTOCOL) for name in spoken), default=_UNKNOWN_PROTOCOL)


def _priority(runtime: Runtime, model_format: str) -> int:
    """As KServe reads it: of the first entry for the format; none counts least."""
    formats = runtime["spec"].get("supportedModelFormats") or []
    first: Runtime = next((entry for entry in formats if entry.get("name") == model_format), {})
    return int(first.get("priority") or -1)


def _none(reason: str, message: str) -> NoRuntimeError:
    return NoRuntimeError(Failure(reason, message))
