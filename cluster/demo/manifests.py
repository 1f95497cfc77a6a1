"""What the demo's user writes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

NAMESPACE = "mooring-demo"
NAME = "digits"
OWN = "mine"

STEPS = [
    {"setWeight": 10},
    {"pause": {"duration": "5s"}},
    {"setWeight": 50},
    {"pause": {"duration": "5s"}},
    {"setWeight": 100},
]
PATIENT = [
    {"setWeight": 10},
    {"pause": {"duration": "20s"}},
    {"setWeight": 50},
    {"pause": {"duration": "2m"}},
    {"setWeight": 100},
]
ANALYSIS = {
    "metrics": [{"metric": "errorRate"}, {"metric": "latency", "quantile": 90, "slower": 100}],
    "falseRollback": "1%",
}
BY_LABELS = {
    "steps": [{"setWeight": 20}, {"analyse": {"duration": "2m"}}, {"setWeight": 100}],
    "analysis": {
        "metrics": [{"metric": "errorRate"}],
        "templates": [{"name": "accuracy"}],
        "falseRollback": "1%",
    },
}

_ROOT = Path(__file__).parents[2]
_POLICIES = _ROOT / "manifests" / "admission"


def policies() -> Iterator[dict[str, Any]]:
    """Yield the roles and policies that say who may give commands, as they are installed elsewhere."""
    folder = yaml.safe_load((_POLICIES / "kustomization.yaml").read_text())
    for name in folder["resources"]:
        yield from yaml.safe_load_all((_POLICIES / name).read_text())


def deployment(
    work: Path,
    version: str,
    *,
    gpus: int = 0,
    rollout: Mapping[str, Any] | None = None,
    judged: bool = False,
    test_data: str = "test",
) -> dict[str, Any]:
    """Give the ModelDeployment that asks for one version of the model, rolled out by STEPS if not said otherwise.

    One that is `judged` is judged by what it answers. Its tests ask it about `test_data`.
    """
    analysis = {"analysis": ANALYSIS} if judged else {}
    serving: dict[str, Any] = {
        "minReplicas": 1,
        "maxReplicas": 2,
        "capture": {"store": f"file://{work}/captured"},
        # A minute would be long for whoever looks on.
        "args": ["--capture_flush_seconds=1"],
    }
    if gpus:
        serving["gpu"] = {"count": gpus}
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "model": {"uri": f"file://{work}/models/{version}", "format": "onnx"},
            "ci": {
                "testData": {"uri": f"file://{work}/data/{test_data}.parquet"},
                "gates": [{"metric": "accuracy", "min": 0.85}, {"metric": "latencyP95Ms", "max": 400}],
            },
            "serving": serving,
            "rollout": {
                "progressDeadline": "15s",
                "scaleDownDelay": "5s",
                **analysis,
                **(rollout or {"steps": STEPS}),
            },
        },
    }


def accuracy_template() -> dict[str, Any]:
    """Give the AnalysisTemplate of accuracy by late labels that the documentation shows."""
    template: dict[str, Any] = yaml.safe_load(
        (_ROOT / "docs" / "samples" / "templates" / "accuracy.yaml").read_text()
    )
    template["metadata"]["namespace"] = NAMESPACE
    return template


def own_deployment(work: Path) -> dict[str, Any]:
    """Give a ModelDeployment for the user to play with, whose rollouts wait for a person."""
    manifest = deployment(work, "v1")
    manifest["metadata"]["name"] = OWN
    approve = {"approve": {"message": "compare the answers"}}
    manifest["spec"]["rollout"] = {"steps": [{"setWeight": 10}, approve, {"setWeight": 100}]}
    return manifest


def monitor(work: Path) -> dict[str, Any]:
    """Give the DriftMonitor that watches what the model's pods keep of its requests: every ten seconds are a window."""
    return {
        "apiVersion": "mooring.dev/v1alpha1",
        "kind": "DriftMonitor",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {
            "target": {"name": NAME},
            "baseline": {"uri": f"file://{work}/data/baseline.parquet"},
            "window": {"capture": {"grace": "3s"}},
            "driftedFeatures": 8,
            "interval": "10s",
            "actions": ["Rollback"],
        },
    }
