"""What a GatewayClass says of its gateways: which features beyond the core of the Gateway API they support.

Source: Gateway API 1.6, gateway.networking.k8s.io/v1, status.supportedFeatures; before 1.3 it was a list of names.
Weights and headers that match exactly are of the core, and in no list. A class that lists nothing may support all.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mooring_operator.adapters.cluster import Kind
from mooring_operator.planning.routes import Traits

GATEWAY_CLASS = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)

_MIRROR = "HTTPRouteRequestMirror"
_PERCENTAGE = "HTTPRouteRequestPercentageMirror"
_COOKIES = "HTTPRouteResponseHeaderModification"


def limited(traits: Traits, name: str, gateway_class: Mapping[str, Any] | None) -> Traits:
    """Give the router's traits behind Gateways of this class; None for one that is missing or may not be read."""
    listed = _features(gateway_class or {})
    if not listed:
        return replace(
            traits, mirrors_part=False, lacking=f"GatewayClass {name} does not say what it supports"
        )
    missing = [feature for feature in (_MIRROR, _PERCENTAGE, _COOKIES) if feature not in listed]
    if not missing:
        return traits
    return replace(
        traits,
        mirrors=_MIRROR in listed or _PERCENTAGE in listed,
        mirrors_part=_PERCENTAGE in listed,
        sticks=_COOKIES in listed,
        lacking=f"GatewayClass {name} does not list {', '.join(missing)} among its supported features",
    )


def _features(gateway_class: Mapping[str, Any]) -> set[str]:
    entries = (gateway_class.get("status") or {}).get("supportedFeatures") or []
    return {str(entry.get("name") if isinstance(entry, Mapping) else entry) for entry in entries}
