"""Compares an InferenceService that runs with what Mooring would make of a revision.

Source: KServe 0.21: what its webhook writes into an InferenceService, and which of its metadata pods get.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.comparison import differences
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.templates import CUSTOM_CONTAINER

Object = dict[str, Any]

COMPONENTS = ("transformer", "explainer")
MODES = {"Standard": "Standard", "RawDeployment": "Standard", "Knative": "Knative", "Serverless": "Knative"}
SCALERS = {"none": "None", "keda": "KEDA", "hpa": "HPA"}

_PREFIX = "serving.kserve.io/"
MODE_ANNOTATION = f"{_PREFIX}deploymentMode"
SCALER_ANNOTATION = f"{_PREFIX}autoscalerClass"
_OLD_FORMATS = (
    *("sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm"),
    "paddle",
)
_WRITTEN_BY_TOOLS = (
    *("kubectl.kubernetes.io/", "argocd.argoproj.io/", "meta.helm.sh/", "helm.sh/", "app.kubernetes.io/"),
    *("kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "mooring.dev/"),
)
# Annotations of KServe's webhook, about what the spec says anyway.
_WRITTEN_BY_KSERVE = frozenset({"modelFormat", "serving.kserve.io/last-known-deployment-mode"})
_VISIBILITY = "networking.kserve.io/visibility"
_REFERENCE = re.compile(r"\$\(")


def mode_of(item: Mapping[str, Any]) -> str | None:
    """Give the deployment mode, in today's words; None where neither annotation nor status says it."""
    annotations = item["metadata"].get("annotations") or {}
    said = annotations.get(MODE_ANNOTATION) or (item.get("status") or {}).get("deploymentMode")
    return MODES.get(said) if said else None


def runtime_of(item: Mapping[str, Any]) -> str:
    """Give the runtime that KServe has chosen; empty where it does not say."""
    status = item.get("status") or {}
    return str(status.get("servingRuntimeName") or status.get("clusterServingRuntimeName") or "")


def predictor_of(item: Mapping[str, Any]) -> Object:
    """Give the predictor with its model under ``model``, and with the labels and annotations that its pods get."""
    predictor = _with_model(dict((item.get("spec") or {}).get("predictor") or {}))
    metadata = item["metadata"]
    for part in ("labels", "annotations"):
        inherited = {name: value for name, value in (metadata.get(part) or {}).items() if _is_told(name)}
        if inherited or predictor.get(part):
            predictor[part] = {**inherited, **(predictor.get(part) or {})}
    return predictor


def custom_container_of(predictor: Mapping[str, Any]) -> Object | None:
    """Give the container of a predictor's own that serves the model; None where a serving runtime does.

    KServe calls it so where it is the only one.
    """
    containers = predictor.get("containers") or []
    if (predictor.get("model") or {}).get("modelFormat"):
        return None
    named = [one for one in containers if one.get("name") == CUSTOM_CONTAINER]
    found = named or (containers if len(containers) == 1 else [])
    return dict(found[0]) if found else None


def component_of(item: Mapping[str, Any], name: str) -> Object:
    """Give a transformer or an explainer without what says nothing, or what Mooring says of each."""
    said = item["spec"].get(name) or {}
    return _said({field: value for field, value in said.items() if field != "automountServiceAccountToken"})


def left_out(item: Mapping[str, Any], revision: Revision) -> tuple[str, ...]:
    """Say field by field in what the InferenceService that runs differs from what `revision` asks for."""
    serving = revision.serving_spec
    now, made = predictors(item, revision)
    return (
        *differences(now, made, "spec.predictor"),
        *_in_components(item, revision),
        *_beside(item, serving.autoscaling.scaler if serving.autoscaling else None),
    )


def predictors(item: Mapping[str, Any], revision: Revision) -> tuple[Object, Object]:
    """Give the predictor that runs and the one that `revision` asks for, equal where both mean the same."""
    serving = revision.serving_spec
    marks = manifests.predictor(revision.model_copy(update={"serving": {}}))
    made = {**without_marks(manifests.predictor(revision), marks), **manifests.scaling(serving)}
    now = _comparable(without_marks(predictor_of(item), marks))
    if serving.is_custom and custom_container_of(now) is not None:
        del now["model"]
        now["containers"], made["containers"] = _containers(now["containers"], made["containers"])
    if "model" in now and "runtime" not in now["model"] and serving.runtime == runtime_of(item) != "":
        # KServe has chosen what the revision names.
        now["model"]["runtime"] = serving.runtime
    return now, _with_variables_of(now, made)


def without_marks(component: Object, marks: Object) -> Object:
    """Give a predictor without the labels, annotations and variables that every one of Mooring's has."""
    out = dict(component)
    for part in ("labels", "annotations"):
        out[part] = {name: value for name, value in (out.get(part) or {}).items() if name not in marks[part]}
    ours = {variable["name"] for variable in marks["model"]["env"]}
    if "model" in out:
        kept = [one for one in out["model"].get("env") or [] if one.get("name") not in ours]
        out["model"] = {**out["model"], "env": kept}
    if "containers" in out:
        out["containers"] = [_without_variables(one, ours) for one in out["containers"]]
    if out.get("automountServiceAccountToken") == marks["automountServiceAccountToken"]:
        del out["automountServiceAccountToken"]
    return out


def _without_variables(container: Object, names: set[str]) -> Object:
    env = container.get("env") or []
    kept = [one for one in env if one.get("name") not in names]
    return container if len(kept) == len(env) else {**container, "env": kept}


def replicas_of(predictor: Mapping[str, Any]) -> tuple[int, int]:
    """Give the least and the most pods that a predictor has, with KServe's defaults."""
    least = predictor.get("minReplicas")
    least = 1 if least is None else int(least)
    return least, int(predictor.get("maxReplicas") or max(least, 1))


def plain_text(value: str) -> str:
    """Give the text that a container would see, where no other variable and no template is in it."""
    return value.replace("{{`{{`}}", "{{").replace("$$", "$")


def means_the_same(value: str, other: str) -> bool:
    """Whether two values of variables reach the container alike, by what kubelet and KServe make of them."""
    if value == other:
        return True
    looked_up = _REFERENCE.search(value.replace("$$", "")) or "{{" in value.replace("{{`{{`}}", "")
    return not looked_up and plain_text(value) == plain_text(other)


def _with_model(predictor: Object) -> Object:
    """Give the predictor with its model as KServe's webhook writes it: under ``model``, whatever its format."""
    old = next((name for name in _OLD_FORMATS if isinstance(predictor.get(name), dict)), None)
    if old is None or "model" in predictor:
        return {**predictor, "model": dict(predictor.get("model") or {})}
    said = dict(predictor.pop(old))
    version = {"version": said.pop("runtimeVersion")} if "runtimeVersion" in said else {}
    return {**predictor, "model": {"modelFormat": {"name": old, **version}, **said}}


def _is_told(name: str) -> bool:
    """Whether a label or an annotation is its owner's: pods get it from an InferenceService as from a predictor."""
    ours = name in (MODE_ANNOTATION, SCALER_ANNOTATION, _VISIBILITY) or name in _WRITTEN_BY_KSERVE
    return not ours and not name.startswith((*_WRITTEN_BY_TOOLS, _PREFIX))


def _comparable(predictor: Object) -> Object:
    """Give the predictor with KServe's defaults, and without what says nothing."""
    least, most = replicas_of(predictor)
    model = dict(predictor["model"])
    model["resources"] = _amounts(model)
    # KServe names the container by itself.
    kept = {name: value for name, value in model.items() if value or name == "env"}
    return {**predictor, "minReplicas": least, "maxReplicas": most, "model": kept}


def _amounts(container: Object) -> Object:
    resources = {kind: dict(amounts or {}) for kind, amounts in (container.get("resources") or {}).items()}
    for name, amount in resources.get("limits", {}).items():
        # The scheduler takes the limit of an extended resource for its request too.
        if "/" in name and resources.get("requests", {}).get(name) == amount:
            del resources["requests"][name]
    return {kind: amounts for kind, amounts in resources.items() if amounts}


def _containers(now: list[Object], made: list[Object]) -> tuple[list[Object], list[Object]]:
    """Give containers that run and those that would be made, comparable."""
    # KServe calls the only one so.
    now = [{**one, "name": one.get("name") or CUSTOM_CONTAINER, "resources": _amounts(one)} for one in now]
    there = {one["name"]: one for one in now}
    made = [_as_it_is_written(one, there.get(one["name"], {})) for one in made]
    return [_with_variables(one) for one in now], [_with_variables(one) for one in made]


def _with_variables(container: Object) -> Object:
    """Give a container without what says nothing, but for its variables: they are compared one by one."""
    return {"env": [], **_said(container)}


def _as_it_is_written(made: Object, now: Object) -> Object:
    """Give a container that would be made with texts as the one that runs has them, where both mean the same.

    KServe executes no template in it: the kubelet alone replaces something.
    """
    out = dict(made)
    for field in ("command", "args"):
        texts, there = made.get(field) or [], now.get(field) or []
        if len(texts) == len(there) and all(map(_expands_alike, there, texts)):
            out[field] = there
    written = {one.get("name"): one.get("value", "") for one in now.get("env") or []}
    places = {name: place for place, name in enumerate(written)}
    out["env"] = [
        {**one, "value": written[one["name"]]}
        if "value" in one and _expands_alike(written.get(one["name"]), one["value"])
        else one
        for one in sorted(made.get("env") or [], key=lambda one: places.get(one["name"], len(places)))
    ]
    return out


def _expands_alike(one: Any, other: Any) -> bool:
    """Whether two texts reach a container alike by what the kubelet makes of them."""
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    return one == other or (not refers(one) and not refers(other) and _expanded(one) == _expanded(other))


def _expanded(text: str) -> str:
    return text.replace("$$", "$")


def refers(text: str) -> bool:
    """Whether the kubelet puts the value of a variable into a text."""
    return bool(_REFERENCE.search(text.replace("$$", "")))


def _with_variables_of(now: Object, made: Object) -> Object:
    """Give what would be made, with its variables as they are written now where that means the same."""
    if "model" not in made:
        return made
    written = {one.get("name"): one.get("value", "") for one in now["model"]["env"]}

    def as_now(variable: Object) -> Object:
        before, value = written.get(variable["name"]), variable.get("value", "")
        same = isinstance(before, str) and "valueFrom" not in variable and means_the_same(before, value)
        return {**variable, "value": before} if same else variable

    variables = [as_now(variable) for variable in made["model"]["env"]]
    return {**made, "model": {**made["model"], "env": variables}}


def _in_components(item: Mapping[str, Any], revision: Revision) -> Iterator[str]:
    for name, (now, made) in components(item, revision).items():
        if not now or not made:
            yield f"spec.{name}: {'is missing there' if not now else 'is there'}"
        else:
            yield from differences(now, made, f"spec.{name}")


def components(item: Mapping[str, Any], revision: Revision) -> dict[str, tuple[Object, Object]]:
    """Give what runs beside the predictor, and what `revision` asks for: empty where one of them has none."""
    made = manifests.components(revision)
    marks = manifests.predictor(revision.model_copy(update={"serving": {}}))
    both = {
        name: (component_of(item, name), _said(without_marks(made[name], marks)) if name in made else {})
        for name in COMPONENTS
    }
    return {name: pair for name, pair in both.items() if any(pair)}


def _beside(item: Mapping[str, Any], scaler: str | None) -> Iterator[str]:
    """Yield what an InferenceService says beside its components."""
    spec, metadata = item.get("spec") or {}, item["metadata"]
    for name, value in spec.items():
        if name not in ("predictor", *COMPONENTS) and value:
            yield f"spec.{name}: {', '.join(value) if isinstance(value, dict) else 'is there'}"
    if mode_of(item) is None:
        yield f"metadata.annotations.{MODE_ANNOTATION}: is missing; the cluster's default is taken for Standard"
    annotations = metadata.get("annotations") or {}
    said = annotations.get(SCALER_ANNOTATION, "hpa")
    if mode_of(item) != "Knative" and SCALERS.get(said) != (scaler or "HPA"):
        yield f"metadata.annotations.{SCALER_ANNOTATION}: {said!r:.100}"
    understood = {MODE_ANNOTATION, SCALER_ANNOTATION, *_WRITTEN_BY_KSERVE}
    for name, value in annotations.items():
        if name.startswith(_PREFIX) and name not in understood:
            yield f"metadata.annotations.{name}: {value!r:.100}"
    if MODE_ANNOTATION in annotations and annotations[MODE_ANNOTATION] not in MODES:
        yield f"metadata.annotations.{MODE_ANNOTATION}: {annotations[MODE_ANNOTATION]!r:.100}"


def _said(component: Object) -> Object:
    """Give a component without what says nothing."""
    return dict(_without_nothing(component))


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        said = {name: _without_nothing(item) for name, item in value.items()}
        return {name: item for name, item in said.items() if item not in ({}, [], None, "")}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value
