"""A manifest and what becomes of it: the row of the table of specs."""

import copy
from dataclasses import dataclass
from typing import Any

ABSENT = object()

BASES: dict[str, dict[str, Any]] = {
    "ModelDeployment": {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "iris"},
        "spec": {"model": {"uri": "s3://models/iris/1", "format": "onnx"}},
    },
    "DriftMonitor": {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": "iris-traffic"},
        "spec": {
            "target": {"name": "iris"},
            "baseline": {"uri": "s3://data/iris/train.parquet"},
            "window": {"uri": "s3://data/iris/live/"},
        },
    },
    "ModelPolicy": {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ModelPolicy",
        "metadata": {"name": "house-rules"},
        "spec": {"rules": [{"name": "accurate", "expression": "metrics.accuracy >= 0.9"}]},
    },
    "ClusterModelPolicy": {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ClusterModelPolicy",
        "metadata": {"name": "production"},
        "spec": {"namespaceSelector": {"matchLabels": {"stage": "production"}}, "requireCI": True},
    },
    "AnalysisTemplate": {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "house"},
        "spec": {"metrics": [{"metric": "errorRate"}]},
    },
    "ClusterAnalysisTemplate": {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ClusterAnalysisTemplate",
        "metadata": {"name": "platform"},
        "spec": {"metrics": [{"metric": "errorRate"}]},
    },
}


@dataclass(frozen=True)
class Case:
    """A manifest and what becomes of it."""

    name: str
    patch: dict[str, Any]
    accepted: bool = True
    says: str = ""
    kind: str = "ModelDeployment"

    @property
    def manifest(self) -> dict[str, Any]:
        """The base of its kind, changed by the patch."""
        made = copy.deepcopy(BASES[self.kind])
        for path, value in self.patch.items():
            *parents, last = path.split(".")
            node: Any = made
            for key in parents:
                node = node.setdefault(key, {})
            if value is ABSENT:
                node.pop(last, None)
            else:
                node[last] = copy.deepcopy(value)
        return made
