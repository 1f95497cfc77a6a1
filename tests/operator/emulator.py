"""An emulator of the Kubernetes API: the calls that the operator and kopf make, and faults on demand.

Why not kmock, a Kubernetes mock by kopf's author: it has no resourceVersions, so neither conflicts nor
watches that go on where another ended; PUT and every kind of PATCH merge; spec and status are not
written apart; and it changes objects before it looks for a scripted answer, so that a write that
fails has happened all the same. What would be left of it is the routing. What this emulator cannot
say, for it knows neither schemas nor permissions, the tests in tests/cluster ask a real API server.
"""

import asyncio
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from mooring_operator.adapters.cluster import Kind, Manifest, Ref

from tests.operator.faults import CLOSE, EXPIRE, LOSE_ANSWER, VERBS, Call, Fault
from tests.operator.objects import (
    DEFINITION,
    KINDS,
    WITH_SCALE,
    WITH_STATUS,
    Change,
    Objects,
    Rejected,
    json_patch,
    matches,
    merge,
)

_PATH = re.compile(
    r"/(apis/(?P<group>[^/]+/[^/]+)|api/v1)(/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[^/]+)"
    r"(/(?P<name>[^/]+)(/(?P<part>status|scale))?)?"
)
_PROXY = re.compile(
    r"/api/v1/namespaces/(?P<namespace>[^/]+)/pods/(?P<scheme>https:)?(?P<name>[^/:]+):(?P<port>\d+)/proxy/metrics"
)

_HTTP_ROUTES = Ref(DEFINITION, "", "httproutes.gateway.networking.k8s.io")


class Emulator:
    """The API server, in this process. Use it in an ``async with`` statement."""

    def __init__(self, objects: Objects | None = None) -> None:
        self.objects = objects or Objects()
        if self.objects.find(_HTTP_ROUTES) is None:
            self.objects.create(DEFINITION, "", {"metadata": {"name": _HTTP_ROUTES.name}, "spec": {}})
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.shown: dict[str, Callable[[], bytes]] = {}
        """What pods show at /metrics, by NAME:PORT; before a port that speaks TLS stands https:."""
        self._watches: list[_Watch] = []

    async def __aenter__(self) -> "Emulator":
        app = web.Application(client_max_size=16 << 20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.break_watches()
        await self._runner.cleanup()

    def kubeconfig(self, path: Path, who: str = "operator") -> Path:
        """Write a configuration with which the calls of `who` can be told from others."""
        cluster = {"name": "emulator", "cluster": {"server": self.url}}
        user = {"name": who, "user": {"token": who}}
        context = {"name": who, "context": {"cluster": "emulator", "user": who}}
        config = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": who}
        path.write_text(yaml.safe_dump(config))
        return path

    def writes(self, resource: str = "*", who: str = "*") -> list[Call]:
        return [
            call
            for call in self.calls
            if call.writes and resource in ("*", call.resource) and who in ("*", call.who)
        ]

    def fail(self, how: int | str | float, **fault: Any) -> Fault:
        """Have a coming call fail; see `Fault`."""
        self.faults.append(Fault(how, **fault))
        return self.faults[-1]

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._watches)

    def is_watched(self, kind: Kind) -> bool:
        """Whether somebody watches a kind."""
        return any(watch.kind == kind for watch in self._watches)

    def break_watches(self, how: str = CLOSE) -> int:
        """End every watch, by closing its connection or by the error 410; give how many there were."""
        for watch in self._watches:
            watch.end = how
        self.objects.wake()
        return len(self._watches)

    # --- requests -------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        how: int | str | float | None = None
        try:
            call, kind = _understand(request)
            self.calls.append(call)
            for fault in self.faults:
                if fault.takes(call):
                    how = fault.how
                    break
            if isinstance(how, int):
                return _status(how, fault.message, fault.headers)
            if isinstance(how, float):
                await asyncio.sleep(how)
            elif how == CLOSE:
                return _close(request)
            if call.verb == "watch" and kind is not None:
                return await self._watch(request, kind, call.namespace)
            if call.resource == "pods/proxy":
                return self._show(request)
            if call.resource == "selfsubjectreviews":
                return web.json_response({"status": {"userInfo": {"username": call.who}}})
            body = json.loads(await request.read() or b"{}")
            response = web.json_response(self._answer(call, kind, request, body))
        except Rejected as rejection:
            response = _status(rejection.code, str(rejection))
        return _close(request) if how == LOSE_ANSWER else response

    def _show(self, request: web.Request) -> web.Response:
        """Hand over what a pod shows; 503 where nobody listens, as the API server's proxy does."""
        asked = request.path.split("/")[6]
        if asked not in self.shown:
            return _status(503, "error trying to reach service: connection refused")
        assert "Authorization" in request.headers
        body = self.shown[asked]()
        zipped = {"Content-Encoding": "gzip"} if body.startswith(b"\x1f\x8b") else {}
        return web.Response(body=body, headers={"Content-Type": "text/plain", **zipped})

    def _answer(self, call: Call, kind: Kind | None, request: web.Request, body: Any) -> Manifest:
        if kind is None:
            return _discovery(request.path)
        if call.verb == "list":
            return self._list(kind, call.namespace, request)
        namespace = call.namespace or ""
        assert bool(namespace) == kind.namespaced
        if call.verb == "create":
            return self.objects.create(kind, namespace, body, request.query.get("fieldManager", ""))
        assert call.name is not None
        ref = Ref(kind, namespace, call.name)
        if call.verb == "get":
            return self.objects.get(ref)
        if call.verb == "delete":
            return self.objects.delete(ref, **(body.get("preconditions") or {}))
        if call.verb == "update":
            return self.objects.replace(ref, body, status=call.resource.endswith("/status"))
        if call.resource.endswith("/scale"):
            return self.objects.change(ref, lambda before: merge(before, body))
        match request.content_type:
            case "application/apply-patch+yaml":
                return self.objects.apply(ref, body, request.query["fieldManager"])
            case "application/merge-patch+json":
                return self.objects.change(ref, lambda before: merge(before, body))
            case "application/json-patch+json":
                return self.objects.change(ref, lambda before: json_patch(before, body))
            case other:
                raise Rejected(415, f"patches of type {other} are not emulated")

    def _list(self, kind: Kind, namespace: str | None, request: web.Request) -> Manifest:
        version, after = self.objects.version, ("", "")
        if token := request.query.get("continue"):
            version, *after = json.loads(token)
            if version < self.objects.forgotten:
                raise Rejected(410, "the provided continue parameter is too old")
        items = [
            item
            for item in self.objects.list(kind, namespace)
            if matches(item["metadata"].get("labels"), request.query.get("labelSelector"))
            and _place(item) > tuple(after)
        ]
        limit = int(request.query.get("limit", 0)) or len(items)
        page, metadata = items[:limit], {"resourceVersion": str(version)}
        if len(items) > limit:
            metadata["continue"] = json.dumps([version, *_place(page[-1])])
        return {
            "apiVersion": kind.api_version,
            "kind": f"{kind.kind}List",
            "metadata": metadata,
            "items": page,
        }

    async def _watch(self, request: web.Request, kind: Kind, namespace: str | None) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watch = _Watch(
            kind, namespace, request.query.get("labelSelector"), int(request.query["resourceVersion"])
        )
        self._watches.append(watch)
        try:
            while True:
                changed = self.objects.changed
                for event in watch.events(self.objects):
                    await response.write(json.dumps(event).encode() + b"\n")
                if watch.end is not None:
                    break
                await changed.wait()
        finally:
            self._watches.remove(watch)
        return _close(request) if watch.end == CLOSE else response


@dataclass(eq=False)
class _Watch:
    kind: Kind
    namespace: str | None
    selector: str | None
    seen: int
    end: str | None = None

    def events(self, objects: Objects) -> Iterator[Manifest]:
        """Give what has changed since the last time, and 410 where that is not known any more."""
        if self.end == CLOSE:
            return
        if self.end == EXPIRE or self.seen < objects.forgotten:
            self.end = EXPIRE
            error = {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired"}
            yield {"type": "ERROR", "object": error}
            return
        first = bisect_right(objects.changes, self.seen, key=lambda change: change.version)
        for change in objects.changes[first:]:
            self.seen = change.version
            if change.ref.kind == self.kind and self.namespace in (None, change.ref.namespace):
                event = _event(change, self.selector)
                if event is not None:
                    yield event


def _understand(request: web.Request) -> tuple[Call, Kind | None]:
    who = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if proxied := _PROXY.fullmatch(request.path):
        return Call("get", "pods/proxy", proxied["namespace"], proxied["name"], who), None
    match = _PATH.fullmatch(request.path)
    if match is None:
        return Call("get", "apiresources", who=who), None
    found = match.groupdict()
    wanted = (found["group"] or "v1", found["plural"])
    if wanted == ("authentication.k8s.io/v1", "selfsubjectreviews"):
        return Call("create", found["plural"], who=who), None
    kind = next((k for k in KINDS if (k.api_version, k.plural) == wanted), None)
    if kind is None or (
        found["part"] and kind not in {"status": WITH_STATUS, "scale": WITH_SCALE}[found["part"]]
    ):
        raise Rejected(404, f"the server could not find {request.path}")
    verb = VERBS.get(request.method) or ("get" if found["name"] else "list")
    if request.query.get("watch") == "true":
        verb = "watch"
    resource = f"{kind.plural}/{found['part']}" if found["part"] else kind.plural
    return Call(verb, resource, found["namespace"], found["name"], who), kind


def _discovery(path: str) -> Manifest:
    versions = sorted({kind.api_version for kind in KINDS})
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for version in (version for version in versions if "/" in version):
            entry = {"groupVersion": version, "version": version.split("/")[1]}
            groups.append({"name": version.split("/")[0], "versions": [entry], "preferredVersion": entry})
        return {"kind": "APIGroupList", "groups": groups}
    version = path.removeprefix("/apis/").removeprefix("/api/")
    if version not in versions:
        raise Rejected(404, f"the server could not find {path}")
    resources: list[Manifest] = []
    for kind in (kind for kind in KINDS if kind.api_version == version):
        common = {"kind": kind.kind, "namespaced": kind.namespaced, "singularName": kind.kind.lower()}
        verbs = ["get", "list", "watch", "create", "update", "patch", "delete"]
        resources.append({"name": kind.plural, "verbs": verbs, **common})
        if kind in WITH_STATUS:
            resources.append({"name": f"{kind.plural}/status", "verbs": ["get", "update", "patch"], **common})
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _place(item: Manifest) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _event(change: Change, selector: str | None) -> Manifest | None:
    """Tell a change as a watch with a selector sees it: objects come and go with their labels."""
    before, after = (
        state if state is not None and matches(state["metadata"].get("labels"), selector) else None
        for state in (change.before, change.after)
    )
    if before is None and after is None:
        return None
    kind = "ADDED" if before is None else "DELETED" if after is None else "MODIFIED"
    shown = dict(after or before or {})
    shown["metadata"] = {**shown["metadata"], "resourceVersion": str(change.version)}
    return {"type": kind, "object": shown}


def _status(code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"apiVersion": "v1", "kind": "Status", "status": "Failure", "message": message, "code": code}
    return web.json_response(body, status=code, headers=headers)


def _close(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
