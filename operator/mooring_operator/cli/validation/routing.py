"""Says what the router of a ModelDeployment would not carry out, as far as a manifest tells which one it is."""

from collections.abc import Iterator, Mapping
from typing import Any

from mooring_operator.adapters.routers import ROUTERS
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.api.routers import RouterName
from mooring_operator.cli.validation.problem import Problem
from mooring_operator.planning.routes import why_too_long
from mooring_operator.planning.strategies.demands import shortfalls, why_unpinned, why_unsupported

_OF_MODE: dict[str, tuple[RouterName, ...]] = {
    "Knative": ("Knative",),
    "Standard": ("Gateway", "Endpoints", "KServe"),
}


def routing_problems(metadata: Mapping[str, Any], spec: ModelDeploymentSpec) -> Iterator[Problem]:
    """Yield what every router that the deployment can have refuses; where there are several, each may do."""
    asked = spec.rollout.router
    names = _OF_MODE[spec.serving.mode] if asked == "Auto" else (asked,)
    name, namespace = metadata["name"], metadata.get("namespace") or ""
    lengths = [why_too_long(name, namespace, ROUTERS[router].traits, spec.serving) for router in names]
    if all(lengths):
        yield Problem(("metadata", "name"), lengths[0])
    unpinned = [why_unpinned(spec.serving, ROUTERS[router].traits) for router in names]
    if all(unpinned):
        yield Problem(("spec", "serving", "runtimePolicy"), unpinned[0])
    missing = [shortfalls(spec.rollout, ROUTERS[router].traits) for router in names]
    if all(missing):
        path = ("spec", "rollout", *missing[0][0][0].split("."))
        yield Problem(path, why_unsupported(spec.rollout, ROUTERS[names[0]].traits, names[0]))
