"""ModelDeployments for Rollouts of Argo's and Canaries of Flagger's, as far as they serve a model.

Neither says which model that is, in which format: whoever adopts does.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from mooring_operator.api.types import format_duration
from mooring_operator.cli.adoption.adopted import AdoptedDeployment, Object
from mooring_operator.cli.adoption.serving import serving_of, valid
from mooring_operator.cli.adoption.steps import blue_green_of_argo, steps_of_argo, steps_of_flagger

_SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"
_VARIABLE = "STORAGE_URI"


def adopt_rollout(item: Object, model: Object) -> AdoptedDeployment:
    """Give the ModelDeployment for a Rollout whose pods serve `model`."""
    spec = item.get("spec") or {}
    strategy = spec.get("strategy") or {}
    rollout, left_out = _rollout(strategy)
    pod = ((spec.get("template") or {}).get("spec")) or {}
    serving, missed = _serving(pod)
    replicas = spec.get("replicas")
    if isinstance(replicas, int) and replicas > 1:
        serving["minReplicas"] = replicas
    if "workloadRef" in spec:
        left_out.append("spec.workloadRef: what the pods are like stands in another object")
    known = {"strategy", "template", "replicas", "workloadRef", "selector", "progressDeadlineSeconds"}
    left_out += [f"spec.{name}" for name in spec if name not in known]
    return _adopted(item, model, serving, rollout, spec.get("progressDeadlineSeconds"), [*left_out, *missed])


def _rollout(strategy: Object) -> tuple[Object, list[str]]:
    if "blueGreen" in strategy:
        return blue_green_of_argo(strategy["blueGreen"] or {})
    steps, left_out = steps_of_argo(strategy.get("canary") or {})
    if "canary" not in strategy:
        left_out.append(
            f"spec.strategy: {', '.join(strategy) or 'none'}; the rollout takes all traffic at once"
        )
    return {"steps": steps}, left_out


def adopt_canary(item: Object, model: Object) -> AdoptedDeployment:
    """Give the ModelDeployment for a Canary whose target's pods serve `model`."""
    spec = item.get("spec") or {}
    analysis = spec.get("analysis") or spec.get("canaryAnalysis") or {}
    steps, left_out = steps_of_flagger(analysis, skipped=bool(spec.get("skipAnalysis")))
    target = spec.get("targetRef") or {}
    left_out.append(
        f"spec.targetRef: what the pods of {target.get('kind', 'the target')} {target.get('name', '')} are like stands "
        "in another object"
    )
    known = {"analysis", "canaryAnalysis", "targetRef", "progressDeadlineSeconds", "skipAnalysis"}
    left_out += [f"spec.{name}" for name in spec if name not in known]
    return _adopted(item, model, {}, {"steps": steps}, spec.get("progressDeadlineSeconds"), left_out)


def uri_in(item: Object) -> str:
    """Give the address that KServe's initializer was told of, or a container in variable STORAGE_URI; else nothing."""
    template = (item.get("spec") or {}).get("template") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    if found := annotations.get(_SOURCE):
        return str(found)
    for container in (template.get("spec") or {}).get("containers") or []:
        for variable in container.get("env") or []:
            if variable.get("name") == _VARIABLE and variable.get("value"):
                return str(variable["value"])
    return ""


def _serving(pod: Object) -> tuple[Object, list[str]]:
    containers = pod.get("containers") or []
    container = containers[0] if containers else {}
    # Where the model lies is for spec.model to say.
    env = [one for one in container.get("env") or [] if one.get("name") != _VARIABLE]
    container = {**container, "env": env}
    serving = valid(serving_of(pod, container))
    place = "spec.template.spec"
    missed = [f"{place}.{name}" for name in pod if name not in {*serving, "containers"}]
    missed += [f"{place}.containers: {one.get('name', '?')}" for one in containers[1:]]
    said = {*serving, "name", "env", *(("resources",) if {"gpu", "resources"} & set(serving) else ())}
    missed += [f"{place}.containers[0].{name}" for name in container if name not in said]
    missed += _variables(container, serving, f"{place}.containers[0].env")
    return serving, missed


def _variables(container: Object, serving: Object, place: str) -> Iterator[str]:
    kept = {variable["name"] for variable in serving.get("env", [])}
    for variable in container.get("env") or []:
        if variable.get("name") not in kept:
            yield f"{place}.{variable.get('name', '?')}"


def _adopted(
    item: Object, model: Object, serving: Object, rollout: Object, deadline: Any, left_out: list[str]
) -> AdoptedDeployment:
    if isinstance(deadline, int) and deadline > 0 and deadline != 600:
        rollout = {**rollout, "progressDeadline": format_duration(timedelta(seconds=deadline))}
    spec = {"model": model, **({"serving": serving} if serving else {}), "rollout": rollout}
    metadata = item["metadata"]
    return AdoptedDeployment(metadata["name"], metadata.get("namespace", ""), spec, tuple(left_out))
