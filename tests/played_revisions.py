"""KServe's controller and Kubernetes' own, played for InferenceServices that serve one revision each.

As the real ones do: a fixed number of pods follows minReplicas; an autoscaler's Deployment starts with its least, and
keeps what its scale says from then on; zero sticks. Pods of a Deployment carry its predictor's labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Manifest, Ref
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revision_manifest import STOP_ANNOTATION
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT, SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtimes import CLUSTER_SERVING_RUNTIME
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, SERVICE
from mooring_operator.api.names import MANAGED_BY, REVISION_LABEL

from cluster.serving.runtimes import NoRuntimeError, Runtimes

_MADE = {MANAGED_BY, REVISION_LABEL}
"""What a revision's own has, and what runs for its test; what is taken over has the second once it is."""
CONDITION = {"type": "Ready", "severity": "", "message": ""}


@dataclass
class PlayedRevisions:
    """Does for every InferenceService of a revision what its spec asks, at every `act`."""

    cluster: Cluster
    namespace: str
    name: str = "digits"
    """The deployment whose traffic is told; others' pods are started all the same."""
    starts: Callable[[str], bool] = lambda storage_uri: True
    broken: set[str] = field(default_factory=set)
    """Images of runtimes whose pods do not start."""
    most: dict[str, int] = field(default_factory=dict)
    """How many pods of a model become ready, by its address; all that are asked for where it is not named."""
    away: bool = False
    """Whether KServe's controller is."""
    ports: dict[str, int] = field(default_factory=dict)
    """Ports that pods listen on, by the address of their model; 8080 where it is not named."""
    selects: bool = True
    """Whether KServe's Services select pods here; else whoever plays the nodes writes their slices."""
    left_out: set[str] = field(default_factory=set)
    """Models whose pods are in no Service's slice, by address: its controller has not seen them yet."""
    silent: set[str] = field(default_factory=set)
    """Services whose slices name no pod, by name."""
    weights: dict[str, int] = field(default_factory=dict)
    """Who gets how much of the traffic of Services that Mooring made: percentages, by the address of the model."""

    async def act(self) -> None:
        services = await self.cluster.list(INFERENCE_SERVICE, namespace=self.namespace)
        ours = [service for service in services if _MADE & service["metadata"].get("labels", {}).keys()]
        made = {
            d["metadata"]["name"]: d for d in await self.cluster.list(DEPLOYMENT, namespace=self.namespace)
        }
        kept = set()
        for service in ours:
            deployment = await self.serve(service, made.get(f"{service['metadata']['name']}-predictor"))
            if deployment is not None:
                kept.add(deployment["metadata"]["name"])
        collecting = {name: made.pop(name) for name in tuple(made) if name.endswith("-collect")}
        await self._collect(collecting.values(), {service["metadata"]["uid"] for service in ours})
        for name, deployment in made.items():
            if name not in kept and not self.away:
                await self.cluster.delete(deployment)
        await self._select_pods()

    async def _collect(self, collectors: Iterable[Manifest], services: set[str]) -> None:
        """Start collectors' pods; garbage collection takes those whose InferenceService is gone."""
        for made in collectors:
            if made["metadata"]["ownerReferences"][0]["uid"] not in services:
                await self.cluster.delete(made)
                service = await self.cluster.get(Ref(SERVICE, self.namespace, made["metadata"]["name"]))
                assert service is not None
                await self.cluster.delete(service)
            else:
                pods = made["spec"]["replicas"]
                await self.cluster.write_status(made, {"replicas": pods, "readyReplicas": pods})

    async def serve(self, service: Manifest, deployment: Manifest | None) -> Manifest | None:
        """Do what one InferenceService asks, as its Deployment is now; give that, None where it is to have none."""
        if service["metadata"]["annotations"].get(STOP_ANNOTATION) == "true":
            if not self.away:
                await self._name_runtime(service)
            return None
        if not self.away:
            deployment = await self._follow(service, deployment)
        if deployment is not None:
            await self._start_pods(service, deployment)
        return deployment

    async def pods(self) -> dict[str, int]:
        """Give how many pods are ready, by the address of their model."""
        found: dict[str, int] = {}
        for deployment in await self.cluster.list(DEPLOYMENT, namespace=self.namespace):
            if (uri := deployment["metadata"]["annotations"].get("uri")) is None:
                continue
            found[uri] = found.get(uri, 0) + deployment.get("status", {}).get("readyReplicas", 0)
        return {uri: ready for uri, ready in found.items() if ready}

    async def _name_runtime(self, service: Manifest) -> None:
        """Say which runtime an InferenceService that is stopped would have, or that it would have none."""
        own = await self.cluster.list(SERVING_RUNTIME, namespace=self.namespace)
        clusters = await self.cluster.list(CLUSTER_SERVING_RUNTIME)
        before = service.get("status") or {}
        try:
            choice = Runtimes(own, clusters).of(service["spec"]["predictor"])
            said = choice.status if choice is not None else {}
        except NoRuntimeError as problem:
            failure = {"transitionStatus": "InvalidSpec", "lastFailureInfo": problem.failure.info()}
            said = {"modelStatus": failure}
        kept = {name: value for name, value in before.items() if name == "conditions"}
        if {**kept, **said} != before:
            await self.cluster.write_status(service, {**kept, **said})

    async def _follow(self, service: Manifest, deployment: Manifest | None) -> Manifest | None:
        """Have the Deployment say what the InferenceService does."""
        annotations, predictor = service["metadata"]["annotations"], service["spec"]["predictor"]
        await self._serve(service)
        least = predictor.get("minReplicas", 1)
        fixed = annotations["serving.kserve.io/autoscalerClass"] == "none"
        if deployment is None:
            return await self.cluster.create(_deployment(service, least if fixed else max(least, 1)))
        replicas = deployment["spec"]["replicas"]
        wanted = least if fixed else replicas and max(replicas, least)
        return (
            deployment
            if wanted == replicas
            else await self.cluster.change(deployment, {"spec": {"replicas": wanted}})
        )

    async def _select_pods(self) -> None:
        """Do what Kubernetes does for Services with a selector."""
        self.weights = {}
        for old in await self.cluster.list(ENDPOINT_SLICE, namespace=self.namespace):
            if await self.cluster.get(Ref(SERVICE, self.namespace, old["metadata"]["name"])) is None:
                await self.cluster.delete(old)
        deployments = await self.cluster.list(DEPLOYMENT, namespace=self.namespace)
        for service in await self.cluster.list(SERVICE, namespace=self.namespace):
            if "selector" in service["spec"]:
                await self.select(service, deployments)

    async def select(self, service: Manifest, deployments: list[Manifest]) -> None:
        """Have the slice of a Service with a selector name the pods of these Deployments that it selects."""
        selected = service["spec"]["selector"].items()
        behind = [d for d in deployments if selected <= d["spec"]["template"]["metadata"]["labels"].items()]
        ready = {d["metadata"]["name"]: d.get("status", {}).get("readyReplicas", 0) for d in behind}
        uris = {d["metadata"]["name"]: d["metadata"]["annotations"].get("uri", "") for d in behind}
        ready = {name: count for name, count in ready.items() if uris[name] not in self.left_out}
        if service["metadata"]["name"] in self.silent:
            ready = {}
        total = sum(ready.values())
        if service["metadata"]["name"] == self.name:
            shares = {uris[name]: round(100 * count / total) for name, count in ready.items() if count}
            self.weights = shares
        pods = [f"{name}-75d7fc-{number:05}" for name, count in ready.items() for number in range(count)]
        endpoints = [
            {
                "addresses": [f"10.244.0.{number + 1}"],
                "targetRef": {"kind": "Pod", "name": pod},
                "conditions": {"ready": True},
            }
            for number, pod in enumerate(pods)
        ]
        metadata = service["metadata"]
        labels = {**metadata.get("labels", {}), "kubernetes.io/service-name": metadata["name"]}
        owner = {"apiVersion": "v1", "kind": "Service", "name": metadata["name"], "uid": metadata["uid"]}
        made = {
            "apiVersion": ENDPOINT_SLICE.api_version,
            "kind": ENDPOINT_SLICE.kind,
            "metadata": {
                "name": metadata["name"],
                "namespace": self.namespace,
                "labels": labels,
                "ownerReferences": [{**owner, "controller": True}],
            },
            "addressType": "IPv4",
            "endpoints": endpoints,
        }
        seen = await self.cluster.get(Ref(ENDPOINT_SLICE, self.namespace, metadata["name"]))
        if seen is None:
            await self.cluster.create(made)
        elif (seen.get("endpoints") or []) != endpoints:
            await self.cluster.change(seen, {"endpoints": endpoints})

    async def _serve(self, service: Manifest) -> None:
        """Make the Service that KServe makes, which selects the pods of this InferenceService."""
        metadata = service["metadata"]
        name = f"{metadata['name']}-predictor"
        if await self.cluster.get(Ref(SERVICE, self.namespace, name)) is not None:
            return
        listens = self.ports.get(service["spec"]["predictor"]["model"]["storageUri"], 8080)
        port = {"name": name, "port": 80, "targetPort": listens, "protocol": "TCP"}
        selector = {"selector": {"app": f"isvc.{name}"}} if self.selects else {}
        made = _owned(service, name, {"ports": [port], **selector})
        await self.cluster.create({"apiVersion": SERVICE.api_version, "kind": SERVICE.kind, **made})

    async def _image(self, service: Manifest) -> str:
        """Give the image of the copy that a revision runs on; nothing without one."""
        name = service["spec"]["predictor"]["model"].get("runtime")
        found = await self.cluster.get(Ref(SERVING_RUNTIME, self.namespace, name)) if name else None
        containers = found["spec"].get("containers") if found is not None else None
        return str(containers[0]["image"]) if containers else ""

    async def _start_pods(self, service: Manifest, deployment: Manifest) -> None:
        uri, asked = service["spec"]["predictor"]["model"]["storageUri"], deployment["spec"]["replicas"]
        starts = self.starts(uri) and await self._image(service) not in self.broken
        ready = min(asked, self.most.get(uri, asked)) if starts else 0
        counts = {
            "replicas": asked,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": asked,
        }
        status: dict[str, Any] = {**counts, "observedGeneration": deployment["metadata"]["generation"]}
        if deployment.get("status", {}) != status:
            await self.cluster.write_status(deployment, status)
        condition = {**CONDITION, "status": str(ready > 0)}
        if not self.away and service.get("status", {}).get("conditions") != [condition]:
            service = await self.cluster.get(_ref(service)) or service
            status = {**service.get("status", {}), "conditions": [condition]}
            await self.cluster.write_status(service, status)


def _ref(service: Manifest) -> Ref:
    return Ref(INFERENCE_SERVICE, service["metadata"]["namespace"], service["metadata"]["name"])


def _deployment(service: Manifest, replicas: int) -> Manifest:
    metadata, predictor = service["metadata"], service["spec"]["predictor"]
    app = {"app": f"isvc.{metadata['name']}-predictor", "component": "predictor"}
    container = {"name": "kserve-container", "image": "none"}
    template = {
        "metadata": {"labels": {**app, **predictor["labels"]}},
        "spec": {"containers": [container]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": app}, "template": template}
    made = _owned(service, f"{metadata['name']}-predictor", spec)
    made["metadata"]["annotations"] = {"uri": predictor["model"]["storageUri"]}
    return {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, **made}


def _owned(service: Manifest, name: str, spec: Manifest) -> Manifest:
    metadata = service["metadata"]
    owner = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    labels = {**metadata.get("labels", {}), **service["spec"]["predictor"]["labels"]}
    made = {"name": name, "namespace": metadata["namespace"], "labels": labels, "ownerReferences": [owner]}
    return {"metadata": made, "spec": spec}
