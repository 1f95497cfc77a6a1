"""An API server of a few objects, with other writers, and a watch that tells later what has happened."""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mooring_operator.adapters.api_http import Answer, NoAnswer
from mooring_operator.adapters.cluster import Kind, Ref

DEPLOYMENT = Kind("mooring.dev/v1alpha1", "ModelDeployment", "modeldeployments")
RUNTIME = Kind("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes")
SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
REFS = {
    "md": Ref(DEPLOYMENT, "ns", "x"),
    "isvc": Ref(SERVICE, "ns", "x"),
    "other": Ref(SERVICE, "ns", "y"),
    "runtime": Ref(RUNTIME, "ns", "x"),
}
NEW = {"observedGeneration": -1}


@dataclass(frozen=True)
class Told:
    """An event of a watch; its place is where in the stream of its kind it was read."""

    place: int
    type: str
    version: int
    manifest: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])


class ModelApiServer:
    """Implements `Http`.

    `meanwhile` happens in a request before it is worked on, and after; a `lost` one gets no answer, though it was
    worked on.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.clock = clock
        self.version = 0
        self.objects: dict[str, dict[str, Any]] = {}
        self.states: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.events: dict[str, deque[Told]] = {}
        self.ended_at: dict[int, float] = {}
        """When the state of a version was no more."""
        self.asked_at: dict[str, float] = {}
        """When an object was read last."""
        self.missed_at: dict[str, int] = {}
        """The version at which an object was asked for last of those times when there was none."""
        self.vanished: set[str] = set()
        """The uids of what was deleted while the watch was broken, where nothing of the kind was left to list."""
        self._places, self._handed_over = 0, defaultdict[str, int](int)
        self.requests = 0
        self.meanwhile: tuple[Callable[[], None], Callable[[], None]] = (lambda: None, lambda: None)
        self.lost = False

    # --- others ---------------------------------------------------------------------------------

    def put(self, name: str) -> None:
        """Have somebody change an object, or make it where there is none."""
        found = self.objects.get(name)
        if found is None:
            self._make(name)
        else:
            self._change(name, {**found, "spec": {"version": self.version}})

    def delete(self, name: str) -> None:
        """Have somebody delete an object, if there is one."""
        if (found := self.objects.pop(name, None)) is not None:
            self.version += 1
            self.ended_at[int(found["metadata"]["resourceVersion"])] = self.clock()
            self._queue("DELETED", self.version, found)

    # --- the watch ------------------------------------------------------------------------------

    def tell(self, which: int) -> Told | None:
        """Give the next event of one of the objects about which there are any.

        They are read in order, and handed over in order only for each object, each in the moment when it is read.
        """
        waiting = sorted((queue for queue in self.events.values() if queue), key=lambda queue: queue[0].place)
        if not waiting:
            return None
        told = waiting[which % len(waiting)].popleft()
        self._handed_over[told.kind] = max(self._handed_over[told.kind], told.place)
        return told

    def late(self) -> Told | None:
        """Give an event that was read before another that has been handed over; none where there is none."""
        for queue in self.events.values():
            if queue and queue[0].place < self._handed_over[queue[0].kind]:
                return queue.popleft()
        return None

    def break_watch(self) -> None:
        """Lose what the watch has not told, and have it list what there is now."""
        left = {found["kind"] for found in self.objects.values()}
        lost = [told for queue in self.events.values() for told in queue]
        self.vanished |= {
            told.manifest["metadata"]["uid"]
            for told in lost
            if told.type == "DELETED" and told.kind not in left
        }
        self.events.clear()
        for found in self.objects.values():
            self._queue("", int(found["metadata"]["resourceVersion"]), found)

    # --- the operator ---------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str],
    ) -> Answer:
        if "/namespaces/" not in path:
            return _as_answer(
                200,
                {"resources": [{"name": ref.kind.plural, "kind": ref.kind.kind} for ref in REFS.values()]},
            )
        self.requests += 1
        before, after = self.meanwhile
        before()
        code, answer = self._answer(method, path, json.loads(content) if content else None)
        after()
        if self.lost:
            raise NoAnswer("lost")
        return _as_answer(code, answer)

    async def close(self) -> None:
        """Implements `Http`."""

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        asked = f"{path}/{body['metadata']['name']}" if method == "POST" else path.removesuffix("/status")
        name = next(key for key, ref in REFS.items() if asked.endswith(f"/{ref.kind.plural}/{ref.name}"))
        found = self.objects.get(name)
        if method == "GET":
            self.asked_at[name] = self.clock()
        if method == "POST":
            return (409, {"message": "exists"}) if found is not None else (201, self._make(name))
        if found is None:
            self.missed_at[name] = self.version
            return 404, {"message": "not found"}
        if method == "GET":
            return 200, found
        metadata = found["metadata"]
        read = body.get("preconditions", body.get("metadata", {}))
        if read["uid"] != metadata["uid"] or read.get("resourceVersion") not in (
            None,
            metadata["resourceVersion"],
        ):
            return 409, {"message": "changed"}
        if method == "DELETE":
            self.delete(name)
            return 200, {"kind": "Status"}
        if method == "PUT":
            return 200, self._change(name, {**found, "status": body["status"]})
        return 200, self._change(name, {**found, "spec": body["spec"]})

    # --- all ------------------------------------------------------------------------------------

    def _make(self, name: str) -> dict[str, Any]:
        ref, status = REFS[name], {"status": NEW} if name == "md" else {}
        metadata = {"namespace": ref.namespace, "name": ref.name, "uid": f"u{self.version + 1}"}
        kind = {"apiVersion": ref.kind.api_version, "kind": ref.kind.kind}
        return self._change(name, {**kind, "metadata": metadata, "spec": {}, **status}, "ADDED")

    def _change(self, name: str, wanted: dict[str, Any], event: str = "MODIFIED") -> dict[str, Any]:
        self.version += 1
        if before := wanted["metadata"].get("resourceVersion"):
            self.ended_at[int(before)] = self.clock()
        metadata = {**wanted["metadata"], "resourceVersion": str(self.version)}
        self.objects[name] = {**wanted, "metadata": metadata}
        self.states[name].append(self.objects[name])
        self._queue(event, self.version, self.objects[name])
        return self.objects[name]

    def _queue(self, event: str, version: int, found: dict[str, Any]) -> None:
        self._places += 1
        self.events.setdefault(found["metadata"]["uid"], deque()).append(
            Told(self._places, event, version, found)
        )


def _as_answer(code: int, answer: Mapping[str, Any]) -> Answer:
    return Answer(code, {"Content-Type": "application/json"}, json.dumps(answer).encode())
