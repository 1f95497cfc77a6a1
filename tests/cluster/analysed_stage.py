"""Where rollouts are judged by what pods really count: a real gateway splits, and a real Prometheus scrapes.

All of it can be disturbed. Pods are processes of the serving agent. Prometheus finds them as it does behind
manifests/components/monitoring, and asks them through a proxy, which can refuse.
"""

from __future__ import annotations

import asyncio
import threading
import urllib.request
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import psutil
from onnx import TensorProto, helper, save

from cluster.control_plane import ControlPlane
from cluster.envoy_gateway import EnvoyGateway
from cluster.network_namespace import NetworkNamespace
from cluster.prometheus import Prometheus, finding_models
from tests.cluster.rollout_steps import OURS, Operator, install, until
from tests.cluster.serving_agents import serving_agent

NAMESPACE, NAME = "models", "digits"
PATH = f"{OURS}/namespaces/{NAMESPACE}/modeldeployments/{NAME}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PATIENCE_S = 150
SCRAPES = "500ms"


class ScrapeProxy(ThreadingHTTPServer):
    """Passes scrapes on, but for those of pods whose addresses are `refused`; counts those."""

    daemon_threads = True

    def __init__(self):
        self.refused, self.refusals = set(), Counter()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                address = self.path.removeprefix("http://").partition(":")[0]
                if address in proxy.refused:
                    proxy.refusals[address] += 1
                    self.send_error(502)
                    return
                try:
                    self._pass_on()
                except OSError:
                    self.send_error(504)

            def _pass_on(self):
                asked = urllib.request.Request(self.path, headers={"accept": self.headers["accept"]})
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with opener.open(asked, timeout=5) as answer:
                    text, kind = answer.read(), answer.headers["content-type"]
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


def save_model(folder, version, *, fails=False):
    """y = -x on [n, 2]; one that `fails` does so where the first number of a row is above 0."""
    folder.mkdir(parents=True)
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    if fails:
        nodes = [
            helper.make_node("Slice", ["x", "zero", "one", "one"], ["first"]),
            helper.make_node("Cast", ["first"], ["place"], to=TensorProto.INT64),
            # There is nothing but at place 0.
            helper.make_node("Gather", ["table", "place"], ["nothing"]),
            helper.make_node("Sub", ["nothing", "x"], ["y"]),
        ]
    tensors = [
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("table", TensorProto.FLOAT, [1], [0.0]),
    ]
    shape = (TensorProto.FLOAT, ["n", 2])
    x, y = (helper.make_tensor_value_info(name, *shape) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], tensors if fails else [])
    # The same files would be the same revision.
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, doc_string=version
    )
    save(model, folder / "model.onnx")


class Users:
    """Send a row each, some 150 a second; a share of the rows is hard. Use it in a ``with`` statement."""

    def __init__(self, url, at_once=4, pause=0.02):
        self._url, self._at_once, self._pause = url, at_once, pause
        self.hard = 0.0
        self.sent = 0
        self.answered, self.wrong, self.lost = Counter(), Counter(), Counter()
        """By revision, what it answered and what of that with an error of its own; by status, what nobody answered."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    async def _work(self):
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(self._url, timeout=timeout) as http:
            await asyncio.gather(*(self._send(http) for _ in range(self._at_once)))

    async def _send(self, http):
        due = 0.0
        while not self._ended.is_set():
            due += self.hard
            first, due = (1, due - 1) if due >= 1 else (0, due)
            tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [first, 2]}
            self.sent += 1
            try:
                headers = {"host": f"{NAME}.{NAMESPACE}"}
                path = f"/v2/models/{NAME}/infer"
                async with http.post(path, json={"inputs": [tensor]}, headers=headers) as answer:
                    await answer.read()
                    self._note(answer.status, answer.headers.get("x-mooring-revision"))
            except (aiohttp.ClientError, TimeoutError) as error:
                self.lost[type(error).__name__] += 1
            await asyncio.sleep(self._pause)

    def _note(self, status, revision):
        if revision is None:
            self.lost[status] += 1
            return
        self.answered[revision] += 1
        if status >= 500:
            self.wrong[revision] += 1


class Stage:
    """All of it. Pods are meant by their revision."""

    def __init__(self, plane, folder, gateway, agent, prometheus, proxy):
        self.api, self.folder, self.prometheus, self.proxy = plane.api, folder, prometheus, proxy
        self.url = f"http://127.0.0.1:{gateway.port}"
        self._agent = agent

    def apply(self, version, rollout):
        spec = {
            "model": {"uri": f"file://{self.folder}/models/{version}", "format": "onnx"},
            "serving": {"minReplicas": 1, "maxReplicas": 2},
            "rollout": {"scaleDownDelay": "1s", **rollout},
        }
        kind = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment"}
        self.api.apply({**kind, "metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec})

    def scale(self, revision, replicas):
        """Do what an autoscaler does, and wait for as many pods; give their addresses."""
        for found in self.api.items(DEPLOYMENTS):
            if found["metadata"]["labels"].get("mooring.dev/revision") == revision:
                path = f"{DEPLOYMENTS}/{found['metadata']['name']}"
                self.api.merge(path, {"spec": {"replicas": replicas}})
        return self.has(revision, replicas)

    def command(self, name, value):
        given = {f"mooring.dev/{name}": value, f"mooring.dev/{name}-by": "admin"}
        self.api.merge(PATH, {"metadata": {"annotations": given}})

    @property
    def status(self):
        return self.api.get(PATH).get("status", {})

    def condition(self, kind="Analysed"):
        return next(known for known in self.status["conditions"] if known["type"] == kind)

    def reaches(self, phase, version, what="candidate"):
        """Wait until the deployment is in a phase that is about a version; give its status."""

        def holds(status):
            about = status.get(what) or {}
            return status.get("phase") == phase and about.get("modelUri", "").endswith(f"/{version}")

        return until(lambda: self.status, holds, what=f"{version} is not {phase}", timeout=PATIENCE_S)

    def pods(self, revision):
        """The addresses of a revision's pods that are ready, by name."""
        return {
            pod["metadata"]["name"]: pod["status"]["podIP"]
            for pod in self.api.items(PODS)
            if pod["metadata"]["labels"]["mooring.dev/revision"] == revision and _is_ready(pod)
        }

    def has(self, revision, count):
        """Wait until a revision has so many pods that are ready; give their addresses."""
        return until(
            lambda: self.pods(revision),
            lambda pods: len(pods) == count,
            what=f"{revision} has not {count} pods",
            timeout=PATIENCE_S,
        ).values()

    def replace(self, revision):
        """Delete one of a revision's pods, and wait until another has taken its place."""
        before = self.pods(revision)
        gone = min(before)
        self.api.delete(f"{PODS}/{gone}")
        until(
            lambda: self.pods(revision),
            lambda pods: gone not in pods and len(pods) == len(before),
            what=f"{gone} is not replaced",
            timeout=PATIENCE_S,
        )

    def kill(self, address):
        """End the server of a pod without warning: it is started again there, and counts from 0."""
        for process in psutil.Process(self._agent.pid).children(recursive=True):
            # Some have ended, and nobody has asked for their exit status.
            with suppress(psutil.Error):
                if f"--host={address}" in process.cmdline():
                    process.kill()

    def restarts(self):
        """How often pods' servers were started again, by address."""
        return {
            pod["status"]["podIP"]: pod["status"]["containerStatuses"][0]["restartCount"]
            for pod in self.api.items(PODS)
            if _is_ready(pod)
        }


def _is_ready(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return any((known["type"], known["status"]) == ("Ready", "True") for known in conditions)


@contextmanager
def analysed_stage(folder, **models):
    """The stage, in a network of its own; raises ProgramUnavailableError where it cannot be had.

    models: versions, and whether they fail on what is hard.
    """
    for version, fails in models.items():
        save_model(folder / "models" / version, version, fails=fails)
    with ExitStack() as stack:
        stack.enter_context(NetworkNamespace())
        plane = stack.enter_context(ControlPlane(["endpoint-slices"]))
        gateway = stack.enter_context(EnvoyGateway(plane.api, plane.kubeconfig, folder / "gateway"))
        install(plane.api, NAMESPACE, kserve=False)
        agent = stack.enter_context(serving_agent(plane.kubeconfig, folder))
        proxy = stack.enter_context(ScrapeProxy())
        found = finding_models(plane.kubeconfig, interval_s=1)
        for job in found["scrape_configs"]:
            job |= {"scrape_interval": SCRAPES, "scrape_timeout": SCRAPES, "proxy_url": proxy.url}
        prometheus = stack.enter_context(Prometheus(found, folder / "prometheus"))
        settings = {
            "namespaces": NAMESPACE, "file_addresses": "true", "gateway": "gateways/front",
            "gateway_service": "gateways/envoy", "prometheus_url": prometheus.url, "prometheus_interval": 1,
            "prometheus_lag": 1, "prometheus_retries": 0,
        }  # fmt: skip
        stack.enter_context(Operator(plane.kubeconfig, folder / "operator.log", **settings))
        yield Stage(plane, folder, gateway, agent, prometheus, proxy)
