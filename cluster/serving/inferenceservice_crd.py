"""A permissive InferenceService definition, for API servers without KServe's own (which is 2 MB).

Only what decides routing is typed, with the rules of KServe's webhook; everything else is preserved.
"""

from __future__ import annotations

from typing import Any

GROUP, VERSION, KIND, PLURAL = "serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices"

# Tells this definition from KServe's own.
LABELS = {"app.kubernetes.io/part-of": "mooring"}

_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

# What KServe's webhook writes into each.
_DEFAULTS = {"name": {"type": "string", "default": ""}, "resources": {**_ANY, "default": {}}}
_MODEL = {**_ANY, "properties": {**_DEFAULTS, "storageUri": {"type": "string", "maxLength": 2048}}}
_AUTOMOUNT = {"automountServiceAccountToken": {"type": "boolean", "default": False}}
_NAME = {"type": "string", "maxLength": 63}
_REPLICAS = {"type": "integer", "format": "int32"}
_SCALING = {"minReplicas": _REPLICAS, "maxReplicas": _REPLICAS}

_PREDICTOR = {**_ANY, "properties": {"name": _NAME, "model": _MODEL, **_AUTOMOUNT, **_SCALING}}

_CANARY = {
    "type": "array",
    "maxItems": 10,
    "x-kubernetes-list-type": "atomic",
    "items": {
        "type": "object",
        "required": ["predictor", "trafficPercent"],
        "properties": {
            "trafficPercent": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 100},
            "predictor": {
                **_ANY,
                "required": ["name"],
                "properties": {
                    "name": {**_NAME, "minLength": 1},
                    "model": {**_ANY, "properties": _DEFAULTS},
                    **_SCALING,
                },
            },
        },
    },
}


def _name(spec: str) -> str:
    return f"(has({spec}.predictor.name) ? {spec}.predictor.name : '')"


def _uri(spec: str) -> str:
    # Optional syntax would be shorter, but its cost estimate ignores maxLength and exceeds the budget.
    model = f"{spec}.predictor.model"
    return f"(has({model}) && has({model}.storageUri) ? {model}.storageUri : '')"


_RULES = [
    {
        "rule": "!has(self.canary) || self.canary.map(c, c.trafficPercent).sum() <= 100",
        "message": "sum of canary trafficPercent values must be <= 100",
    },
    {
        "rule": "!has(self.canary) || self.canary.all(c, "
        "self.canary.exists_one(d, d.predictor.name == c.predictor.name))",
        "message": "canary predictor.name is duplicated",
    },
    {
        "rule": "!has(self.canary) || !has(self.predictor.name) || "
        "self.canary.all(c, c.predictor.name != self.predictor.name)",
        "message": "canary predictor.name conflicts with stable predictor name",
    },
    {
        "rule": "!has(self.canary) || self.canary.all(c, "
        "!has(c.predictor.maxReplicas) && "
        "c.predictor.?minReplicas.orValue(0) <= self.predictor.?minReplicas.orValue(1))",
        "message": "a canary has fixed replicas, not more than stable's minReplicas",
    },
    {
        "rule": f"{_name('self')} == {_name('oldSelf')} || {_uri('self')} != {_uri('oldSelf')}",
        "message": "predictor.name change requires a model change (e.g. storageUri)",
    },
]

_SPEC = {
    **_ANY,
    "required": ["predictor"],
    "properties": {"predictor": _PREDICTOR, "canary": _CANARY},
    "x-kubernetes-validations": _RULES,
}


def inferenceservice_crd() -> dict[str, Any]:
    """The CustomResourceDefinition as a document."""
    columns = [
        {"name": "URL", "type": "string", "jsonPath": ".status.url"},
        {"name": "READY", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"},
        {"name": "CANARY", "type": "string", "jsonPath": ".status.canaryStatuses[*].trafficPercent"},
        {"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": _SPEC, "status": _ANY}}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": schema},
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": "inferenceservice",
        "shortNames": ["isvc"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": LABELS},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
