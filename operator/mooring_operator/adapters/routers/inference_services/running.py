"""Compares an InferenceService that runs with what Mooring would make of a revision.

Source: KServe 0.21: what its webhook writes into an InferenceService, and which of its metadata pods get.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.comparison import differences
from mooring_operator.api.rollout_status import Revision

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


def component_of(item: Mapping[str, Any], name: str) -> Object:
    """Give a transformer or an explainer without what says nothing, or what Mooring says of each."""
    said = item["spec"].get(name) or {}
    return _said({field: value for field, value in said.items() if field != "automountServiceAccountToken"})


def left_out(item: Mapping[str, Any], revision: Revision) -> tuple[str, ...]:
    """Say field by field in what the InferenceService that runs differs from what `revision` asks for."""
    serving = revision.serving_spec
    marks = manifests.predictor(revision.model_copy(update={"serving": {}}))
    made = {**without_marks(manifests.predictor(revision), marks), **manifests.scaling(serving)}
    now = _comparable(without_marks(predictor_of(item), marks))
    if "model" in now and "runtime" not in now["model"] and serving.runtime == runtime_of(item) != "":
        # KServe has chosen what the revision names.
        now["model"]["runtime"] = serving.runtime
    return (
        *differences(now, _with_variables_of(now, made), "spec.predictor"),
        *_in_components(item, revision),
        *_beside(item, serving.autoscaling.scaler if serving.autoscaling else None),
    )


def without_marks(component: Object, marks: Object) -> Object:
    """Give a predictor without the labels, annotations and variables that every one of Mooring's has."""
    out = dict(component)
    for part in ("labels", "annotations"):
        out[part] = {name: value for name, value in (out.get(part) or {}).items() if name not in marks[part]}
    ours = {variable["name"] for variable in marks["model"]["env"]}
    if "model" in out:
        kept = [one for one in out["model"].get("env") or [] if one.get("name") not in ours]
        out["model"] = {**out["model"], "env": kept}
    if out.get("automountServiceAccountToken") == marks["automountServiceAccountToken"]:
        del out["automountServiceAccountToken"]
    return out


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
    resources = {kind: dict(amounts or {}) for kind, amounts in (model.get("resources") or {}).items()}
    for name, amount in resources.get("limits", {}).items():
        # The scheduler takes the limit of an extended resource for its request too.
        if "/" in name and resources.get("requests", {}).get(name) == amount:
            del resources["requests"][name]
    model["resources"] = {kind: amounts for kind, amounts in resources.items() if amounts}
    # KServe names the container by itself.
    kept = {name: value for name, value in model.items() if value or name == "env"}
    return {**predictor, "minReplicas": least, "maxReplicas": most, "model": kept}


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
    made = manifests.components(revision)
    marks = manifests.predictor(revision.model_copy(update={"serving": {}}))
    for name in COMPONENTS:
        now = component_of(item, name)
        if not now and name not in made:
            continue
        if not now or name not in made:
            yield f"spec.{name}: {'is missing there' if not now else 'is there'}"
            continue
        wanted = _said(without_marks(made[name], marks))
        yield from differences(now, wanted, f"spec.{name}")


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
