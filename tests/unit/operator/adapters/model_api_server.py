"""An API server of a few objects, with other writers, and a watch that tells later what has happened."""

import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from typing import Any

from mooring_operator.adapters.api_http import Answer, NoAnswer
from mooring_operator.adapters.cluster import Kind, Ref

DEPLOYMENT = Kind("mooring.dev/v1alpha1", "ModelDeployment", "modeldeployments")
SERVICE = Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices")
REFS = {"md": Ref(DEPLOYMENT, "ns", "x"), "isvc": Ref(SERVICE, "ns", "x")}
NEW = {"observedGeneration": -1}


class ModelApiServer:
    """Implements `Http`.

    `meanwhile` happens in a request before it is worked on, and after; a `lost` one gets no answer, though it was
    worked on.
    """

    def __init__(self) -> None:
        self.version = 0
        self.objects: dict[str, dict[str, Any]] = {}
        self.states: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.events: dict[str, deque[tuple[str, int, dict[str, Any]]]] = {}
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
            self._queue(found).append(("DELETED", self.version, found))

    # --- the watch ------------------------------------------------------------------------------

    def tell(self, place: int) -> tuple[str, int, dict[str, Any]] | None:
        """Give the next event of one of the objects about which there are any: in order only for each of them."""
        waiting = [queue for queue in self.events.values() if queue]
        return waiting[place % len(waiting)].popleft() if waiting else None

    def break_watch(self) -> None:
        """Lose what the watch has not told, and have it list what there is now."""
        self.events.clear()
        for found in self.objects.values():
            self._queue(found).append(("", int(found["metadata"]["resourceVersion"]), found))

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
        name = next(key for key, ref in REFS.items() if f"/{ref.kind.plural}" in path)
        found = self.objects.get(name)
        if method == "POST":
            return (409, {"message": "exists"}) if found is not None else (201, self._make(name))
        if found is None:
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
        metadata = {**wanted["metadata"], "resourceVersion": str(self.version)}
        self.objects[name] = {**wanted, "metadata": metadata}
        self.states[name].append(self.objects[name])
        self._queue(wanted).append((event, self.version, self.objects[name]))
        return self.objects[name]

    def _queue(self, found: Mapping[str, Any]) -> deque[tuple[str, int, dict[str, Any]]]:
        return self.events.setdefault(found["metadata"]["uid"], deque())


def _as_answer(code: int, answer: Mapping[str, Any]) -> Answer:
    return Answer(code, {"Content-Type": "application/json"}, json.dumps(answer).encode())
