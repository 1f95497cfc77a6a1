"""A ModelDeployment for an InferenceService of KServe's.

What it cannot say is not listed here: the builder of manifests makes a predictor of the spec, and what differs from the
one that runs is what was left out.
"""

from collections.abc import Iterator

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.api.serving import ServingSpec
from mooring_operator.cli.adoption.adopted import Adopted, Object, differences
from mooring_operator.cli.adoption.serving import means_the_same, revision_of, serving_of, valid
from mooring_operator.cli.errors import RefusedError

_PREFIX = "serving.kserve.io/"
_MODES = {"Standard": "Standard", "RawDeployment": "Standard", "Knative": "Knative", "Serverless": "Knative"}
_COMPONENTS = ("transformer", "explainer")
_SCALERS = {"none": "None", "keda": "KEDA", "hpa": "HPA"}
_OLD_FORMATS = (
    *("sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "huggingface", "pmml", "lightgbm"),
    "paddle",
)
_WRITTEN_BY_TOOLS = ("kubectl.kubernetes.io/", "argocd.argoproj.io/", "meta.helm.sh/")


def adopt_inference_service(item: Object) -> Adopted:
    """Give the ModelDeployment for an InferenceService.

    Raises:
        RefusedError: it is a ModelDeployment's already, or it serves no model by an address.
    """
    metadata, spec = item["metadata"], item.get("spec") or {}
    _refuse_ours(metadata)
    predictor = _with_model(dict(spec.get("predictor") or {}))
    model = _model(metadata["name"], predictor["model"])
    # What every predictor of Mooring's has, its marks, is nobody's wish.
    marks = manifests.predictor(revision_of({}, model))
    predictor = _without_marks(predictor, marks)
    container = predictor["model"]
    mode = _mode(item)
    proposed: Object = {"mode": mode} if mode != "Standard" else {}
    if runtime := container.get("runtime"):
        proposed["runtime"] = runtime
    proposed |= _scaling(predictor, metadata.get("annotations") or {}, mode)
    proposed |= serving_of(predictor, container)
    if batcher := predictor.get("batcher"):
        names = {"maxBatchSize": "maxBatchSize", "maxLatency": "maxLatencyMs"}
        proposed["batching"] = {ours: batcher[theirs] for theirs, ours in names.items() if theirs in batcher}
    proposed |= {name: spec[name] for name in _COMPONENTS if spec.get(name)}
    serving = _with_template(valid(proposed), predictor, model)
    out = {"model": model, **({"serving": serving} if serving else {})}
    made = _without_marks(manifests.predictor(revision_of(serving, model)), marks)
    made |= manifests.scaling(ServingSpec.model_validate(serving))
    now = _comparable(predictor)
    left_out = (*differences(now, _with_variables_of(now, made), "spec.predictor"), *_beside(item, serving))
    return Adopted(metadata["name"], metadata.get("namespace", ""), out, left_out)


def _with_template(serving: Object, predictor: Object, model: Object) -> Object:
    """Give what is served with a template of those fields of the predictor and its model that are missing from it."""
    made = manifests.predictor(revision_of(serving, model))
    scaled = manifests.scaling(ServingSpec.model_validate(serving))
    rest = {
        name: value
        for name, value in predictor.items()
        if value and name not in {**made, **scaled, "model": 0}
    }
    inner = {name: value for name, value in predictor["model"].items() if value and name not in made["model"]}
    template: Object = {}
    for name, value in [*rest.items(), *(("model", {name: value}) for name, value in inner.items())]:
        wider = {**template, name: {**template.get(name, {}), **value} if name == "model" else value}
        if "template" in valid({**serving, "template": wider}):
            template = wider
    return {**serving, "template": template} if template else serving


def _refuse_ours(metadata: Object) -> None:
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller") and owner.get("kind") == "ModelDeployment":
            raise RefusedError(
                f"InferenceService {metadata['name']} belongs to ModelDeployment {owner['name']} already"
            )


def _with_model(predictor: Object) -> Object:
    """Give the predictor with its model as KServe's webhook writes it: under ``model``, whatever its format."""
    old = next((name for name in _OLD_FORMATS if isinstance(predictor.get(name), dict)), None)
    if old is None or "model" in predictor:
        return {**predictor, "model": dict(predictor.get("model") or {})}
    said = dict(predictor.pop(old))
    version = {"version": said.pop("runtimeVersion")} if "runtimeVersion" in said else {}
    return {**predictor, "model": {"modelFormat": {"name": old, **version}, **said}}


def _model(name: str, container: Object) -> Object:
    chosen, uri = container.get("modelFormat") or {}, container.get("storageUri")
    if not uri or not chosen.get("name"):
        missing = "storageUri" if chosen.get("name") else "modelFormat"
        raise RefusedError(
            f"InferenceService {name}: spec.predictor.model.{missing} is missing; "
            "a ModelDeployment serves a model of a format that lies at an address"
        )
    version = {"formatVersion": str(chosen["version"])} if chosen.get("version") else {}
    return {"uri": uri, "format": chosen["name"], **version}


def _mode(item: Object) -> str:
    annotations = item["metadata"].get("annotations") or {}
    status = item.get("status") or {}
    said = annotations.get(f"{_PREFIX}deploymentMode") or status.get("deploymentMode") or ""
    return _MODES.get(said, "Standard")


def _scaling(predictor: Object, annotations: Object, mode: str) -> Object:
    least, most = _replicas(predictor)
    if mode == "Standard":
        least = max(least, 1)
    said: Object = {"minReplicas": least} if least != 1 else {}
    if most > max(least, 1):
        said["maxReplicas"] = most
    autoscaling: Object = {}
    scaler = _SCALERS.get(annotations.get(f"{_PREFIX}autoscalerClass", ""))
    if scaler and mode == "Standard":
        autoscaling["scaler"] = scaler
    if predictor.get("scaleMetric"):
        autoscaling["metric"] = predictor["scaleMetric"]
    if predictor.get("scaleTarget") is not None:
        autoscaling["target"] = predictor["scaleTarget"]
    metrics = (predictor.get("autoScaling") or {}).get("metrics") or []
    if len(metrics) == 1:
        autoscaling |= _keda(metrics[0])
    return {**said, **({"autoscaling": autoscaling} if autoscaling else {})}


def _replicas(predictor: Object) -> tuple[int, int]:
    least = predictor.get("minReplicas")
    least = 1 if least is None else int(least)
    return least, int(predictor.get("maxReplicas") or max(least, 1))


def _keda(metric: Object) -> Object:
    if "resource" in metric:
        resource = metric["resource"]
        target = (resource.get("target") or {}).get("averageUtilization")
        return {"metric": resource.get("name"), **({"target": target} if target is not None else {})}
    external = metric.get("external") or {}
    source, target = external.get("metric") or {}, (external.get("target") or {}).get("value")
    prometheus = {"address": source.get("serverAddress"), "query": source.get("query")}
    number = int(str(target)) if str(target).isdecimal() else target
    return {"metric": "prometheus", "target": number, "prometheus": prometheus}


def _without_marks(component: Object, marks: Object) -> Object:
    """Give a predictor without the labels, annotations and variables of `marks`."""
    out = {**component, "model": dict(component["model"])}
    for part in ("labels", "annotations"):
        out[part] = {name: value for name, value in (out.get(part) or {}).items() if name not in marks[part]}
    ours = {variable["name"] for variable in marks["model"]["env"]}
    out["model"]["env"] = [one for one in out["model"].get("env") or [] if one.get("name") not in ours]
    if out.get("automountServiceAccountToken") == marks["automountServiceAccountToken"]:
        del out["automountServiceAccountToken"]
    return out


def _comparable(predictor: Object) -> Object:
    """Give the predictor with KServe's defaults, and without what says nothing."""
    least, most = _replicas(predictor)
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
    written = {one.get("name"): one.get("value", "") for one in now["model"]["env"]}

    def as_now(variable: Object) -> Object:
        before, value = written.get(variable["name"]), variable.get("value", "")
        same = isinstance(before, str) and "valueFrom" not in variable and means_the_same(before, value)
        return {**variable, "value": before} if same else variable

    variables = [as_now(variable) for variable in made["model"]["env"]]
    return {**made, "model": {**made["model"], "env": variables}}


def _beside(item: Object, serving: Object) -> Iterator[str]:
    """Yield what an InferenceService says beside its predictor."""
    spec, annotations = item.get("spec") or {}, item["metadata"].get("annotations") or {}
    for name, value in spec.items():
        if name != "predictor" and name not in serving and value:
            yield f"spec.{name}: {', '.join(value) if isinstance(value, dict) else 'is there'}"
    if f"{_PREFIX}deploymentMode" not in annotations and not (item.get("status") or {}).get("deploymentMode"):
        yield f"metadata.annotations.{_PREFIX}deploymentMode: is missing; the cluster's default is taken for Standard"
    understood = {
        f"{_PREFIX}deploymentMode": _MODES,
        f"{_PREFIX}autoscalerClass": _SCALERS,
    }
    for name, value in annotations.items():
        known = name in understood and value in understood[name]
        if not known and not name.startswith((*_WRITTEN_BY_TOOLS, "mooring.dev/")):
            yield f"metadata.annotations.{name}: {value!r:.100}"
    for name, value in (item["metadata"].get("labels") or {}).items():
        if not name.startswith(("app.kubernetes.io/", "mooring.dev/", *_WRITTEN_BY_TOOLS)):
            yield f"metadata.labels.{name}: {value!r:.100}"
