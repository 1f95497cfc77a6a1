"""What a cluster without nodes lacks: somebody who runs pods, and somebody who accepts routes.

Both only write status, as a kubelet and a gateway would; nothing is executed or served.
"""

from __future__ import annotations

import datetime
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from types import TracebackType
from typing import Any, Self

from cluster.api import Api, ApiError, Object

_ROUTES = "/apis/gateway.networking.k8s.io/v1"
_INTERVAL_S = 0.1
_ALL = sys.maxsize


class NodeStandIn:
    """Runs every pod and accepts every HTTPRoute of a cluster, in a thread, until the ``with`` block ends.

    Pods become ready at once, except those of the Deployments named in ``unavailable``, which stay pending, in
    ``crashing``, which crash over and over, and in ``uninitialized``, whose init containers fail. ``most`` limits
    how many pods of a Deployment run; for the others there is no room. All may be changed at any time; a name is
    ``{NAMESPACE}/{NAME}``, and ``*`` in it stands for any characters. With a ``name`` there is a Node, and pods are
    bound to it: those of none are in no EndpointSlice.
    """

    def __init__(
        self, api: Api, *, unavailable: Iterable[str] = (), crashing: Iterable[str] = (), name: str = ""
    ) -> None:
        self.unavailable = set(unavailable)
        self.crashing = set(crashing)
        self.uninitialized: set[str] = set()
        self.most: dict[str, int] = {}
        self.error: Exception | None = None
        self._name = name
        self._api = api
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="node-stand-in", daemon=True)
        self._addresses = 0

    def __enter__(self) -> Self:
        if self._name:
            self._api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._name}})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is None and self.error is not None:
            raise self.error

    def _work(self) -> None:
        try:
            while not self._ended.wait(_INTERVAL_S):
                self._look_once()
        except Exception as error:
            # Whoever waits for the effect sees the cause at the end of the block.
            self.error = error

    def _look_once(self) -> None:
        running: Counter[str] = Counter()
        pods = self._api.items("/api/v1/pods")
        # Those that run keep their place.
        for pod in sorted(pods, key=lambda pod: _condition(pod, "Ready") != "True"):
            if "deletionTimestamp" in pod["metadata"]:
                continue
            owner = f"{pod['metadata']['namespace']}/{deployment_of(pod)}"
            if running[owner] >= min((self.most[name] for name in _matching(owner, self.most)), default=_ALL):
                self._leave_pending(pod)
                continue
            running[owner] += 1
            if self._name and "nodeName" not in pod["spec"]:
                self._bind(pod)
            if _matching(owner, self.uninitialized):
                self._fail_to_initialize(pod)
            elif not _matching(owner, self.unavailable):
                self._settle(pod, crashing=bool(_matching(owner, self.crashing)))
        try:
            routes = self._api.items(f"{_ROUTES}/httproutes")
        except ApiError:
            return  # no Gateway API in this cluster
        for route in routes:
            if not _accepted(route):
                with _unless_changed():
                    accept_http_route(self._api, route)

    def _bind(self, pod: Object) -> None:
        path = f"{self._api.path(_kind(pod, 'v1', 'Pod'))}/binding"
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._name},
        }
        with _unless_changed():
            self._api.request("POST", path, binding)

    def _settle(self, pod: Object, *, crashing: bool) -> None:
        """Bring one pod to the state that it should be in."""
        if _condition(pod, "Ready") == ("False" if crashing else "True"):
            return
        self._addresses += 1
        high, low = divmod(self._addresses % 65_000, 250)
        self._write(pod, pod_status(pod, address=f"10.244.{high}.{low + 1}", crashing=crashing))

    def _leave_pending(self, pod: Object) -> None:
        if _condition(pod, "PodScheduled") is None:
            self._write(pod, unscheduled_status())

    def _fail_to_initialize(self, pod: Object) -> None:
        if _condition(pod, "Initialized") is None:
            self._write(pod, uninitialized_status(pod))

    def _write(self, pod: Object, status: Object) -> None:
        with _unless_changed():
            self._api.merge(f"{self._api.path(_kind(pod, 'v1', 'Pod'))}/status", {"status": status})


def unscheduled_status() -> Object:
    """The status that a scheduler writes for a pod that no node has room for."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    message = "0/1 nodes are available: 1 Insufficient cpu."
    return {
        "phase": "Pending",
        "conditions": [{**condition, "message": message, "lastTransitionTime": _now()}],
    }


def uninitialized_status(pod: Object) -> Object:
    """The status that a kubelet reports for a pod whose init containers have failed once, and will be tried again."""
    now = _now()
    types = {"PodScheduled": "True", "Initialized": "False", "ContainersReady": "False", "Ready": "False"}
    failed = {**_exit(1, "Error", now), "message": "the store does not answer"}
    waiting = {"waiting": {"reason": "PodInitializing"}}
    return {
        "phase": "Pending",
        "startTime": now,
        "conditions": [
            {"type": name, "status": status, "lastTransitionTime": now} for name, status in types.items()
        ],
        "initContainerStatuses": [
            {**_container(item), "ready": False, "restartCount": 1, "state": {"terminated": failed}}
            for item in pod["spec"].get("initContainers", [])
        ],
        "containerStatuses": [
            {**_container(item), "ready": False, "state": waiting} for item in pod["spec"]["containers"]
        ],
    }


def pod_status(pod: Object, *, address: str, crashing: bool = False) -> Object:
    """The status that a kubelet reports for a pod whose containers all run, or all crash."""
    now = _now()
    ready = "False" if crashing else "True"
    types = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": ready, "Ready": ready}
    spec = pod["spec"]
    return {
        "phase": "Running",
        "startTime": now,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [
            {"type": name, "status": status, "lastTransitionTime": now} for name, status in types.items()
        ],
        "initContainerStatuses": [
            {**_container(item), "ready": True, "state": {"terminated": _exit(0, "Completed", now)}}
            for item in spec.get("initContainers", [])
        ],
        "containerStatuses": [
            {**_container(item), "restartCount": 3, "ready": False, **_crash(now)}
            if crashing
            else {
                **_container(item),
                "ready": True,
                "started": True,
                "state": {"running": {"startedAt": now}},
            }
            for item in spec["containers"]
        ],
    }


def mark_deployment_available(api: Api, namespace: str, name: str, *, available: bool = True) -> None:
    """Write a Deployment's status as its controller would, in a cluster without a controller manager."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    deployment = api.request("GET", path)
    replicas = deployment["spec"].get("replicas", 1)
    now, up = _now(), replicas if available else 0
    reason = "MinimumReplicasAvailable" if available else "MinimumReplicasUnavailable"
    progress = "NewReplicaSetAvailable" if available else "ReplicaSetUpdated"
    api.merge(
        f"{path}/status",
        {
            "status": {
                "observedGeneration": deployment["metadata"]["generation"],
                "replicas": replicas,
                "updatedReplicas": replicas,
                "readyReplicas": up,
                "availableReplicas": up,
                "unavailableReplicas": replicas - up,
                "conditions": [
                    _deployment_condition("Available", "True" if available else "False", reason, now),
                    _deployment_condition("Progressing", "True", progress, now),
                ],
            }
        },
    )


def accept_http_route(api: Api, route: Object) -> None:
    """Write an HTTPRoute's status as a gateway would that serves it, for each of its parents."""
    metadata = route["metadata"]
    parents = [
        {
            "parentRef": reference,
            "controllerName": "mooring.dev/gateway-stand-in",
            "conditions": [
                {
                    "type": name,
                    "status": "True",
                    "reason": name,
                    "message": "",
                    "lastTransitionTime": _now(),
                    "observedGeneration": metadata["generation"],
                }
                for name in ("Accepted", "ResolvedRefs")
            ],
        }
        for reference in route["spec"].get("parentRefs", [])
    ]
    path = f"{_ROUTES}/namespaces/{metadata['namespace']}/httproutes/{metadata['name']}/status"
    api.merge(path, {"status": {"parents": parents}})


def deployment_of(pod: Object) -> str | None:
    """The Deployment whose ReplicaSet made a pod; None for other pods."""
    for owner in pod["metadata"].get("ownerReferences", []):
        if owner["kind"] == "ReplicaSet":
            return str(owner["name"]).rpartition("-")[0]
    return None


def _matching(owner: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if fnmatchcase(owner, name)]


def _accepted(route: Object) -> bool:
    generation = route["metadata"]["generation"]
    parents = route.get("status", {}).get("parents", [])
    wanted = len(route["spec"].get("parentRefs", []))
    seen = [c.get("observedGeneration") == generation for parent in parents for c in parent["conditions"]]
    return len(parents) == wanted and all(seen)


def _condition(item: Object, name: str) -> str | None:
    conditions = item.get("status", {}).get("conditions", [])
    return next((c["status"] for c in conditions if c["type"] == name), None)


def _unless_changed() -> suppress:
    # Deleted or changed since it was read: the next look sees it as it is.
    return suppress(ApiError)


def _kind(item: Object, version: str, kind: str) -> Object:
    # The items of a list do not say what they are.
    return {"apiVersion": version, "kind": kind, **item}


def _container(container: Object) -> Object:
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": container["image"],
        "containerID": f"stand-in://{container['name']}",
        "restartCount": 0,
    }


def _crash(now: str) -> Object:
    message = "back-off 40s restarting failed container"
    return {
        "started": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": message}},
        "lastState": {"terminated": {**_exit(1, "Error", now), "message": "the model cannot be loaded"}},
    }


def _exit(code: int, reason: str, now: str) -> Object:
    return {"exitCode": code, "reason": reason, "startedAt": now, "finishedAt": now}


def _deployment_condition(name: str, status: str, reason: str, now: str) -> dict[str, Any]:
    times = {"lastUpdateTime": now, "lastTransitionTime": now}
    return {"type": name, "status": status, "reason": reason, "message": "", **times}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
