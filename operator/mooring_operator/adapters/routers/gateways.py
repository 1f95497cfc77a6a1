"""What a Gateway says: whether it works at all, and which host names it listens to.

Source: Gateway API 1.6, gateway.networking.k8s.io/v1. A GatewayClass may stay Unknown for ever; a Gateway that works
is Programmed.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.cluster import Kind
from mooring_operator.planning.status.wording import one_line

GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")

_PROTOCOLS, _ROUTE = ("HTTP", "HTTPS"), "HTTPRoute"


def why_unusable(gateway: Mapping[str, Any]) -> str:
    """Say why no request comes through a Gateway; nothing where it works."""
    metadata = gateway["metadata"]
    called = f"Gateway {metadata['namespace']}/{metadata['name']}"
    conditions = {c["type"]: c for c in (gateway.get("status") or {}).get("conditions") or []}
    programmed = conditions.get("Programmed")
    if programmed is None or (programmed["status"] == "Unknown" and programmed.get("reason") == "Pending"):
        given = gateway["spec"].get("gatewayClassName", "")
        return f"no controller has set up {called} yet; is one installed for GatewayClass {given}?"
    if programmed["status"] != "True":
        said = f"{programmed.get('reason', '')}: {programmed.get('message', '')}".strip(": ")
        return f"{called} is not programmed: {one_line(said)}"
    return ""


def heard(gateway: Mapping[str, Any], hosts: list[str], namespace: str) -> list[str]:
    """Give those of the host names that a listener for HTTP takes of HTTPRoutes of a namespace."""
    names = [listener.get("hostname") or "" for listener in _open_to(gateway, namespace)]
    return [host for host in hosts if any(_takes(name, host) for name in names)]


def is_closed_to(gateway: Mapping[str, Any], namespace: str) -> bool:
    """Whether there are listeners for HTTP, and none takes HTTPRoutes of a namespace, whatever their host names."""
    return bool(_for_http(gateway)) and not _open_to(gateway, namespace)


def is_secure(gateway: Mapping[str, Any], host: str) -> bool:
    """Whether a host name is taken by listeners for HTTPS alone."""
    listeners = gateway["spec"].get("listeners") or []
    taking = {each.get("protocol") for each in listeners if _takes(each.get("hostname") or "", host)}
    return "HTTPS" in taking and "HTTP" not in taking


def host_names(gateway: Mapping[str, Any], namespace: str) -> str:
    """Name the host names that the Gateway's listeners take of a namespace's HTTPRoutes, for messages."""
    names = {listener.get("hostname") or "any" for listener in _open_to(gateway, namespace)}
    return ", ".join(sorted(names)) or "none: it has no listener for HTTP"


def _for_http(gateway: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listeners = gateway["spec"].get("listeners") or []
    return [listener for listener in listeners if listener.get("protocol") in _PROTOCOLS]


def _open_to(gateway: Mapping[str, Any], namespace: str) -> list[Mapping[str, Any]]:
    """Give the listeners for HTTP that may take HTTPRoutes of a namespace.

    By a selector of namespaces only the gateway's controller tells: it says so of the route.
    """
    same = gateway["metadata"]["namespace"] == namespace
    return [listener for listener in _for_http(gateway) if _takes_routes(listener, same=same)]


def _takes_routes(listener: Mapping[str, Any], *, same: bool) -> bool:
    allowed = listener.get("allowedRoutes") or {}
    kinds = [kind.get("kind") for kind in allowed.get("kinds") or []]
    # The API writes its default, Same.
    origin = (allowed.get("namespaces") or {}).get("from", "All")
    return (not kinds or _ROUTE in kinds) and (same if origin == "Same" else origin != "None")


def _takes(listener: str, host: str) -> bool:
    if listener.startswith("*."):
        return host.lower().endswith(listener[1:].lower())
    return listener.lower() in ("", host.lower())
