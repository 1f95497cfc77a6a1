"""What Mooring's pods and its tenants' may reach, and who may reach them."""

import functools
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from mooring_operator.adapters.routers.inference_services.collecting import collector
from mooring_operator.adapters.routers.inference_services.manifest import predictor
from mooring_operator.adapters.routers.inference_services.under_test import instance
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.workloads import BatchSpec, StreamSpec
from mooring_operator.planning.manifests import check_pods
from mooring_operator.planning.manifests.run_jobs import RunPods, job_of
from mooring_operator.planning.manifests.workloads import Images, consumers, cron_job
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import RunOwner, RunRequest

from tests.cluster.network import Pod, isolated, receives, sends
from tests.kustomized import kustomized

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = sorted(path.name for path in (MANIFESTS / "overlays").iterdir() if path.is_dir())
SYSTEM, TENANT = "mooring-system", "team-a"

DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
STRANGER = Pod("team-b", {"app": "anything"})
SCRAPER = Pod("monitoring", {"app.kubernetes.io/name": "prometheus"})
INTERNET, INTERNET_6 = "52.216.1.2", "2600:1fa0::1"
METADATA, METADATA_6 = "169.254.169.254", "fd00:ec2::254"
API_SERVERS = ("10.96.0.1", "172.18.0.2", "192.168.49.2", "34.118.224.1")

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


@functools.cache
def rendered(folder):
    return kustomized(MANIFESTS / folder)


def policies(folder, namespace=None):
    found = [o for o in rendered(folder) if o["kind"] == "NetworkPolicy"]
    for policy in found:
        policy["metadata"].setdefault("namespace", namespace)
    return found


def pods_of(overlay):
    for found in rendered(f"overlays/{overlay}"):
        if found["kind"] in ("Deployment", "StatefulSet"):
            template = found["spec"]["template"]
            ports = {
                p["name"]: p["containerPort"] for c in template["spec"]["containers"] for p in c["ports"]
            }
            yield Pod(SYSTEM, template["metadata"]["labels"], ports)


def operator(overlay):
    return next(pod for pod in pods_of(overlay) if pod.labels["app.kubernetes.io/name"] == "mooring-operator")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_in_our_namespace_is_open(overlay):
    named = [*pods_of(overlay), Pod(SYSTEM, {"app": "somebody-elses"})]
    assert len(named) > 1
    for pod in named:
        for direction in ("Ingress", "Egress"):
            assert isolated(policies(f"overlays/{overlay}"), pod, direction), (pod, direction)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_operator_reaches_what_it_is_configured_with(overlay):
    found, own = policies(f"overlays/{overlay}"), operator(overlay)
    assert sends(found, own, DNS, 53, "UDP")
    assert sends(found, own, DNS, 53, "TCP")
    assert sends(found, own, "169.254.20.10", 53, "UDP"), "NodeLocal DNSCache"
    for address in API_SERVERS:
        assert sends(found, own, address, 443)
        assert sends(found, own, address, 6443)
    maps = [o for o in rendered(f"overlays/{overlay}") if o["kind"] == "ConfigMap"]
    settings = next(o["data"] for o in maps if o["metadata"]["name"].startswith("mooring-settings-"))
    assert settings["MOORING_ARTIFACT_ROOT"].startswith("s3://"), "by https"
    assert sends(found, own, INTERNET, 443)
    assert sends(found, own, INTERNET_6, 443)
    endpoint = settings.get("MOORING_KFP_ENDPOINT")
    if endpoint is not None:
        server = urlsplit(endpoint)
        name, _, rest = server.hostname.partition(".")
        namespace = rest.partition(".")[0] or SYSTEM
        labels = {"app": name, "app.kubernetes.io/name": name}
        assert sends(found, own, Pod(namespace, labels), server.port)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_operator_reaches_nothing_else(overlay):
    found, own = policies(f"overlays/{overlay}"), operator(overlay)
    assert not sends(found, own, METADATA, 80)
    assert not sends(found, own, METADATA, 443)
    assert not sends(found, own, INTERNET, 80)
    assert not sends(found, own, INTERNET, 53, "UDP")
    assert not sends(found, own, STRANGER, 8080)
    assert not sends(found, own, DNS, 8080)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_scrapers_read_metrics_and_nobody_else_comes_in(overlay):
    found, own = policies(f"overlays/{overlay}"), operator(overlay)
    assert receives(found, own, SCRAPER, 8080)
    assert not receives(found, own, SCRAPER, 9999)
    assert not receives(found, own, INTERNET, 8080)
    assert not receives(found, Pod(SYSTEM, {"app": "somebody-elses"}), SCRAPER, 8080)


_OWNER = Owner(TENANT, "digits", "9a1f2f6e-0000-4000-8000-000000000000", 1)
_STABLE = Revision(
    revision="abc1234567",
    model_uri="s3://m/v1",
    storage_uri="s3://m/v1",
    format="onnx",
    since=datetime(2026, 3, 1, tzinfo=UTC),
)


def tenants_pods():
    """The pods that the operator makes in a tenant's namespace, by KServe's hand too."""
    model = predictor(_STABLE)["labels"]
    batch = cron_job(
        _OWNER, _STABLE, BatchSpec(schedule="0 3 * * *", input="s3://d/a", output="s3://d/b"), Images()
    )
    stream = consumers(_OWNER, _STABLE, StreamSpec(source="redis://r/in", sink="redis://r/out"), Images())
    owner = RunOwner("mooring.dev/v1alpha1", "ModelDeployment", _OWNER.name, _OWNER.uid)
    run = RunRequest(
        run_id="0f3c",
        name="digits",
        pipeline="model-ci",
        parameters={},
        namespace=TENANT,
        owner=owner,
        timeout=timedelta(hours=1),
    )
    elsewhere = _STABLE.model_copy(update={"serving": {"capture": {"store": "s3://captured"}}})
    service = {"apiVersion": "v1", "kind": "InferenceService", "metadata": {"name": "digits", "uid": "u"}}
    keeps = collector(_OWNER, elsewhere, service, Images().inference, pods=1)[0]
    labels = {
        "model": model,
        "collector": keeps["spec"]["template"]["metadata"]["labels"],
        "tested": instance(_OWNER, "digits-t12345678", _STABLE)["spec"]["predictor"]["labels"],
        "batch": batch["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"],
        "stream": stream["spec"]["template"]["metadata"]["labels"],
        "check": dict(check_pods.LABELS),
        "run": job_of(run, RunPods())["spec"]["template"]["metadata"]["labels"],
    }
    return {kind: Pod(TENANT, found) for kind, found in labels.items()}


@pytest.mark.parametrize("kind", ["model", "collector", "tested", "batch", "stream", "run", "check"])
def test_what_opens_models_and_data_reaches_stores_and_nothing_of_the_cluster(kind):
    found, pod = policies("components/network/tenant", TENANT), tenants_pods()[kind]
    assert sends(found, pod, DNS, 53, "UDP")
    assert sends(found, pod, INTERNET, 443)
    assert sends(found, pod, INTERNET_6, 443)
    for address in ("10.96.0.1", "172.18.0.2", "192.168.49.2", "100.64.1.1", METADATA, METADATA_6):
        for port in (80, 443, 6443, 10250):
            assert not sends(found, pod, address, port), (address, port)
    assert not sends(found, pod, INTERNET, 6443)
    for other in (STRANGER, Pod(TENANT, {"app": "database"}), Pod(SYSTEM, {}), Pod("kubeflow", {})):
        assert not sends(found, pod, other, 443)
        assert not sends(found, pod, other, 8080)


def test_models_are_called_and_runs_are_not():
    found, pods = policies("components/network/tenant", TENANT), tenants_pods()
    for port in (8080, 8081):
        assert receives(found, pods["model"], STRANGER, port)
        assert not receives(found, pods["model"], INTERNET, port)
        assert not receives(found, pods["run"], STRANGER, port)
        assert not receives(found, pods["check"], STRANGER, port)
        assert sends(found, pods["check"], pods["model"], port)
        assert not sends(found, pods["run"], pods["model"], port)
        assert not sends(found, pods["check"], pods["run"], port)
    assert receives(found, pods["stream"], SCRAPER, 8080)
    # A transformer calls its predictor.
    for kind in ("model", "tested"):
        assert sends(found, pods[kind], pods[kind], 8080)
        assert receives(found, pods[kind], pods[kind], 8080)
    assert not sends(found, pods["tested"], pods["model"], 8080)
    assert sends(found, pods["run"], pods["tested"], 8080)
    assert receives(found, pods["tested"], pods["run"], 8080)
    for other in (STRANGER, pods["model"], pods["check"]):
        assert not receives(found, pods["tested"], other, 8080)
    assert not receives(found, pods["model"], STRANGER, 22)


def test_models_alone_post_to_collectors():
    found, pods = policies("components/network/tenant", TENANT), tenants_pods()
    assert sends(found, pods["model"], pods["collector"], 8080)
    assert receives(found, pods["collector"], pods["model"], 8080)
    for other in (STRANGER, SCRAPER, pods["run"], pods["check"], Pod("team-b", pods["model"].labels)):
        assert not receives(found, pods["collector"], other, 8080)
    assert receives(found, pods["collector"], SCRAPER, 8081)
    assert not sends(found, pods["collector"], pods["model"], 8080)


def test_pods_of_others_in_a_tenants_namespace_are_left_alone():
    found, other = policies("components/network/tenant", TENANT), Pod(TENANT, {"app": "database"})
    assert not isolated(found, other, "Ingress")
    assert not isolated(found, other, "Egress")


@pytest.mark.parametrize("folder", ["components/network", "components/network/tenant"])
def test_api_server_accepts_the_templates(control_plane, folder):
    api = control_plane.api
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TENANT}})
    page = (MANIFESTS.parent / "docs" / "network.md").read_text()
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    shown = [example for example in examples if example["kind"] == "NetworkPolicy"]
    assert shown
    for policy in (*policies(folder, TENANT), *shown):
        policy = {**policy, "metadata": {**policy["metadata"], "namespace": TENANT}}
        query = "?dryRun=All&fieldManager=test&force=true&fieldValidation=Strict"
        body = yaml.safe_dump(policy).encode()
        kept = api.request("PATCH", api.path(policy) + query, body, content="application/apply-patch+yaml")
        assert kept["spec"]["policyTypes"] == policy["spec"]["policyTypes"]
