"""Finds fields that a schema does not have, and says what was probably meant: a like name, another place, or ours."""

from collections.abc import Iterator
from typing import Any

from mooring_artifacts.text import nearest

from mooring_operator.cli.validation.defaults import Schema, child_schema
from mooring_operator.cli.validation.problem import Problem, format_path
from mooring_operator.cli.validation.source import Path

_MOST_PLACES = 3
_DEEPEST = 5
# What the model's own pod has is meant rather than theirs.
_BESIDE_THE_MODEL = ("transformer", "explainer")

ELSEWHERE = {
    # Argo Rollouts
    "replicas": "spec.serving.minReplicas",
    "workloadRef": "spec.serving",
    "setCanaryScale": "spec.rollout.steps[].setReplicas",
    "setHeaderRoute": "spec.rollout.abTest.matches",
    "setMirrorRoute": "spec.rollout.shadow",
    "experiment": "spec.rollout.abTest.variants",
    "trafficRouting": "spec.rollout.router",
    "dynamicStableScale": "spec.rollout.maxSurge",
    "autoPromotionEnabled": "spec.rollout.blueGreen.promoteAfter",
    "autoPromotionSeconds": "spec.rollout.blueGreen.promoteAfter",
    "scaleDownDelaySeconds": "spec.rollout.scaleDownDelay",
    "progressDeadlineSeconds": "spec.rollout.progressDeadline",
    # Flagger
    "targetRef": "spec.serving",
    "stepWeight": "spec.rollout.steps[].setWeight",
    "stepWeights": "spec.rollout.steps[].setWeight",
    "maxWeight": "spec.rollout.steps[].setWeight",
    "webhooks": "spec.rollout.steps[].webhook",
    "match": "spec.rollout.abTest.matches",
    "sessionAffinity": "spec.rollout.abTest.sticky",
    "mirror": "spec.rollout.shadow",
    "mirrorWeight": "spec.rollout.shadow.percent",
    "thresholdRange": "spec.rollout.analysis.metrics",
    "gatewayRefs": "spec.rollout.gateway",
    "hosts": "spec.rollout.host",
    # KServe
    "predictor": "spec.serving",
    "storageUri": "spec.model.uri",
    "modelFormat": "spec.model.format",
    "canaryTrafficPercent": "spec.rollout.steps[].setWeight",
    "scaleTarget": "spec.serving.autoscaling.metrics",
    "scaleMetric": "spec.serving.autoscaling.metrics",
    "batcher": "spec.serving.batching",
    "runtimeClassName": "spec.serving.template.runtimeClassName",
}
"""Where a field of Argo Rollouts, of Flagger or of KServe stands in a ModelDeployment."""


def unknown_fields(value: Any, schema: Schema) -> Iterator[Problem]:
    """Yield the fields of `value` that the schema does not have."""
    yield from _unknown(value, schema, (), schema)


def _unknown(value: Any, schema: Schema | None, path: Path, root: Schema) -> Iterator[Problem]:
    if schema is None or schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, dict):
        if schema.get("type", "object") != "object":
            # It is of the wrong type, and its fields are of nothing.
            return
        for key, child in value.items():
            below = child_schema(schema, key)
            if below is None and ("properties" in schema or "additionalProperties" not in schema):
                yield Problem((*path, key), f"unknown field; {_hint(key, schema, path, root)}")
            else:
                yield from _unknown(child, below, (*path, key), root)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _unknown(child, schema.get("items"), (*path, index), root)


def _hint(key: str, schema: Schema, path: Path, root: Schema) -> str:
    known = sorted(schema.get("properties", {}))
    ours = ELSEWHERE.get(key)
    if ours is not None and path[:1] == ("spec",) and has_field(root, ours):
        return f"there is {ours}"
    if path[:1] == ("spec",) and (places := _places(key, schema, path)):
        return f"there is {' or '.join(places)}"
    if (meant := nearest(key, known)) is not None:
        return f"did you mean {meant}?"
    return f"known here: {', '.join(known) or 'none'}"


def has_field(schema: Schema, field: str) -> bool:
    """Whether a schema has the field of this path; ``[]`` stands for any item of a list."""
    found: Schema | None = schema
    for part in field.split("."):
        found = child_schema(found, part.removesuffix("[]"))
        if part.endswith("[]") and found is not None:
            found = found.get("items")
    return found is not None


def _places(key: str, schema: Schema, path: Path) -> list[str]:
    """Give the places nearest below `path` that have a field of this name; none where they are many."""
    level = [(schema, format_path(path))]
    for _ in range(_DEEPEST):
        level = [below for node, at in level for below in _below(node, at)]
        found = [f"{at}.{key}" for node, at in level if key in node.get("properties", {})]
        if found:
            return found if len(found) <= _MOST_PLACES else []
    return []


def _below(schema: Schema, at: str) -> Iterator[tuple[Schema, str]]:
    for name, child in schema.get("properties", {}).items():
        if name in _BESIDE_THE_MODEL:
            continue
        yield (child["items"], f"{at}.{name}[]") if child.get("type") == "array" else (child, f"{at}.{name}")
