"""What tests of whole rollouts share: the operator as a process, and somebody who plays KServe."""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from mooring_operator.api.names import REVISION_LABEL
from prometheus_client.parser import text_string_to_metric_families

from cluster.api import ApiError
from cluster.processes import Watchdog, free_ports, start, wait_until_ready
from cluster.serving.http_routes import belongs_to, http_routes, httproute_crd, is_taken_up, taken_up
from cluster.serving.inferenceservice_crd import LABELS, inferenceservice_crd
from cluster.serving.knative import revision_crd
from cluster.serving.routing import standard_weights
from cluster.serving.status import CanaryObservation, Observation, standard_status

ROOT = Path(__file__).parents[2]
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
OURS = "/apis/mooring.dev/v1alpha1"
PLURALS = (
    "modeldeployments",
    "driftmonitors",
    "modelpolicies",
    "clustermodelpolicies",
    "analysistemplates",
    "clusteranalysistemplates",
)
ROUTES = "/apis/gateway.networking.k8s.io/v1"
SERVING = "/apis/serving.kserve.io/v1beta1"
KNATIVE = "/apis/serving.knative.dev/v1"
_REQUEST = ("verb", "resource", "code")


def until(read, holds=bool, *, what="it did not come about", timeout=60):
    """Read until it holds, and give what was read; the last value is part of the failure."""
    deadline = time.monotonic() + timeout
    while not holds(value := read()):
        assert time.monotonic() < deadline, f"{what} within {timeout} s; last seen: {value}"
        time.sleep(0.05)
    return value


def make_namespace(api, name):
    """Make a namespace, if it is not there."""
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def install(api, *namespaces, kserve=True):
    """Make namespaces; install Mooring's definitions and, with ``kserve``, stand-ins for KServe's."""
    for namespace in namespaces:
        make_namespace(api, namespace)
    for plural in PLURALS:
        definition = (ROOT / "crds" / f"{plural}.yaml").read_bytes()
        api.apply_text(f"{DEFINITIONS}/{plural}.mooring.dev", definition)
    served = [f"{OURS}/{plural}" for plural in PLURALS]
    if kserve:
        for definition in (inferenceservice_crd(), httproute_crd(LABELS), revision_crd(LABELS)):
            api.apply(definition)
        served += [f"{SERVING}/inferenceservices", f"{ROUTES}/httproutes", f"{KNATIVE}/revisions"]
    for path in served:
        until(lambda path=path: api.get(path), what=f"{path} is not served")


class Operator:
    """The operator's real process, in a ``with`` statement."""

    def __init__(self, kubeconfig, log, **settings):
        self.log = Path(log)
        self._port = free_ports(1)[0]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MOORING_")},
            "MOORING_KUBECONFIG": str(kubeconfig),
            "MOORING_HEALTH_HOST": "127.0.0.1",
            "MOORING_HEALTH_PORT": str(self._port),
            "MOORING_LEADER_ELECTION": "false",
            "PYTHONUNBUFFERED": "1",
            **{f"MOORING_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self._watchdog = Watchdog()
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.process.stop()
        self._watchdog.dismiss()

    def start(self):
        """Start it, and wait until it watches."""
        command = [sys.executable, "-m", "mooring_operator"]
        self.process = start("operator", command, log=self.log, environment=self._environment)
        self._watchdog.watch(self.process)
        wait_until_ready(self.process, lambda: self.ask("/readyz") is not None, timeout=60)

    def kill(self):
        """End it without warning."""
        self.process.child.kill()
        self.process.child.wait()

    def ask(self, path):
        """What its port answers; None if it does not answer 200."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(OSError), opener.open(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
            return answer.read().decode()
        return None

    def requests(self):
        """Its requests to the API server so far: count by (verb, resource, code)."""
        families = {family.name: family for family in text_string_to_metric_families(self.ask("/metrics"))}
        samples = families["mooring_api_requests"].samples
        return Counter(
            {tuple(sample.labels[name] for name in _REQUEST): int(sample.value) for sample in samples}
        )

    def messages(self, *levels):
        """The messages of some levels in its log."""
        entries = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [entry["message"] for entry in entries if entry["level"] in levels]


class KServe:
    """Plays KServe in one namespace: Deployments with status, autoscalers, InferenceServices' status.

    ``most`` limits how many replicas become available, by the model's storage URI. Without ``workloads``
    only InferenceServices' status is written. As with KServe, autoscalers of canaries stay behind.
    """

    def __init__(self, api, namespace, *, workloads=True):
        self.most: dict[str, int] = {}
        self._api, self._namespace, self._workloads = api, namespace, workloads
        self._routed: dict[str, dict[str, int]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._error = None

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self._ended.set()
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error

    def _work(self):
        try:
            while not self._ended.wait(0.1):
                for service in self._api.items(f"{SERVING}/namespaces/{self._namespace}/inferenceservices"):
                    # Changed or deleted since it was read: the next look sees it as it is.
                    with suppress(ApiError):
                        self._settle(service)
        except Exception as error:
            self._error = error

    def _settle(self, service):
        metadata, spec, previous = service["metadata"], service["spec"], service.get("status", {})
        name, stable = metadata["name"], spec["predictor"]
        seen = self._run(service, stable)
        others = []
        for entry in spec.get("canary", []):
            canary = _merged(stable, entry["predictor"], entry["trafficPercent"])
            deployment = self._run(service, canary)
            others.append(CanaryObservation(canary["name"], entry["trafficPercent"], deployment))
        if self._workloads:
            self._remove_all_but(name, {seen.name, *(other.deployment.name for other in others)})
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        split = [(other.deployment.name, other.percent, other.deployment.available) for other in others]
        if self._workloads:
            self._route(service, standard_weights(seen.name, split), now)
        url = f"http://{metadata['namespace']}.example.com"
        status = standard_status(
            previous, seen, others, base_url=url, namespace=metadata["namespace"], service=name, now=now
        )
        if status != previous:
            path = f"{SERVING}/namespaces/{self._namespace}/inferenceservices/{name}/status"
            self._api.merge(path, {"status": {**dict.fromkeys(previous), **status}})

    def _route(self, service, weights, now):
        if self._routed.get(service["metadata"]["uid"]) == weights:
            return
        self._routed[service["metadata"]["uid"]] = weights
        for route in http_routes(service, weights):
            left = self._api.get(self._api.path(route))
            if left is not None and not belongs_to(left, service):
                # Nobody collects garbage here.
                self._api.delete(self._api.path(route))
            made = self._api.apply(route)
            if not is_taken_up(made):
                self._api.merge(f"{self._api.path(made)}/status", {"status": taken_up(made, now)})

    def _run(self, service, predictor):
        name = f"{service['metadata']['name']}-{predictor['name']}-predictor"
        replicas = predictor.get("minReplicas", 1)
        up = min(replicas, self.most.get(predictor["model"]["storageUri"], replicas))
        generation = 1
        if self._workloads:
            made = self._api.apply(_deployment(service, predictor, name, replicas))
            generation = made["metadata"]["generation"]
            status = _deployment_status(generation, replicas, up)
            if made.get("status", {}) != {key: value for key, value in status.items() if value}:
                self._api.merge(f"{self._api.path(made)}/status", {"status": status})
            self._api.apply(_autoscaler(service, name, replicas))
        return Observation(name, generation, up, up > 0)

    def _remove_all_but(self, service, keep):
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments"
        for found in self._api.items(path):
            labels, name = found["metadata"].get("labels", {}), found["metadata"]["name"]
            if labels.get("serving.kserve.io/inferenceservice") == service and name not in keep:
                self._api.delete(f"{path}/{name}")


class Model:
    """One ModelDeployment, as its user sees it."""

    def __init__(self, api, namespace, name):
        self.api, self.namespace, self.name = api, namespace, name
        self.path = f"{OURS}/namespaces/{namespace}/modeldeployments/{name}"
        self.service_path = f"{SERVING}/namespaces/{namespace}/inferenceservices/{name}"

    def apply(self, version, *, steps=None, deadline="60s", spec=None, **serving):
        """Ask for a version of the model; `spec` holds more of its fields."""
        rollout = {"progressDeadline": deadline, "steps": steps or [{"setWeight": 100}]}
        model = {"uri": storage_uri(self.name, version), "format": "onnx"}
        return self.api.apply(
            {
                "apiVersion": "mooring.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"model": model, "serving": serving, "rollout": rollout, **(spec or {})},
            }
        )

    @property
    def resource(self):
        """The whole object."""
        return self.api.request("GET", self.path)

    status = property(lambda self: self.resource.get("status", {}), doc="Its status.")

    @property
    def service(self):
        """Its InferenceService; None if there is none."""
        return self.api.get(self.service_path)

    def reaches(self, phase, version=None, *, weight=None, timeout=60):
        """Wait for a phase of the spec as it is now, and of a candidate's weight; give the status."""
        generation = self.resource["metadata"]["generation"]

        def holds(status):
            candidate = status.get("candidate") or {}
            shown = status.get("stable") or {}
            return (
                (status.get("phase"), status.get("observedGeneration")) == (phase, generation)
                and weight in (None, candidate.get("weight"))
                and (version is None or shown.get("storageUri") == storage_uri(self.name, version))
            )

        return until(lambda: self.status, holds, what=f"{self.name} is not {phase}", timeout=timeout)

    def command(self, name, value):
        """Give a command as the administrator, as kubectl does; None takes it back."""
        by = None if value is None else "admin"
        given = {f"mooring.dev/{name}": value, f"mooring.dev/{name}-by": by}
        self.api.merge(self.path, {"metadata": {"annotations": given}})

    def reported(self, *reasons):
        """Wait until its Events have these reasons, in this order, but for those of a slow KServe."""
        until(
            self._events, lambda seen: seen == [*reasons], what=f"{self.name} has no such events: {reasons}"
        )

    def _events(self):
        uid = self.resource["metadata"]["uid"]
        found = self.api.items(f"/apis/events.k8s.io/v1/namespaces/{self.namespace}/events")
        mine = [event for event in found if event["regarding"].get("uid") == uid]
        told, slow = [], False
        for event in sorted(mine, key=lambda event: event["eventTime"]):
            reason, waited = event["reason"], slow
            slow = reason in _SLOW
            # After a wait for KServe the phase from before it is told again.
            if not slow and not (waited and told[-1:] == [reason]):
                told.append(reason)
        return told


_SLOW = ("RouterNotReady", "Waiting", "RouterRecovered")


def storage_uri(name, version):
    """Where a version of a model lies."""
    return f"pvc://models/{name}/{version}"


def _merged(stable, canary, percent):
    merged = {name: {**stable[name], **canary[name]} for name in ("model", "labels")}
    replicas = math.ceil(stable.get("minReplicas", 1) * percent / 100)
    return {**stable, "minReplicas": replicas, **canary, **merged}


def _owned(service, kind, version, name):
    metadata = service["metadata"]
    owner = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "controller": True}
    labels = {"serving.kserve.io/inferenceservice": metadata["name"], "component": "predictor"}
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels,
            "ownerReferences": [{**owner, "name": metadata["name"], "uid": metadata["uid"]}],
        },
    }


def _deployment(service, predictor, name, replicas):
    selector = {"app": f"isvc.{name}"}
    model = {"name": "kserve-container", "image": "none", "args": [predictor["model"]["storageUri"]]}
    labels = {REVISION_LABEL: predictor["labels"][REVISION_LABEL], **selector}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [model]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": selector}, "template": template}
    return {**_owned(service, "Deployment", "apps/v1", name), "spec": spec}


def _deployment_status(generation, replicas, up):
    counts = {"replicas": replicas, "updatedReplicas": replicas, "readyReplicas": up, "availableReplicas": up}
    return {"observedGeneration": generation, "unavailableReplicas": replicas - up, **counts}


def _autoscaler(service, name, replicas):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": target, "minReplicas": replicas, "maxReplicas": replicas}
    return {**_owned(service, "HorizontalPodAutoscaler", "autoscaling/v2", name), "spec": spec}
