"""Which predictors an InferenceService asks for, merged the way KServe merges them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]

DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
STOP = "serving.kserve.io/stop"
VISIBILITY = "networking.kserve.io/visibility"
_MODEL = "mooring.dev/model-deployment"

_SCALING = ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling")
_AUTOSCALING = _SCALING[1:]

# Names of before KServe 0.16.
_MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}


class InvalidSpecError(Exception):
    """KServe's webhook would refuse this spec."""


@dataclass(frozen=True)
class Deployment:
    """Processes that should run: one Deployment of KServe's Standard mode, or one Knative revision.

    Attributes:
        name: ``ISVC-predictor``, ``ISVC-NAME-predictor`` or the Knative revision.
        predictor: the predictor, merged where it is a canary's.
        replicas: how many processes.
        revision: what the processes report as their revision.
        digest: identity of what runs. Replica counts are not part of it, as they are not part of a pod
            template: a promoted canary keeps its processes.
    """

    name: str
    predictor: Document
    replicas: int
    revision: str
    digest: str


@dataclass(frozen=True)
class Canary:
    """One entry of ``spec.canary``."""

    name: str
    percent: int
    deployment: Deployment


def deployment_mode(obj: Document) -> str:
    """``Standard`` or ``Knative``: what status says once it is there, then the annotation."""
    decided = (obj.get("status") or {}).get("deploymentMode")
    mode = str(decided or _annotations(obj).get(DEPLOYMENT_MODE, "Standard"))
    return _MODES.get(mode, mode)


def is_stopped(obj: Document) -> bool:
    """Whether the workload is to be taken down while the object stays."""
    return _annotations(obj).get(STOP, "").lower() == "true"


def is_cluster_local(obj: Document) -> bool:
    """Whether KServe leaves routes to others."""
    return bool((obj["metadata"].get("labels") or {}).get(VISIBILITY) == "cluster-local")


def model_name(predictor: Document) -> str:
    """The name that a predictor's labels give its model, as a pinned runtime does; empty for none."""
    return str((predictor.get("labels") or {}).get(_MODEL, ""))


def deployment_name(isvc: str, predictor_name: str = "") -> str:
    """KServe's name for a predictor's Deployment and Service."""
    return f"{isvc}-{predictor_name}-predictor" if predictor_name else f"{isvc}-predictor"


def merge_predictor(stable: Document, canary: Document, replicas: int) -> dict[str, Any]:
    """The canary over stable: maps merge, lists replace, nothing can be unset; no autoscaling, fixed replicas."""
    merged = _merge(stable, canary)
    for key in _AUTOSCALING:
        merged.pop(key, None)
    return {**merged, "minReplicas": replicas}


def canary_replicas(stable: Document, canary: Document) -> int:
    """``canary.predictor.minReplicas``, or the share of stable's replicas rounded up; none at 0 percent."""
    own = canary["predictor"].get("minReplicas")
    if own is not None:
        return int(own)
    return math.ceil(_replicas(stable) * int(canary.get("trafficPercent", 0)) / 100)


def stable_deployment(isvc: str, spec: Document, ready_canaries: Sequence[Canary] = ()) -> Deployment:
    """Stable, with as many replicas fewer as ready canaries have, but at least one."""
    predictor = spec["predictor"]
    replicas = max(1, _replicas(predictor) - sum(canary.deployment.replicas for canary in ready_canaries))
    return make_deployment(deployment_name(isvc, predictor.get("name", "")), predictor, replicas)


def canaries(isvc: str, spec: Document) -> list[Canary]:
    """The canaries in the order of the spec.

    Raises:
        InvalidSpecError: names are missing, repeated or stable's, or the percentages do not fit.
    """
    entries = spec.get("canary") or []
    check_canaries(spec["predictor"], entries)
    found = []
    for entry in entries:
        name = entry["predictor"]["name"]
        replicas = canary_replicas(spec["predictor"], entry)
        merged = merge_predictor(spec["predictor"], entry["predictor"], replicas)
        found.append(
            Canary(
                name,
                entry.get("trafficPercent", 0),
                make_deployment(deployment_name(isvc, name), merged, replicas),
            )
        )
    return found


def check_canaries(stable: Document, entries: Sequence[Document]) -> None:
    """The rules of KServe's webhook that decide routing; raises InvalidSpecError."""
    names = [entry.get("predictor", {}).get("name", "") for entry in entries]
    percents = [entry.get("trafficPercent", 0) for entry in entries]
    if not all(names):
        raise InvalidSpecError("canary predictor.name is required")
    if len(set(names)) != len(names):
        raise InvalidSpecError("canary predictor.name is duplicated")
    if stable.get("name", "") in names:
        raise InvalidSpecError(
            f"canary predictor.name {stable['name']!r} conflicts with stable predictor name"
        )
    most = _replicas(stable)
    if any((entry["predictor"].get("minReplicas") or 0) > most for entry in entries):
        raise InvalidSpecError(f"canary minReplicas must not exceed stable predictor minReplicas ({most})")
    if any(not 0 <= percent <= 100 for percent in percents) or sum(percents) > 100:
        raise InvalidSpecError(
            f"canary trafficPercent values {percents} must be 0 to 100 and sum up to at most 100"
        )


def make_deployment(name: str, predictor: Document, replicas: int, *, revision: str = "") -> Deployment:
    """A deployment whose revision is ``revision``, else $MOORING_REVISION of the model, else its name."""
    declared = environment(predictor).get("MOORING_REVISION") or predictor.get("name")
    return Deployment(
        name,
        predictor,
        replicas,
        revision or declared or name,
        digest(predictor, without=[*_SCALING, "canaryTrafficPercent"]),
    )


def digest(predictor: Document, *, without: Sequence[str] = ()) -> str:
    """Identity of a predictor's content, 12 hexadecimal digits.

    Empty values are no content: API servers and webhooks add them, and merging drops them.
    """
    kept = _without_empty({key: value for key, value in predictor.items() if key not in without})
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def environment(predictor: Document) -> dict[str, str]:
    """Plain variables of ``model.env``; ``valueFrom`` has no meaning without a node."""
    entries = predictor.get("model", {}).get("env") or []
    return {entry["name"]: str(entry.get("value", "")) for entry in entries if "valueFrom" not in entry}


def _annotations(obj: Document) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def _replicas(predictor: Document) -> int:
    replicas = predictor.get("minReplicas")
    return 1 if replicas is None else int(replicas)


def _merge(base: Document, over: Document) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        elif value:
            merged[key] = value
    return merged


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        pruned = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in pruned.items() if item not in (None, "", [], {})}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value
