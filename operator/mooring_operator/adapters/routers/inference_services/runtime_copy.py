"""Pins serving runtimes: a runtime as it is now in, the copy that one revision runs on out.

Source: KServe 0.21, serving.kserve.io/v1alpha1. A runtime's edit reaches the pods of every model on it at once; of a
copy nobody else knows, and nobody edits it. The storage initializer's image is KServe's configuration, not pinned.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

from mooring_operator.adapters.routers.inference_services.revision_manifest import name_of
from mooring_operator.api.names import (
    REVISION_LABEL,
)
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.runtimes import SERVER_TYPE, PinnedRuntime
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owned_labels, owner_reference

# KServe's own runtimes, whose server it knows by their names where no annotation says it; a copy has another name.
_SERVER_TYPES = {
    "kserve-mlserver": "mlserver",
    "kserve-torchserve": "torchserve",
    "kserve-tritonserver": "tritonserver",
    "kserve-tensorflow-serving": "tensorflow-serving",
    "kserve-huggingfaceserver": "huggingfaceserver",
}
_NAME_PROGRAM = re.compile(r"\{\{-?\s*\.Name\s*-?\}\}")


RuntimeKind = Literal["ServingRuntime", "ClusterServingRuntime"]


def pinned(kind: RuntimeKind, runtime: Mapping[str, Any]) -> PinnedRuntime:
    """Give what is kept of a runtime as it is now."""
    metadata = runtime["metadata"]
    said = (metadata.get("annotations") or {}).get(SERVER_TYPE) or _SERVER_TYPES.get(metadata["name"], "")
    return PinnedRuntime(kind=kind, name=metadata["name"], server_type=said[:63], spec=runtime["spec"])


def copy_of(owner: Owner, revision: Revision, runtime: PinnedRuntime) -> Manifest:
    """Give the copy of its runtime that a revision runs on.

    KServe chooses it for no other model, and a model has one name whatever its revision.
    """
    spec = _literal(runtime.spec, owner.name)
    formats = [
        {name: value for name, value in entry.items() if name not in ("autoSelect", "priority")}
        for entry in spec.get("supportedModelFormats") or []
    ]
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": name_of(owner, revision),
            "namespace": owner.namespace,
            "labels": {**owned_labels(owner.name), REVISION_LABEL: revision.revision},
            "annotations": {SERVER_TYPE: runtime.server_type} if runtime.server_type else {},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {**spec, "supportedModelFormats": formats},
    }


def _literal(value: Any, name: str) -> Any:
    """Write the deployment's name for the InferenceService's, which differs with every revision."""
    if isinstance(value, str):
        return _NAME_PROGRAM.sub(lambda _: name, value)
    if isinstance(value, dict):
        return {key: _literal(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item, name) for item in value]
    return value
