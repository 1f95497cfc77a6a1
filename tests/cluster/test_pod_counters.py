"""What pods count, read by a real API server's proxy, with the rights of the component and without them."""

import asyncio
import json
import socket
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mooring_inference.observability.metrics import ServingMetrics
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.metrics.pods import PodCounters
from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.planning.analysis.queries import RATES, Pods, Question

from cluster.kubeconfig import write_kubeconfig
from tests.cluster.people import SYSTEM, install_people, rendered
from tests.operator.world import START

NAMESPACE = "pod-counters"
NEW, OLD = "c0ffee0001", "beef000002"
EVERY = timedelta(seconds=10)


class Server(ThreadingHTTPServer):
    """A pod's server, with the runtime's own counters; it keeps the headers that it is asked with."""

    def __init__(self, address):
        self.metrics, self.asked = ServingMetrics(), []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append((self.path, {name.lower() for name in self.headers}))
                text, kind = server.metrics.exposition(self.headers.get("Accept", ""))
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        super().__init__((address, 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def answered(self, code, times):
        for _ in range(times):
            self.metrics.of("iris", NEW).answered("v2-rest", code, 0.01)


@pytest.fixture
def address():
    """An address of this machine by which an API server reaches pods: it refuses those that are loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but its own")
        found = probe.getsockname()[0]
    if found.startswith("127."):
        pytest.skip("this machine has no address but its own")
    return found


@pytest.fixture
def server(address):
    with Server(address) as server:
        yield server
        server.shutdown()


@pytest.fixture
def api(control_plane):
    return control_plane.api


@pytest.fixture
def account(api, control_plane, tmp_path):
    """The operator's account, with the rights of manifests/base alone."""
    install_people(api, NAMESPACE)
    path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/mooring-operator/token"
    token = api.request("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    kubeconfig, authority = tmp_path / "kubeconfig", control_plane.files.authority.read_bytes()
    write_kubeconfig(
        kubeconfig, name="operator", server=control_plane.server, token=token, authority=authority
    )
    return Path(kubeconfig)


def run_pod(api, name, revision, address):
    labels = {
        "mooring.dev/model-deployment": "iris",
        "mooring.dev/revision": revision,
        "component": "predictor",
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    container = {"name": "kserve-container", "image": "none"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [container], "automountServiceAccountToken": False, "nodeName": "none"},
    }
    api.request("POST", path, pod)
    serving = {
        "name": "kserve-container",
        "image": "none",
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "containerID": f"containerd://{name}",
    }
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "containerStatuses": [serving],
    }
    api.merge(f"{path}/{name}/status", {"status": status})


async def test_a_look_is_read_by_the_proxy_with_the_right_and_not_without(api, account, server, address):
    run_pod(api, "iris-new", NEW, address)
    pods = Pods(NAMESPACE, "iris", server.server_address[1], "iris")
    question = Question(RATES["errorRate"], (NEW, OLD), every_s=10, pods=pods)
    connection = Connection(load_config(account))
    metrics = PodCounters(KubernetesCluster(connection))
    try:
        with pytest.raises(
            MetricsUnavailableError, match="component manifests/components/pod-counters lets it"
        ):
            await metrics.counts(question, START, START + EVERY)
        assert not server.asked
        for found in rendered("components/pod-counters"):
            api.apply(found)
        server.answered(200, 5)
        await metrics_are_read(metrics, question)
        server.answered(200, 8)
        server.answered(503, 2)
        events, requests = await metrics.counts(question, START + EVERY, START + 2 * EVERY)
        assert ([*events[NEW].values()], [*requests[NEW].values()]) == ([2], [10])
    finally:
        await connection.close()
    assert {path for path, _ in server.asked} == {"/metrics"}
    # Nobody learns the operator's token by being asked.
    assert not any("authorization" in headers for _, headers in server.asked)


async def metrics_are_read(metrics, question):
    """Read the pods for the first time; the API server knows of a new right a moment later."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await metrics.counts(question, START, START + EVERY)
            except MetricsUnavailableError:
                await asyncio.sleep(0.1)


def test_the_right_is_in_no_overlay_and_is_no_more_than_it_says():
    role, binding = rendered("components/pod-counters")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods/proxy"], "verbs": ["get"]}]
    (subject,) = binding["subjects"]
    assert (binding["roleRef"]["name"], subject["name"]) == (role["metadata"]["name"], "mooring-operator")
    for overlay in ("overlays/standalone", "overlays/kubeflow"):
        assert "pods/proxy" not in json.dumps(rendered(overlay))
