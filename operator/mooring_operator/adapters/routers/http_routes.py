"""What an HTTPRoute says: which share of the requests a backend gets, and whether a gateway has taken it up.

Source: Gateway API 1.6, gateway.networking.k8s.io/v1.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.cluster import Kind
from mooring_operator.planning.status.wording import one_line

HTTP_ROUTE = Kind("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")

_TAKEN_UP = ("Accepted", "ResolvedRefs")
_WAYS_OUT = {
    "NotAllowedByListeners": "have a listener's allowedRoutes take HTTPRoutes of this namespace (namespaces, kinds), "
    "or name another Gateway",
    "NoMatchingListenerHostname": "have a listener that takes the route's host names",
    "NoMatchingParent": "have the Gateway listen for HTTP",
    "UnsupportedValue": "the gateway cannot do all that spec.rollout asks for: choose another strategy or Gateway",
}
"""By the reason of a condition, Gateway API's words."""


def share_of(route: Mapping[str, Any], backend: str) -> int:
    """Give the percent of requests that the Service `backend` gets at least, whichever rule they match."""
    rules = route["spec"].get("rules") or []
    return min((_share(rule.get("backendRefs") or [], backend) for rule in rules), default=0)


def copied_to(route: Mapping[str, Any], backend: str) -> int:
    """Give the percent of requests that the Service `backend` gets a copy of at least, whichever rule they match."""
    rules = route["spec"].get("rules") or []
    return min((_copies(rule, backend) for rule in rules), default=0)


def leads_to(route: Mapping[str, Any], backend: str) -> bool:
    """Whether requests with some header go to the Service `backend`."""
    return any(
        _share(rule.get("backendRefs") or [], backend) > 0
        for rule in route["spec"].get("rules") or []
        if any(match.get("headers") for match in rule.get("matches") or [])
    )


def why_not_taken_up(route: Mapping[str, Any]) -> str:
    """Say why the route as it is now decides about no request yet; nothing where every gateway has taken it up."""
    name, asked = route["metadata"]["name"], route["spec"].get("parentRefs") or []
    parents = (route.get("status") or {}).get("parents") or []
    if not asked or len(parents) < len(asked):
        return f"no gateway has answered for HTTPRoute {name} yet"
    return next((why for parent in parents if (why := _why_not(parent, route))), "")


def why_refused(route: Mapping[str, Any]) -> str:
    """Say why a gateway turned the route down, in this or an earlier form; nothing where it serves one."""
    for parent in (route.get("status") or {}).get("parents") or []:
        for condition in parent.get("conditions") or []:
            if condition["type"] == "Accepted" and condition["status"] != "True":
                return why_not_taken_up(route)
    return "" if (route.get("status") or {}).get("parents") else why_not_taken_up(route)


def lags_behind(route: Mapping[str, Any]) -> bool:
    """Whether every gateway serves the route in an earlier form, and one has yet to answer for it as it is."""
    parents = (route.get("status") or {}).get("parents") or []
    told = [
        {condition["type"]: condition["status"] for condition in parent.get("conditions") or []}
        for parent in parents
    ]
    serve = bool(told) and all(known.get(kind) == "True" for known in told for kind in _TAKEN_UP)
    return serve and bool(why_not_taken_up(route))


def _share(backends: list[Mapping[str, Any]], backend: str) -> int:
    weights = [(entry.get("name"), int(entry.get("weight", 1))) for entry in backends]
    total = sum(weight for _, weight in weights)
    own = sum(weight for name, weight in weights if name == backend)
    return 100 * own // total if total else 0


def _copies(rule: Mapping[str, Any], backend: str) -> int:
    mirrors = [entry["requestMirror"] for entry in rule.get("filters") or [] if "requestMirror" in entry]
    percents = [
        int(mirror.get("percent", 100)) for mirror in mirrors if mirror["backendRef"]["name"] == backend
    ]
    return sum(percents)


def _why_not(parent: Mapping[str, Any], route: Mapping[str, Any]) -> str:
    name, gateway = route["metadata"]["name"], (parent.get("parentRef") or {}).get("name", "")
    conditions = {condition["type"]: condition for condition in parent.get("conditions") or []}
    for kind in _TAKEN_UP:
        found = conditions.get(kind)
        if found is None or found.get("observedGeneration") != route["metadata"].get("generation"):
            return f"Gateway {gateway} has not taken up HTTPRoute {name} as it is now"
        if found["status"] != "True":
            reason = str(found.get("reason", ""))
            said = one_line(f"{reason}: {found.get('message', '')}".strip(": "))
            way_out = _WAYS_OUT.get(reason)
            return f"Gateway {gateway} does not take up HTTPRoute {name}: {said}{f'; {way_out}' if way_out else ''}"
    return ""
