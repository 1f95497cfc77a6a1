"""What of KServe's components a ModelDeployment may write itself: ``template``, ``transformer``, ``explainer``.

What Mooring decides may stand in none of them: who is who, how much traffic and how many replicas there are, and
which model is loaded. Everything else reaches KServe, whose webhook has the last word.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from mooring_operator.api.pod_fields import Schema, structure

_OUR_DOMAINS = ("mooring.dev", "kserve.io", "autoscaling.knative.dev")
_OUR_KEYS = ("app", "component")
_KEYS = "are kept for Mooring and KServe: keys of " + ", ".join(_OUR_DOMAINS) + ", app and component"

_REPLICAS = "say it in spec.serving: minReplicas, maxReplicas and autoscaling"
_CONTENT = "say it in spec.model: what is served is what was tested"
_RUNTIME = "say it in spec.serving.runtime"
_TRAFFIC = "say it in spec.rollout: traffic moves by its steps"
_NO_API = "models are given no token of the API server; mount a projected one where a pod needs it"

CUSTOM_CONTAINER = "kserve-container"
"""KServe's name of a model's container: a template that has it replaces the runtime."""
HAS_CUSTOM = (
    f"has(self.containers) && self.containers.exists(c, has(c.name) && c.name == '{CUSTOM_CONTAINER}')"
)
_TWO_MODELS = (
    f"template: model changes a runtime's container, and {CUSTOM_CONTAINER} replaces it: leave one out"
)

_NEEDS_CONTAINER = "needs a container: the image that runs"

_FRAMEWORKS = (
    *("huggingface", "lightgbm", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow", "triton"),
    "xgboost",
)
_API: dict[str, str] = {"automountServiceAccountToken": _NO_API}
_IN_COMPONENTS: dict[str, str] = {"canaryTrafficPercent": _TRAFFIC, **_API}
_IN_PREDICTOR: dict[str, str] = {
    **_IN_COMPONENTS,
    "name": "Mooring names each revision",
    **dict.fromkeys(
        ("minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "scaleMetricType", "autoScaling"),
        _REPLICAS,
    ),
    "storageUris": _CONTENT,
    **dict.fromkeys(_FRAMEWORKS, "say it in spec.model.format, and the container's fields in template.model"),
}
_IN_MODEL: dict[str, str] = {
    "name": "KServe names the container",
    "modelFormat": "say it in spec.model.format",
    "storageUri": _CONTENT,
    "storage": "say it in spec.serving.storage, and the address in spec.model.uri",
    "runtime": _RUNTIME,
}
# Refused as they stand, whatever they hold: none is ever stored.
_ANYTHING: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_KINDS: dict[str, Schema] = {
    **{
        key: {"type": "integer"}
        for key in ("minReplicas", "maxReplicas", "scaleTarget", "canaryTrafficPercent")
    },
    "automountServiceAccountToken": {"type": "boolean"},
    "storageUris": {"type": "array", "maxItems": 16, "items": _ANYTHING},
    **dict.fromkeys(("autoScaling", "modelFormat", "storage", *_FRAMEWORKS), _ANYTHING),
}
REFUSED: dict[str, str] = {}
"""Why a field may not be set, by its path in ``spec.serving``."""


def _refusing(schema: Schema, refused: Mapping[str, str], path: str) -> Schema:
    """Give `schema` with fields that are known, so that it can be said why they are refused."""
    out = copy.deepcopy(schema)
    rules = out.setdefault("x-kubernetes-validations", [])
    for name, why in refused.items():
        REFUSED[f"{path}.{name}"] = message = f"{path}.{name} is not for you to set: {why}"
        out["properties"][name] = copy.deepcopy(_KINDS.get(name, {"type": "string"}))
        rules.append({"rule": f"!has(self.{name})", "message": f"spec.serving.{message}"})
    return out


def _predictor() -> Schema:
    out = _refusing(structure("Component", "Pod"), _IN_PREDICTOR, "template")
    # A sidecar that starts before the model may have probes: here alone, see pod_fields.
    out["properties"]["initContainers"] = out["properties"]["containers"]
    model = structure("InitContainer", "Lived", "ModelOnly")
    out["properties"]["model"] = _refusing(model, _IN_MODEL, "template.model")
    worker = _refusing(structure("Pod", "WorkerOnly"), _API, "template.workerSpec")
    out["properties"]["workerSpec"] = worker
    out["properties"]["storageContainerName"] = {"type": "string"}
    out["x-kubernetes-validations"].append(
        {"rule": f"!has(self.model) || !({HAS_CUSTOM})", "message": f"spec.serving.{_TWO_MODELS}"}
    )
    return out


def _component(name: str) -> Schema:
    out = _refusing(structure("Component", "ScaledComponent", "Pod"), _IN_COMPONENTS, name)
    out["x-kubernetes-validations"].append(
        {
            "rule": "has(self.containers) && self.containers.size() > 0",
            "message": f"spec.serving.{name} {_NEEDS_CONTAINER}",
        }
    )
    return out


TEMPLATE_SCHEMA, TRANSFORMER_SCHEMA, EXPLAINER_SCHEMA = (
    _predictor(),
    _component("transformer"),
    _component("explainer"),
)


def refused_key(key: str) -> bool:
    """Whether a label or annotation is one that Mooring or KServe decides by."""
    domain = key.rpartition("/")[0]
    ours = any(domain == ours or domain.endswith(f".{ours}") for ours in _OUR_DOMAINS)
    return ours or key in _OUR_KEYS


def key_rule(field: str) -> dict[str, str]:
    """Give the rule of a map of labels or annotations by which they are free of keys that Mooring decides by."""
    domains = "|".join(domain.replace(".", "[.]") for domain in _OUR_DOMAINS)
    ours = f"key.matches('^([^/]*[.])?({domains})/') || key in [{', '.join(map(repr, _OUR_KEYS))}]"
    return {
        "rule": f"!self.exists(key, {ours})",
        "messageExpression": f"'{field}: ' + self.filter(key, {ours})[0] + ' {_KEYS}'",
    }


_INITIALIZER = "storage-initializer"
_NOT_YOURS = f"initContainers: {_INITIALIZER} is KServe's: it fetches the model that was tested"


def _add_rules(name: str, schema: Schema) -> None:
    for entries in ("labels", "annotations"):
        rule = key_rule(f"spec.serving.{name}.{entries}")
        schema["properties"][entries] = {**schema["properties"][entries], "x-kubernetes-validations": [rule]}
    schema["x-kubernetes-validations"].append(
        {
            "rule": "!has(self.initContainers) || "
            f"!self.initContainers.exists(c, has(c.name) && c.name == '{_INITIALIZER}')",
            "message": f"spec.serving.{name}.{_NOT_YOURS}",
        }
    )


for _name, _schema in (
    ("template", TEMPLATE_SCHEMA),
    ("transformer", TRANSFORMER_SCHEMA),
    ("explainer", EXPLAINER_SCHEMA),
):
    _add_rules(_name, _schema)


def check_keys(field: str, entries: Mapping[str, Any]) -> None:
    """Refuse keys that Mooring decides by.

    Raises:
        ValueError: there is one; the message names it.
    """
    for key in entries:
        if refused_key(key):
            raise ValueError(f"{field}: {key} {_KEYS}")


def problems(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """Yield what is wrong with a value by its schema: the API server says it first, where its CRD is ours."""
    kind = schema.get("type")
    if kind == "object" and isinstance(value, Mapping):
        yield from _problems_of_fields(value, schema, path)
    elif kind == "array" and isinstance(value, list) and len(value) <= schema["maxItems"]:
        for index, item in enumerate(value):
            yield from problems(item, schema["items"], f"{path}[{index}]")
    elif not _fits(value, schema):
        yield f"{path} must be {'a whole number or text' if kind is None else f'of type {kind}'}, got {value!r:.60}"


def _problems_of_fields(value: Mapping[str, Any], schema: Schema, path: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name, child in value.items():
        below = known.get(name, schema.get("additionalProperties"))
        if f"{path}.{name}" in REFUSED:
            yield REFUSED[f"{path}.{name}"]
        elif below is None:
            yield f"{path}.{name} is an unknown field"
        elif child is not None:
            yield from problems(child, below, f"{path}.{name}")


def _fits(value: Any, schema: Schema) -> bool:
    if isinstance(value, bool):
        return schema.get("type") == "boolean"
    if isinstance(value, int):
        return schema.get("type") == "integer" or "x-kubernetes-int-or-string" in schema
    return isinstance(value, str) and (
        schema.get("type") == "string" or "x-kubernetes-int-or-string" in schema
    )


def has_custom_container(template: Mapping[str, Any]) -> bool:
    """Whether the model's container is one of the template's, and no runtime's."""
    containers = template.get("containers") or []
    return any(container.get("name") == CUSTOM_CONTAINER for container in containers)


def _named_twice(value: Mapping[str, Any]) -> str:
    """Give the name that two containers of a pod have, whether they begin with it or not; empty where none has."""
    both = [*(value.get("initContainers") or []), *(value.get("containers") or [])]
    names = [container["name"] for container in both if container.get("name")]
    return next((name for name in names if names.count(name) > 1), "")


def _checked(name: str, schema: Schema) -> AfterValidator:
    def check(value: dict[str, Any]) -> dict[str, Any]:
        for problem in problems(value, schema, name):
            raise ValueError(problem)
        for entries in ("labels", "annotations"):
            check_keys(f"{name}.{entries}", value.get(entries) or {})
        if any(container.get("name") == _INITIALIZER for container in value.get("initContainers") or []):
            raise ValueError(f"{name}.{_NOT_YOURS}")
        if twice := _named_twice(value):
            raise ValueError(
                f"{name}.containers: {twice!r:.80} is the name of two containers; give each its own"
            )
        if name != "template" and not value.get("containers"):
            raise ValueError(f"{name} {_NEEDS_CONTAINER}")
        if name == "template" and "model" in value and has_custom_container(value):
            raise ValueError(_TWO_MODELS)
        return value

    return AfterValidator(check)


Template = Annotated[dict[str, Any], _checked("template", TEMPLATE_SCHEMA), WithJsonSchema(TEMPLATE_SCHEMA)]
Transformer = Annotated[
    dict[str, Any], _checked("transformer", TRANSFORMER_SCHEMA), WithJsonSchema(TRANSFORMER_SCHEMA)
]
Explainer = Annotated[
    dict[str, Any], _checked("explainer", EXPLAINER_SCHEMA), WithJsonSchema(EXPLAINER_SCHEMA)
]
