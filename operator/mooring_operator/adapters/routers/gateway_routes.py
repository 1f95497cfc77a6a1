"""Builds the HTTPRoute of a deployment, and the ways from one to the next on which no request is lost.

Source: Gateway API 1.6, gateway.networking.k8s.io/v1: of the rules that match a request the one with the longest path
wins, then the one with the most headers, then the first.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from mooring_operator.api.names import HOST_LABEL
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owned_labels, owner_reference
from mooring_operator.planning.routing import Routing, Rule

GRPC_PATH = "/inference.GRPCInferenceService"
"""Every method of the Open Inference Protocol's gRPC service lies below it."""
TIMEOUT = "300s"
"""Written always: without one, gateways take what they like, 15 seconds for example."""
MOST_RULES = 16
"""That an HTTPRoute may have."""

_STICKY_DAY_S = 86_400


@dataclass(frozen=True)
class Backend:
    """The Service of one revision, with the port for HTTP and the one for gRPC, where it has one."""

    service: str
    port: int = 80
    grpc_port: int | None = None


@dataclass(frozen=True)
class Entrance:
    """The Gateway that a deployment is reached through, and the host name outside of the cluster, if it has one."""

    gateway: str
    namespace: str
    host: str = ""

    def __str__(self) -> str:
        """Give the Gateway as messages name it."""
        return f"Gateway {self.namespace}/{self.gateway}"


@dataclass(frozen=True)
class Address:
    """What a route answers for.

    name: of the Service through which pods of the cluster reach it, and in the route's name.
    hosts: the host names; `host` is the one outside of the cluster, empty for none.
    """

    name: str
    hosts: tuple[str, ...]
    host: str = ""


def route_name(address: str) -> str:
    """Give the name of an address's route: KServe overwrites one that is called like an InferenceService."""
    return f"{address}-mooring"


def in_cluster_hosts(name: str, namespace: str) -> list[str]:
    """Give the names of a Service; not the bare one, which other namespaces may have too."""
    return [f"{name}.{namespace}{suffix}" for suffix in (".svc.cluster.local", ".svc", "")]


def preview_host(host: str) -> str:
    """Give the preview's name beside a host name outside of the cluster; empty where there is none."""
    first, dot, rest = host.partition(".")
    return f"{first}-preview{dot}{rest}" if host else ""


def host_label(host: str) -> str:
    """Give what stands for a host name in the label by which routes with the same one are found."""
    return fingerprint(host.lower())


def route(
    owner: Owner, routing: Routing, backends: Mapping[str, Backend], entrance: Entrance, address: Address
) -> Manifest:
    """Give the HTTPRoute that carries out `routing` at an address; `backends` are those of its revisions.

    Raises:
        ValueError: there are more rules than an HTTPRoute can have.
    """
    rules = list(_rules(routing, backends))
    if len(rules) > MOST_RULES:
        raise ValueError(f"the routing has {len(rules)} rules; an HTTPRoute has at most {MOST_RULES}")
    labels = owned_labels(owner.name)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {
            "name": route_name(address.name),
            "namespace": owner.namespace,
            "labels": {**labels, **({HOST_LABEL: host_label(address.host)} if address.host else {})},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "name": entrance.gateway,
                    "namespace": entrance.namespace,
                }
            ],
            "hostnames": list(address.hosts),
            "rules": rules,
        },
    }


def at_the_same_door(wanted: Manifest, present: Mapping[str, Any]) -> Manifest:
    """Give the route with the Gateway and the host names that it has by now."""
    door = {name: present["spec"][name] for name in ("parentRefs", "hostnames") if name in present["spec"]}
    return {
        **wanted,
        "metadata": {**wanted["metadata"], "labels": present["metadata"].get("labels") or {}},
        "spec": {**wanted["spec"], **door},
    }


def front_service(owner: Owner, name: str, front: str) -> Manifest:
    """Give the Service of fixed name that leads to the Gateway's own, whatever revision is stable; it maps no ports."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": owned_labels(owner.name),
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {"type": "ExternalName", "externalName": front},
    }


def way_to(wanted: Manifest, present: Mapping[str, Any] | None) -> list[Manifest]:
    """Give the routes to apply one after the other, each for a moment, to get from `present` to `wanted`.

    A gateway that is told of a backend and of its traffic at once answers some requests with 503 until it knows the
    backend's pods; so it does when a backend goes while requests are on their way to it. A backend enters at weight 0,
    and leaves through weight 0.
    """
    if present is None:
        return [wanted]
    entering = _refs(wanted) - _refs(present)
    leaving = _refs(present) - _refs(wanted)
    way = []
    if entering and _main(present["spec"].get("rules") or []) and not _are_idle(wanted, entering):
        way.append(_with_idle(wanted, present["spec"]["rules"], entering))
    if leaving and not _are_idle(present, leaving):
        way.append(_with_idle(wanted, wanted["spec"]["rules"], leaving))
    return [*way, wanted]


def weights_of(present: Mapping[str, Any]) -> dict[str, int]:
    """Give the weight of each Service among the requests that no header decides about."""
    rules = present["spec"].get("rules") or []
    found = next((rule for rule in rules if _is_main(rule)), None)
    refs = (found or {}).get("backendRefs") or []
    return {str(ref["name"]): int(ref.get("weight", 1)) for ref in refs}


# --- rules --------------------------------------------------------------------------------------


def _rules(routing: Routing, backends: Mapping[str, Backend]) -> Iterator[dict[str, Any]]:
    speaks_grpc = all(backends[arm.revision.revision].grpc_port for arm in routing.arms)
    paths = [("/", False), *([(GRPC_PATH, True)] if speaks_grpc else [])]
    for path, grpc in paths:
        for target, matches in _merged([*routing.rules, *_sticky(routing)]):
            backend = _ref(backends[target], grpc=grpc, weight=1)
            yield _rule([_match(path, match) for match in matches], [backend], routing, backends, grpc=grpc)
        shares = [
            _ref(
                backends[arm.revision.revision],
                grpc=grpc,
                weight=arm.weight,
                cookie=_cookie(routing.sticky, arm.revision.revision) if routing.sticky else "",
            )
            for arm in routing.arms
        ]
        yield _rule([_match(path)], shares, routing, backends, grpc=grpc)


def _rule(
    matches: list[dict[str, Any]],
    refs: list[dict[str, Any]],
    routing: Routing,
    backends: Mapping[str, Backend],
    *,
    grpc: bool,
) -> dict[str, Any]:
    rule: dict[str, Any] = {"matches": matches, "backendRefs": refs, "timeouts": {"request": TIMEOUT}}
    if routing.mirror is not None and routing.mirror.percent:
        mirrored = _ref(backends[routing.mirror.revision], grpc=grpc)
        share = {"backendRef": mirrored, "percent": routing.mirror.percent}
        rule["filters"] = [{"type": "RequestMirror", "requestMirror": share}]
    return rule


def _ref(backend: Backend, *, grpc: bool, weight: int | None = None, cookie: str = "") -> dict[str, Any]:
    port = backend.grpc_port if grpc else backend.port
    ref: dict[str, Any] = {"group": "", "kind": "Service", "name": backend.service, "port": port}
    if weight is not None:
        ref["weight"] = weight
    if cookie:
        added = {"add": [{"name": "Set-Cookie", "value": cookie}]}
        ref["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": added}]
    return ref


def _sticky(routing: Routing) -> list[Rule]:
    """Give the rules that keep callers where they are, on arms that have traffic at all."""
    exposed = [arm.revision.revision for arm in routing.arms if arm.weight]
    if not routing.sticky or len(exposed) < 2:
        return []
    return [Rule(revision, revision, cookie=routing.sticky) for revision in exposed]


def _cookie(name: str, revision: str) -> str:
    return f"{name}={revision}; Path=/; Max-Age={_STICKY_DAY_S}; HttpOnly; SameSite=Lax"


def _merged(rules: Sequence[Rule]) -> Iterator[tuple[str, list[Rule]]]:
    """Give neighbours that go to the same revision as one: an HTTPRoute has few rules."""
    group: list[Rule] = []
    for rule in rules:
        if group and group[0].revision != rule.revision:
            yield group[0].revision, group
            group = []
        group.append(rule)
    if group:
        yield group[0].revision, group


def _match(path: str, rule: Rule | None = None) -> dict[str, Any]:
    match: dict[str, Any] = {"path": {"type": "PathPrefix", "value": path}}
    if rule is None:
        return match
    if rule.header:
        header = {"type": "Exact", "name": rule.header, "value": rule.value}
    else:
        pair = re.escape(f"{rule.cookie}={rule.value}")
        # Gateways differ in whether all of a value must match.
        header = {"type": "RegularExpression", "name": "Cookie", "value": rf"^(.*;\s*)?{pair}(\s*;.*)?$"}
    return {**match, "headers": [header]}


# --- ways ---------------------------------------------------------------------------------------


def _refs(manifest: Mapping[str, Any]) -> set[tuple[str, int]]:
    """Give the backends that a route names, whatever for: Service and port."""
    return {(str(ref["name"]), int(ref.get("port", 80))) for ref in _all_refs(manifest)}


def _are_idle(manifest: Mapping[str, Any], backends: set[tuple[str, int]]) -> bool:
    busy = {(ref["name"], ref.get("port", 80)) for ref in _all_refs(manifest) if ref.get("weight", 1)}
    return not backends & busy


def _all_refs(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for rule in manifest["spec"].get("rules") or []:
        yield from rule.get("backendRefs") or []
        for entry in rule.get("filters") or []:
            if "requestMirror" in entry:
                yield entry["requestMirror"]["backendRef"]


def _with_idle(manifest: Manifest, rules: list[Any], idle: set[tuple[str, int]]) -> Manifest:
    """Give `manifest` with these rules, and the `idle` backends among them at weight 0."""
    copied = deepcopy(rules)
    main = _main(copied) or copied[-1]
    main["backendRefs"] = [
        *main["backendRefs"],
        *(_ref(Backend(service, port), grpc=False, weight=0) for service, port in sorted(idle)),
    ]
    return {**manifest, "spec": {**manifest["spec"], "rules": copied}}


def _main(rules: list[Any]) -> dict[str, Any] | None:
    """Give the rule that decides about what no header does; None where somebody has left none that sends requests."""
    return next((rule for rule in rules if _is_main(rule) and rule.get("backendRefs")), None)


def _is_main(rule: Mapping[str, Any]) -> bool:
    matches = rule.get("matches") or [{}]
    return any(
        not match.get("headers") and (match.get("path") or {}).get("value", "/") == "/" for match in matches
    )
