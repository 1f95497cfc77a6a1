"""Notices of a DriftMonitor on a real API server with the real Job controller: the pod's own program posts them."""

import asyncio
import base64
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mooring_artifacts.webhooks import SECONDS
from mooring_operator.adapters.checks.notices import NoticeJobs
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.api import DriftMonitorSpec
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.reconcile.gatherer import owner_of
from mooring_operator.reconcile.kinds import DRIFT_MONITOR

from tests.cluster.test_check_jobs import Place
from tests.cluster.test_run_jobs import connection, controllers, post, requests  # noqa: F401 - fixtures
from tests.put import put
from tests.unit.operator.planning.manifests.test_pods import expanded

NOTICE = "0b2f4f6e-0000-5000-8000-000000000000"
RECEIVER = {"format": "Slack", "urlSecret": {"name": "slack", "key": "url"}, "headersSecret": "headers"}


class Listening:
    """An endpoint that answers with `status`, and what it was asked."""

    def __init__(self):
        self.status, self.asked = 200, []
        listening = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listening.asked.append((self.path, self.headers["X-Token"], json.loads(body)))
                self.send_response(listening.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}/services/T0/secret"


@pytest.fixture
def listening():
    served = Listening()
    yield served
    served.server.shutdown()
    served.server.server_close()


class Watched(Place):
    """A namespace with a DriftMonitor, its Secrets, and a kubelet that runs what pods are to run."""

    async def make(self):
        await super().make()
        spec = {"target": {"name": "digits"}, "notify": [RECEIVER]}
        body = {"apiVersion": DRIFT_MONITOR.api_version, "kind": "DriftMonitor", "spec": spec}
        body["metadata"] = {"name": "traffic", "namespace": self.name}
        made = await put(self.cluster, body, DRIFT_MONITOR)
        self.owner, self.spec = owner_of(made), DriftMonitorSpec.model_validate(made["spec"])
        self.notices = NoticeJobs(KubernetesCluster(self.connection), RunPods())
        return self

    async def keep(self, name, **values):
        coded = {key.replace("_", "-"): base64.b64encode(v.encode()).decode() for key, v in values.items()}
        secret = {"metadata": {"name": name}, "data": coded}
        await post(self.connection, f"/api/v1/namespaces/{self.name}/secrets", secret)

    async def run_pod(self, folder):
        """Run the program of the only pod, as a kubelet would hand it its Secrets; give its exit code and words."""
        [pod] = await self.until_pods()
        [container] = pod["spec"]["containers"]
        variables = {}
        for each in container["env"]:
            if "valueFrom" in each:
                key = each["valueFrom"]["secretKeyRef"]
                variables[each["name"]] = (await self.secret(key["name"]))[key["key"]]
            else:
                variables[each["name"]] = expanded(each["value"])
        [volume] = [each["secret"] for each in pod["spec"]["volumes"] if "secret" in each]
        for key, value in (await self.secret(volume["secretName"])).items():
            (folder / key).write_text(value)
        program = [sys.executable, *container["command"][1:], str(folder)]
        variables[SECONDS] = "1"
        process = await asyncio.create_subprocess_exec(
            *program, env={"PATH": os.environ["PATH"], **variables}, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        await self.end(process.returncode, said.decode())
        return process.returncode

    async def secret(self, name):
        path = f"/api/v1/namespaces/{self.name}/secrets/{name}"
        found = await self.connection.send("get", "GET", path, resource="")
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}

    async def ended(self):
        async with asyncio.timeout(30):
            while (state := await self.notices.look(self.owner, NOTICE)).outcome is None:
                await asyncio.sleep(0.1)
        return state


@pytest.fixture
async def watched(connection):  # noqa: F811
    return await Watched(connection).make()


@pytest.mark.parametrize(("status", "outcome"), [(200, "Pass"), (403, "Fail"), (500, "Insufficient")])
async def test_a_receiver_is_posted_to_with_what_its_secrets_hold(
    watched, listening, tmp_path, status, outcome
):
    listening.status = status
    await watched.keep("slack", url=listening.url)
    await watched.keep("headers", X_Token="hush")
    [receiver] = watched.spec.notify
    for _ in range(2):
        await watched.notices.start(watched.owner, NOTICE, receiver, {"text": "$(PATH) drifts"})
    await watched.run_pod(tmp_path)
    state = await watched.ended()
    assert state.outcome == outcome
    assert f"it answered {status}: ok" in state.message
    assert "secret" not in state.message
    assert set(map(str, listening.asked)) == {
        str(("/services/T0/secret", "hush", {"text": "$(PATH) drifts"}))
    }
    assert len(await watched.pods()) == 1


async def test_there_is_nothing_to_see_of_a_notice_that_was_not_sent(watched):
    assert await watched.notices.look(watched.owner, NOTICE) is None
