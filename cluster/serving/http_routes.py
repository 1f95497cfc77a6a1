"""The HTTPRoutes of an InferenceService, as KServe writes them and a Gateway takes them up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GROUP, VERSION, KIND, PLURAL = "gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"
CONTROLLER = "mooring.dev/stand-in"

_GATEWAY = {"group": GROUP, "kind": "Gateway", "namespace": "kserve", "name": "kserve-ingress-gateway"}
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TAKEN_UP = {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"}


def http_routes(service: Mapping[str, Any], weights: Mapping[str, int]) -> list[dict[str, Any]]:
    """The routes by which an InferenceService gives its Services, by name, shares of the requests."""
    metadata = service["metadata"]
    backends = [
        {"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight}
        for name, weight in weights.items()
    ]
    path = {"type": "RegularExpression", "value": "^/.*$"}
    rule = {"matches": [{"path": path}], "backendRefs": backends, "timeouts": {"request": "60s"}}
    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return [
        {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": dict(metadata.get("labels") or {}),
                "ownerReferences": [owner],
            },
            "spec": {
                "hostnames": [f"{name}-{metadata['namespace']}.example.com"],
                "parentRefs": [_GATEWAY],
                "rules": [rule],
            },
        }
        for name in (metadata["name"], f"{metadata['name']}-predictor")
    ]


def belongs_to(route: Mapping[str, Any], service: Mapping[str, Any]) -> bool:
    """Whether a route was made for this very InferenceService, and not for an earlier one of its name."""
    owners = route["metadata"].get("ownerReferences") or []
    return any(owner["uid"] == service["metadata"]["uid"] for owner in owners)


def taken_up(route: Mapping[str, Any], now: str) -> dict[str, Any]:
    """The status of a route that its Gateway has taken up as it is."""
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": reason,
            "message": "",
            "observedGeneration": route["metadata"]["generation"],
            "lastTransitionTime": now,
        }
        for kind, reason in _TAKEN_UP.items()
    ]
    return {"parents": [{"parentRef": _GATEWAY, "controllerName": CONTROLLER, "conditions": conditions}]}


def is_taken_up(route: Mapping[str, Any]) -> bool:
    """Whether a Gateway has taken up the route as it is."""
    parents = (route.get("status") or {}).get("parents") or []
    observed = {c["observedGeneration"] for parent in parents for c in parent["conditions"]}
    return observed == {route["metadata"]["generation"]}


def httproute_crd(labels: Mapping[str, str]) -> dict[str, Any]:
    """A permissive definition, for API servers without the Gateway API's own."""
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": _ANY, "status": _ANY}}},
    }
    names = {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": "httproute"}
    # The API server protects *.k8s.io: a definition that nobody has approved says so.
    unapproved = {"api-approved.kubernetes.io": "unapproved, a stand-in"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}", "labels": dict(labels), "annotations": unapproved},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }
