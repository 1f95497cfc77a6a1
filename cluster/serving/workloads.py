"""What stands behind an InferenceService in Kubernetes: Deployment, Service and pods, without I/O.

As KServe, Kubernetes' controllers and a kubelet write them. The pods are processes of this machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cluster.serving import predictors
from cluster.serving.fleet import ReplicaLike
from cluster.serving.replica import POD_PORT
from cluster.serving.scheduling import check_schedulable
from cluster.serving.storage import UnusablePredictorError

Object = dict[str, Any]

NODE = "this-machine"
_CONTAINER = "kserve-container"
_PORT = "http"
"""What runtimes call the port for HTTP; a Service's port has the name of its container's."""
_SCALER = "serving.kserve.io/autoscalerClass"
_OF_SERVICE = "serving.kserve.io/inferenceservice"
_CRASHED = {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}


def has_workload(obj: Mapping[str, Any]) -> bool:
    """Whether an InferenceService is one that others route to, and is to run."""
    standard = predictors.deployment_mode(obj) == "Standard"
    return standard and predictors.is_cluster_local(obj) and not predictors.is_stopped(obj)


def replicas(obj: Mapping[str, Any], present: int | None) -> int:
    """How many pods a Deployment asks for that has ``present``, or None where it is yet to be made.

    A fixed number follows the InferenceService. An autoscaler's Deployment starts with its least, and keeps what its
    scale says from then on; zero sticks.
    """
    least = obj["spec"]["predictor"].get("minReplicas")
    least = 1 if least is None else int(least)
    if (obj["metadata"].get("annotations") or {}).get(_SCALER) == "none":
        return least
    if present is None:
        return max(least, 1)
    return present and max(present, least)


def deployment(obj: Mapping[str, Any], count: int) -> Object:
    """The Deployment as KServe makes it."""
    labels = _labels(obj)
    template = {"metadata": {"labels": labels}, "spec": {"containers": [_container(obj)]}}
    spec = {"replicas": count, "selector": {"matchLabels": {"app": labels["app"]}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _metadata(obj), "spec": spec}


def deployment_status(present: Mapping[str, Any], running: Sequence[ReplicaLike], now: str) -> Object:
    """What its controller says of its pods."""
    ready = sum(replica.ready for replica in running)
    enough = ready >= len(running)
    available = {
        "type": "Available",
        "status": "True" if enough else "False",
        "reason": "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "message": "" if enough else "Deployment does not have minimum availability.",
        "lastTransitionTime": now,
    }
    return {
        "observedGeneration": present["metadata"]["generation"],
        "replicas": len(running),
        "updatedReplicas": len(running),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "conditions": [available],
    }


def service(obj: Mapping[str, Any]) -> Object:
    """The Service that KServe makes: port 80 leads to the pods'."""
    labels = _labels(obj)
    port = {"name": _PORT, "port": 80, "targetPort": POD_PORT, "protocol": "TCP"}
    spec = {"selector": {"app": labels["app"]}, "ports": [port]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(obj), "spec": spec}


def pod(obj: Mapping[str, Any], replica: ReplicaLike) -> Object:
    """A pod, on the node where it can run there."""
    spec: Object = {"containers": [_container(obj)], "enableServiceLinks": False}
    if _why_unschedulable(replica) is None:
        spec["nodeName"] = NODE
    metadata = {**_metadata(obj), "name": replica.name, "labels": _labels(obj)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def pod_status(replica: ReplicaLike, now: str) -> Object:
    """What the scheduler and the kubelet say of a pod."""
    if (why := _why_unschedulable(replica)) is not None:
        lacking = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
        return {"phase": "Pending", "conditions": [{**lacking, "lastTransitionTime": now}]}
    ready = "True" if replica.ready else "False"
    types = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": ready, "Ready": ready}
    conditions = [{"type": kind, "status": said, "lastTransitionTime": now} for kind, said in types.items()]
    addresses = {"podIP": replica.address, "podIPs": [{"ip": replica.address}]} if replica.address else {}
    return {
        "phase": "Running",
        "conditions": conditions,
        **addresses,
        "containerStatuses": [_container_status(replica, now)],
    }


def _container_status(replica: ReplicaLike, now: str) -> Object:
    common = {
        "name": _CONTAINER,
        "image": "process",
        "imageID": "",
        "restartCount": replica.restarts,
        "ready": replica.ready,
    }
    failure = replica.failure
    if replica.ready or failure is None:
        return {**common, "started": replica.ready, "state": {"running": {"startedAt": now}}}
    ended = {"exitCode": failure.exit_code or 1, "reason": "Error", "message": failure.message}
    return {**common, "state": {"waiting": _CRASHED}, "lastState": {"terminated": ended}}


def _why_unschedulable(replica: ReplicaLike) -> str | None:
    try:
        check_schedulable(replica.deployment.predictor)
    except UnusablePredictorError as error:
        return error.failure.message
    return None


def _container(obj: Mapping[str, Any]) -> Object:
    model = obj["spec"]["predictor"].get("model") or {}
    resources = {"resources": model["resources"]} if model.get("resources") else {}
    port = {"name": _PORT, "containerPort": POD_PORT, "protocol": "TCP"}
    return {"name": _CONTAINER, "image": "process", "ports": [port], **resources}


def _name(obj: Mapping[str, Any]) -> str:
    return predictors.deployment_name(obj["metadata"]["name"])


def _labels(obj: Mapping[str, Any]) -> dict[str, str]:
    metadata = obj["metadata"]
    given = {**(metadata.get("labels") or {}), **(obj["spec"]["predictor"].get("labels") or {})}
    kserves = {"app": f"isvc.{_name(obj)}", "component": "predictor", _OF_SERVICE: metadata["name"]}
    return {**given, **kserves}


def _metadata(obj: Mapping[str, Any]) -> Object:
    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"].get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }
    return {
        "name": _name(obj),
        "namespace": obj["metadata"]["namespace"],
        "labels": _labels(obj),
        "ownerReferences": [owner],
    }
