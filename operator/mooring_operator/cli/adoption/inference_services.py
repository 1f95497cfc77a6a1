"""A ModelDeployment for an InferenceService of KServe's.

What it cannot say is not listed here: the builder of manifests makes a predictor of the spec, and what differs from the
one that runs is what was left out.
"""

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services import running
from mooring_operator.api.serving import ServingSpec
from mooring_operator.cli.adoption import custom_containers as custom
from mooring_operator.cli.adoption.adopted import AdoptedDeployment, Object
from mooring_operator.cli.adoption.serving import revision_of, serving_of, valid
from mooring_operator.cli.errors import RefusedError
from mooring_operator.planning.objects.ownership import made_for


def adopt_inference_service(item: Object, uri: str = "", model_format: str = "") -> AdoptedDeployment:
    """Give the ModelDeployment for an InferenceService.

    uri, model_format: of the model, where a container of its own serves it, which says neither.

    Raises:
        RefusedError: it is a ModelDeployment's already, or nothing says which model it serves.
    """
    metadata = item["metadata"]
    _refuse_ours(item)
    predictor = running.predictor_of(item)
    own = running.custom_container_of(predictor)
    if own is not None:
        model = custom.model_of(metadata["name"], own, uri, model_format)
    else:
        model = _model(metadata["name"], predictor["model"])
    # What every predictor of Mooring's has, its marks, is nobody's wish.
    predictor = running.without_marks(predictor, manifests.predictor(revision_of({}, model)))
    mode = running.mode_of(item) or "Standard"
    proposed = _proposed(item, predictor, own, mode)
    base = valid(proposed)
    if own is not None:
        base = custom.with_containers(base, predictor["containers"], custom.plain(own))
    serving = _with_template(base, predictor, model)
    out = {"model": model, **({"serving": serving} if serving else {})}
    left_out = running.left_out(item, revision_of(serving, model))
    taken_over = "" if own is not None and not custom.uri_of(own) else _taken_over(item, mode)
    return AdoptedDeployment(
        metadata["name"], metadata.get("namespace", ""), out, left_out, takes_over=taken_over
    )


def _proposed(item: Object, predictor: Object, own: Object | None, mode: str) -> Object:
    """Give the fields of ``spec.serving`` for an InferenceService, as far as they have one there."""
    container = predictor["model"] if own is None else {**custom.plain(own), "env": []}
    proposed: Object = {"mode": mode} if mode != "Standard" else {}
    runtime = container.get("runtime") or running.runtime_of(item)
    if runtime and own is None:
        proposed["runtime"] = runtime
    proposed |= _scaling(predictor, item["metadata"].get("annotations") or {}, mode)
    proposed |= serving_of(predictor, container)
    if own is not None and (env := custom.variables_of(own)):
        proposed["env"] = env
    if batcher := predictor.get("batcher"):
        names = {"maxBatchSize": "maxBatchSize", "maxLatency": "maxLatencyMs"}
        proposed["batching"] = {ours: batcher[theirs] for theirs, ours in names.items() if theirs in batcher}
    components = {name: running.component_of(item, name) for name in running.COMPONENTS}
    return proposed | {name: component for name, component in components.items() if component}


def _taken_over(item: Object, mode: str) -> str:
    """Name the very InferenceService, for the operator to take it over as it runs; empty where it cannot."""
    metadata = item["metadata"]
    if mode != "Standard" or not metadata.get("uid"):
        return ""
    return f"{metadata['name']}/{metadata['uid']}"


def _with_template(serving: Object, predictor: Object, model: Object) -> Object:
    """Give what is served with a template of those fields of the predictor and its model that are missing from it."""
    made = manifests.predictor(revision_of(serving, model))
    scaled = manifests.scaling(ServingSpec.model_validate(serving))
    own = "model" not in made
    rest = {
        name: value
        for name, value in predictor.items()
        if value and name not in {**made, **scaled, "model": 0}
    }
    inner = {} if own else _missing(predictor["model"], made["model"])
    template: Object = serving.get("template", {})
    for name, value in [*rest.items(), *(("model", {name: value}) for name, value in inner.items())]:
        wider = {**template, name: {**template.get(name, {}), **value} if name == "model" else value}
        if "template" in valid({**serving, "template": wider}):
            template = wider
    return {**serving, "template": template} if template else serving


def _missing(said: Object, made: Object) -> Object:
    return {name: value for name, value in said.items() if value and name not in made}


def _refuse_ours(item: Object) -> None:
    metadata = item["metadata"]
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller") and owner.get("kind") == "ModelDeployment":
            raise RefusedError(
                f"InferenceService {metadata['name']} belongs to ModelDeployment {owner['name']} already"
            )
    maker = made_for(item)
    if maker:
        raise RefusedError(
            f"InferenceService {metadata['name']} was made for ModelDeployment {maker} and left behind: "
            f"apply a ModelDeployment {maker}, and it takes up what it finds of its own"
        )


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


def _scaling(predictor: Object, annotations: Object, mode: str) -> Object:
    least, most = running.replicas_of(predictor)
    if mode == "Standard":
        least = max(least, 1)
    said: Object = {"minReplicas": least} if least != 1 else {}
    if most > max(least, 1):
        said["maxReplicas"] = most
    autoscaling: Object = {}
    scaler = running.SCALERS.get(annotations.get(running.SCALER_ANNOTATION, ""))
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
