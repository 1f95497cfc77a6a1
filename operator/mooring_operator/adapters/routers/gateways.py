"""What a Gateway says: whether it works at all, and which host names it listens to.

Source: Gateway API 1.6, gateway.networking.k8s.io/v1. A GatewayClass may stay Unknown for ever; a Gateway that works
is Programmed.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.cluster import Kind
from mooring_operator.planning.status.wording import one_line

GATEWAY = Kind("gateway.networking.k8s.io/v1", "Gateway", "gateways")

_PROTOCOLS = ("HTTP", "HTTPS")


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


def heard(gateway: Mapping[str, Any], hosts: list[str]) -> list[str]:
    """Give those of the host names that a listener for HTTP takes."""
    listeners = [
        listener.get("hostname") or ""
        for listener in gateway["spec"].get("listeners") or []
        if listener.get("protocol") in _PROTOCOLS
    ]
    return [host for host in hosts if any(_takes(listener, host) for listener in listeners)]


def is_secure(gateway: Mapping[str, Any], host: str) -> bool:
    """Whether a host name is taken by listeners for HTTPS alone."""
    listeners = gateway["spec"].get("listeners") or []
    taking = {each.get("protocol") for each in listeners if _takes(each.get("hostname") or "", host)}
    return "HTTPS" in taking and "HTTP" not in taking


def host_names(gateway: Mapping[str, Any]) -> str:
    """Name the host names that the Gateway's listeners take, for messages."""
    listeners = gateway["spec"].get("listeners") or []
    names = [
        listener.get("hostname") or "any" for listener in listeners if listener.get("protocol") in _PROTOCOLS
    ]
    return ", ".join(sorted(set(names))) or "none: it has no listener for HTTP"


def _takes(listener: str, host: str) -> bool:
    if listener.startswith("*."):
        return host.lower().endswith(listener[1:].lower())
    return listener.lower() in ("", host.lower())
