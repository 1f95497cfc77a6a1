"""What gets installed: accepted by a real API server, hardened, and with the rights that the operator needs."""

import asyncio
import functools
import json
import os
import re
import shutil
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Event, Ref, Refused
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers import DefaultGateway, Routers
from mooring_operator.adapters.routers.endpoints import EndpointsRouter
from mooring_operator.adapters.routers.gateway import GatewayRouter
from mooring_operator.adapters.routers.gateway_routes import Entrance
from mooring_operator.adapters.routers.inference_services.collecting import collector
from mooring_operator.adapters.routers.inference_services.revision_manifest import name_of
from mooring_operator.adapters.routers.inference_services.revisions import SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtimes import ServingRuntimes
from mooring_operator.adapters.routers.knative import KnativeRouter
from mooring_operator.adapters.routers.route_writer import RouteWriter
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.api.workloads import BatchSpec, StreamSpec
from mooring_operator.planning.manifests.run_jobs import RunPods, job_of
from mooring_operator.planning.manifests.workloads import Images, consumers, cron_job
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout.runtimes import Named, NoRuntime
from mooring_operator.planning.routing import Arm, Routing
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT
from mooring_operator.settings import Settings
from mooring_pipelines.model_ci import COMPONENTS_IMAGE

from cluster.api import Api, ApiError
from cluster.kubeconfig import write_kubeconfig
from cluster.serving.runtimes import PLURALS, definition
from tests.cluster.people import OPERATOR, policies, wait_until_in_force
from tests.cluster.people import rendered as rendered_folder
from tests.cluster.rights import Right, asked_for, granted
from tests.cluster.rollout_steps import KServe, Model, Operator, install, storage_uri, until
from tests.cluster.test_routers_contract_cluster import define_gateways
from tests.kustomized import kustomized
from tests.played_gateway import PlayedGateway
from tests.played_kserve import PlayedKServe
from tests.played_revisions import PlayedRevisions
from tests.unit.operator.adapters.routers.revisions import revision as revision_of_files
from tests.unit.operator.planning.jobs import RUN
from tests.unit.operator.planning.world import spec_of

ROOT = Path(__file__).parents[2]
NAMESPACE = "mooring-system"
OVERLAYS = ("kubeflow", "standalone")
OTHERS = ("serving.kserve.io",)
"""API groups of projects that a plain API server knows nothing of: overlays need KServe, and nothing else."""

OLDEST_KUBERNETES = "1.30"
ROLES = ("operator", "components", "inference")

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")


@functools.cache
def rendered(overlay):
    """The objects of an overlay."""
    return kustomized(ROOT / "manifests" / "overlays" / overlay)


def objects(*kinds):
    """Every (overlay, object) of these kinds; all kinds where none is named."""
    return [
        pytest.param(found, id=f"{overlay}-{found['kind']}-{found['metadata']['name']}")
        for overlay in OVERLAYS
        if shutil.which("kubectl")
        for found in rendered(overlay)
        if not kinds or found["kind"] in kinds
    ]


def pods():
    """Every pod that comes of the manifests, by KServe's hand too."""
    return objects("Deployment", "StatefulSet", "ClusterServingRuntime")


def settings_of(overlay):
    """What the operator is told."""
    maps = [o for o in rendered(overlay) if o["kind"] == "ConfigMap"]
    return next(o["data"] for o in maps if o["metadata"]["name"].startswith("mooring-settings-"))


def pod_spec(found):
    if found["kind"] != "ClusterServingRuntime":
        return found["spec"]["template"]["spec"]
    # What KServe adds is left out; it tolerates the annotations and labels of a runtime.
    return {"containers": found["spec"]["containers"]}


_OWNER = Owner(NAMESPACE, "digits", "9a1f2f6e-0000-4000-8000-000000000000", 1)
_STABLE = Revision(
    revision="abc1234567",
    model_uri="s3://m/v1",
    storage_uri="s3://m/v1",
    format="onnx",
    since=datetime(2026, 3, 1, tzinfo=UTC),
)
WORKLOADS = [
    cron_job(
        _OWNER,
        _STABLE,
        BatchSpec(
            schedule="0 3 * * 1-5", time_zone="Europe/Berlin", input="s3://d/a", output="s3://d/b", shards=3
        ),
        Images(),
    ),
    consumers(_OWNER, _STABLE, StreamSpec(source="redis://r/in", sink="redis://r/out"), Images()),
    job_of(
        replace(RUN, namespace=NAMESPACE, service_account="default", credentials_secret="keys"), RunPods()
    ),
]


COMPARED = {"baseline": {"uri": "s3://d/baseline.parquet"}, "window": {"uri": "s3://d/window/"}}


def manifest(kind, namespace, **spec):
    meta = {"name": "probe"} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "mooring.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


@pytest.fixture(scope="module")
def api(control_plane):
    namespace = next(found for found in rendered("standalone") if found["kind"] == "Namespace")
    control_plane.api.apply(namespace)
    return control_plane.api


def judged(api, manifest):
    """Have the API server judge an object, without keeping it."""
    query = "?dryRun=All&fieldManager=test&force=true&fieldValidation=Strict"
    body = json.dumps(manifest).encode()
    return api.request("PATCH", api.path(manifest) + query, body, content="application/apply-patch+yaml")


@pytest.mark.parametrize("found", objects())
def test_api_server_accepts_every_object_of_its_own_kinds(api, found):
    if found["apiVersion"].startswith(OTHERS):
        assert found["kind"] == "ClusterServingRuntime", "judged by tests of its own"
        return
    assert judged(api, found)["metadata"]["name"] == found["metadata"]["name"]
    if found["kind"] != "CustomResourceDefinition":
        kubernetes_validate.validate(found, OLDEST_KUBERNETES, strict=True)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda manifest: manifest["kind"])
def test_api_server_accepts_the_pods_that_the_operator_makes(api, workload):
    assert judged(api, workload)["kind"] == workload["kind"]
    spec = workload["spec"]
    pod = (spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec)["template"]["spec"]
    meta = {"name": "probe", "namespace": NAMESPACE}
    # Pods of service accounts are admitted where these are there; none is kept here.
    assert judged(api, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod})["kind"] == "Pod"


def test_api_server_refuses_what_is_misspelt(api):
    service = next(found for found in rendered("standalone") if found["kind"] == "Service")
    with pytest.raises(ApiError, match="targetport"):
        judged(api, {**service, "spec": {"ports": [{"port": 80, "targetport": 80}]}})


@pytest.mark.parametrize("found", pods())
def test_pods_meet_the_restricted_level_of_pod_security(api, found):
    meta = {"name": "probe", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": dict(pod_spec(found))}
    volumes = pod["spec"].get("volumes", [])
    claims = found["spec"].get("volumeClaimTemplates", [])
    made = [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in claims]
    pod["spec"]["volumes"] = [*volumes, *made]
    assert judged(api, pod)["kind"] == "Pod"
    pod["spec"]["hostNetwork"] = True
    with pytest.raises(ApiError, match="violates PodSecurity"):
        judged(api, pod)


@pytest.mark.parametrize("found", pods())
def test_containers_are_hardened_probed_and_limited(found):
    spec = pod_spec(found)
    for container in spec["containers"]:
        security = {**spec.get("securityContext", {}), **container["securityContext"]}
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 65532, "as the images have it"
        assert security["readOnlyRootFilesystem"] is True
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"readinessProbe", "livenessProbe"} <= container.keys()
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("found", objects("Deployment", "StatefulSet"))
def test_only_the_operator_is_given_a_token(found):
    spec = pod_spec(found)
    is_operator = found["metadata"]["name"] == "mooring-operator"
    assert spec.get("serviceAccountName") == ("mooring-operator" if is_operator else None)
    assert spec["automountServiceAccountToken"] is is_operator


@pytest.mark.parametrize("found", objects("ServiceAccount"))
def test_accounts_give_no_token_to_pods_that_do_not_ask(found):
    assert found["automountServiceAccountToken"] is False


def test_every_overlay_is_tested():
    assert {path.parent.name for path in ROOT.glob("manifests/overlays/*/kustomization.yaml")} == set(
        OVERLAYS
    )


def test_scrapers_find_the_ports_that_they_name():
    operator = next(o for o in rendered("kubeflow") if o["kind"] == "Deployment")["spec"]["template"]
    runtime = next(o for o in rendered("kubeflow") if o["kind"] == "ClusterServingRuntime")["spec"]
    found = [one for one in rendered_folder("components/monitoring") if one["kind"] == "PodMonitor"]
    assert len(found) == 3
    elsewhere = revision_of_files(capture={"store": "s3://captured"})
    service = {"apiVersion": "v1", "kind": "InferenceService", "metadata": {"name": "digits", "uid": "u"}}
    collects = collector(Owner("ml", "digits", "u", 1), elsewhere, service, "i", pods=1)[0]["spec"][
        "template"
    ]
    named = set()
    for monitor in (one["spec"] for one in found):
        endpoint, *in_front = monitor["podMetricsEndpoints"]
        assert {one["path"] for one in monitor["podMetricsEndpoints"]} == {"/metrics"}
        if "matchLabels" in monitor["selector"]:
            wanted = monitor["selector"]["matchLabels"].items()
            (pods,) = [pods for pods in (operator, collects) if wanted <= pods["metadata"]["labels"].items()]
            assert endpoint["port"] in {port["name"] for port in pods["spec"]["containers"][0]["ports"]}
            named.add(endpoint["port"])
        else:
            kept = next(rule["regex"] for rule in endpoint["relabelings"] if rule.get("action") == "keep")
            assert kept == runtime["containers"][0]["name"]
            # Of Knative's queue-proxy: v1.UserQueueMetricsPortName.
            assert [one["port"] for one in in_front] == ["http-usermetric"]
    assert named == {"http", "metrics"}


@pytest.mark.parametrize("found", objects("Service"))
def test_services_lead_to_ports_of_pods(found):
    overlay = [o for name in OVERLAYS for o in rendered(name) if o["kind"] in ("Deployment", "StatefulSet")]
    templates = [o["spec"]["template"] for o in overlay]
    wanted = found["spec"]["selector"].items()
    behind = [t for t in templates if wanted <= t["metadata"]["labels"].items()]
    assert behind
    for template in behind:
        ports = {port["name"] for c in template["spec"]["containers"] for port in c["ports"]}
        assert {port["targetPort"] for port in found["spec"]["ports"]} <= ports


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_operator_is_given_settings_that_it_understands(overlay):
    settings = next(
        found
        for found in rendered(overlay)
        if found["kind"] == "ConfigMap" and found["metadata"]["name"].startswith("mooring-settings")
    )
    operator = next(found for found in rendered(overlay) if found["kind"] == "Deployment")
    given = operator["spec"]["template"]["spec"]["containers"][0]["envFrom"]
    named = [source["configMapRef"]["name"] for source in given if "configMapRef" in source]
    assert named == [settings["metadata"]["name"]]
    values = {
        name.removeprefix("MOORING_").lower(): value
        for name, value in settings["data"].items()
        if name.startswith("MOORING_")
    }
    assert {"pipelines", "artifact_root"} <= values.keys() <= Settings.model_fields.keys()
    assert Settings(**values).backend == {"kubeflow": "KFP", "standalone": "Jobs"}[overlay]
    assert Settings(**values).artifact_root == "s3://mooring/artifacts"


@pytest.mark.parametrize("found", objects("ClusterServingRuntime"))
def test_runtime_has_the_shape_that_kserve_expects(found):
    spec = found["spec"]
    assert [container["name"] for container in spec["containers"]] == ["kserve-container"]
    formats = {
        "mooring-inference": {"onnx", "mlflow"},
        "mooring-inference-gpu": {"pytorch", "onnx", "mlflow"},
    }
    assert {entry["name"] for entry in spec["supportedModelFormats"]} == formats[found["metadata"]["name"]]
    assert not [e for e in spec["supportedModelFormats"] if "autoSelect" in e or "priority" in e]
    # KServe's Service has port 80 for the first, and takes one for gRPC by its name; both need one.
    ports = spec["containers"][0]["ports"]
    assert [(port["name"], port["containerPort"]) for port in ports] == [("http", 8080), ("grpc", 8081)]
    assert {"--model_name={{.Name}}", "--model_dir=/mnt/models"} <= set(spec["containers"][0]["args"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_deployments_get_a_runtime_that_is_there_for_their_format(overlay):
    chosen = Settings(default_runtimes=settings_of(overlay)["MOORING_DEFAULT_RUNTIMES"]).default_runtimes
    declared = {
        (entry["name"], found["metadata"]["name"])
        for found in rendered(overlay)
        if found["kind"] == "ClusterServingRuntime"
        for entry in found["spec"]["supportedModelFormats"]
    }
    assert chosen
    assert set(chosen.items()) <= declared


def runtimes_with(component, tmp_path):
    """The runtimes of an overlay that has one more component, by name."""
    lines = {"resources": "overlays/standalone", "components": f"components/{component}"}
    paths = {kind: [os.path.relpath(ROOT / "manifests" / path, tmp_path)] for kind, path in lines.items()}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(paths))
    return {
        o["metadata"]["name"]: o["spec"] for o in kustomized(tmp_path) if o["kind"] == "ClusterServingRuntime"
    }


def test_administrator_can_have_kserve_choose_our_runtime_for_onnx(tmp_path):
    chosen = {
        (name, entry["name"], entry.get("priority"))
        for name, spec in runtimes_with("default-runtime", tmp_path).items()
        for entry in spec["supportedModelFormats"]
        if entry.get("autoSelect")
    }
    # What KServe chooses by itself has to run everywhere: not on GPUs alone.
    assert chosen == {("mooring-inference", "onnx", 2)}


def test_runtimes_for_knative_have_its_one_port(tmp_path):
    for spec in runtimes_with("knative", tmp_path).values():
        assert spec["containers"][0]["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]


def test_policies_need_no_functions_of_newer_api_servers():
    """Of CEL's libraries, those that came after the oldest Kubernetes that docs/install.md allows."""
    newer = re.compile(
        r"\.(flatten|distinct|sort|sortBy|slice|reverse|first|last|transformList|transformMap|transformMapEntry|"
        r"fieldSelector|labelSelector|existsOne)\(|\b(format|semver|isSemver)[.(]|lists\.range"
    )
    assert newer.search("[[1]].flatten()")
    found = [one for one in rendered("standalone") if one["kind"] == "ValidatingAdmissionPolicy"]
    found += [one for one in rendered_folder("components/managed-objects") if "spec" in one]
    for policy in found:
        assert not newer.search(yaml.safe_dump(policy, width=10**6)), policy["metadata"]["name"]


def test_images_are_the_same_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {
        container["image"]
        for overlay in OVERLAYS
        for found in rendered(overlay)
        if found["kind"] in ("Deployment", "StatefulSet", "ClusterServingRuntime")
        for container in pod_spec(found)["containers"]
    }
    built = {
        image
        for role in ROLES
        for image in re.findall(r" -t (\S+[0-9])", (ROOT / role / "Dockerfile").read_text())
    }
    named = {*ROLES, "inference-cuda"}
    # What runs pipelines is in pods that the operator makes.
    assert images | {RunPods.image} == built == {f"localhost/mooring/{name}:{version}" for name in named}
    assert Images().inference == f"localhost/mooring/inference:{version}"
    assert f"localhost/mooring/components:{version}" == COMPONENTS_IMAGE == RunPods.image
    compiled = ROOT / "pipelines" / "mooring_pipelines" / "compiled" / "model-ci.yaml"
    assert set(re.findall(r"image: (\S+)", compiled.read_text())) == {COMPONENTS_IMAGE}


@pytest.mark.parametrize("role", ROLES)
def test_images_are_pinned_verified_and_not_roots(role):
    lines = (ROOT / role / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", base) for base in bases), (
        bases
    )
    fetched = re.findall(r"pip (?:install|wheel|download) ([^&\n]*)", "\n".join(lines))
    # By hash, what builds as well; at the end from what was fetched and built, and from nowhere else.
    assert all("--require-hashes" in line for line in fetched[:2])
    assert "-r requirements/build.txt" in fetched[0]
    assert "--no-build-isolation" in fetched[1]
    assert [line.split()[-4:] for line in fetched[2:]] == [
        ["--disable-pip-version-check", "--no-index", "--no-deps", "/wheels/*.whl"]
    ]
    assert [line for line in lines if line.startswith("USER ")] == ["USER 65532:65532"]
    assert lines.index("USER 65532:65532") > max(i for i, line in enumerate(lines) if line.startswith("FROM"))


def test_operators_image_holds_no_machine_learning_and_no_pipelines_sdk():
    text = (ROOT / "requirements" / "operator.txt").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
    assert {"kopf", "lightkube"} <= names
    assert not names & {
        "torch",
        "pandas",
        "kfp",
        "mlflow",
        "onnxruntime",
        "scikit-learn",
        "kserve",
        "kubernetes",
    }
    for role in ROLES:
        pinned = (ROOT / "requirements" / f"{role}.txt").read_text()
        requirements = len(re.findall(r"^[a-z0-9-]+==", pinned, re.MULTILINE))
        assert 0 < requirements <= len(re.findall(r"--hash=sha256:[0-9a-f]{64}", pinned))


KFP_RIGHTS = "mooring-operator-pipelines"


def test_operator_has_what_kubeflow_pipelines_asks_for(api):
    """In multi-user mode KFP reviews the caller's rights in the run's namespace, by a token for itself alone."""
    for found in rendered("kubeflow"):
        if found["metadata"]["name"] == KFP_RIGHTS:
            api.apply(found)
    asked = [("pipelines", "create"), ("pipelines", "get"), ("pipelines", "list")]
    asked += [("experiments", verb) for verb in ("create", "get", "list")]
    asked += [("runs", verb) for verb in ("create", "get", "terminate")]
    for resource, verb in asked:
        attributes = {
            "namespace": "team",
            "verb": verb,
            "resource": resource,
            "group": "pipelines.kubeflow.org",
        }
        assert reviewed(api, attributes) is True, attributes
    denied = {"namespace": "team", "verb": "delete", "resource": "runs", "group": "pipelines.kubeflow.org"}
    assert reviewed(api, denied) is False
    settings = settings_of("kubeflow")
    operator = next(found for found in rendered("kubeflow") if found["kind"] == "Deployment")
    pod = operator["spec"]["template"]["spec"]
    [token] = [
        source["serviceAccountToken"]
        for volume in pod["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if source.get("serviceAccountToken", {}).get("audience") == "pipelines.kubeflow.org"
    ]
    mount = next(m for m in pod["containers"][0]["volumeMounts"] if m["name"] == "kfp-token")
    assert settings["KF_PIPELINES_SA_TOKEN_PATH"] == f"{mount['mountPath']}/{token['path']}"
    assert settings["MOORING_KFP_MULTI_USER"] == "true"


def reviewed(api, attributes):
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAMESPACE}:mooring-operator",
            "resourceAttributes": attributes,
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return api.request("POST", path, review)["status"]["allowed"]


UNSEEN = {
    # The admission plugin OwnerReferencesPermissionEnforcement asks for it, where a cluster has that.
    Right("mooring.dev", "modeldeployments/finalizers", "update"),
    # The policy of commands asks for them when a DriftMonitor acts.
    *(Right("mooring.dev", "modeldeployments", verb) for verb in ("rollback", "pause", "abort")),
}
"""Rights that no request shows to be needed, each with its reason."""


@pytest.fixture
def account(api, control_plane, tmp_path):
    """A kubeconfig of the operator's ServiceAccount, with the rights and policies of the manifests alone."""
    install(api, "mooring-rights")
    kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    rights = [[found for found in rendered(overlay) if found["kind"] in kinds] for overlay in OVERLAYS]
    # Kubeflow Pipelines asks about its own kinds besides.
    assert rights[1] == [found for found in rights[0] if found["metadata"]["name"] != KFP_RIGHTS]
    for found in rights[1]:
        api.apply(found)
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/mooring-operator/token"
    token = api.request("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    kubeconfig, authority = tmp_path / "kubeconfig", control_plane.files.authority.read_bytes()
    write_kubeconfig(
        kubeconfig, name="operator", server=control_plane.server, token=token, authority=authority
    )
    limited = Api(control_plane.server, token=token, authority=authority)
    with pytest.raises(ApiError, match="cannot list resource"):
        until(lambda: limited.items("/api/v1/secrets"), lambda _: False)
    with policies(api):
        wait_until_in_force(api, "mooring-rights")
        yield kubeconfig


def run_a_test_as_a_job(api, namespace):
    """Two deployments are tested, one after the other; the first test fails, the second is no longer asked for."""
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    models = [Model(api, namespace, name) for name in ("first", "second")]
    gated = {"ci": {"testData": {"uri": "s3://d/test.parquet"}}}
    models[0].apply("v1", spec=gated)
    [job] = until(lambda: api.items(jobs), what="no test is made")
    models[1].apply("v1", spec=gated)
    until(lambda: len(api.items(jobs)) == 2, what="no second test is made")
    assert [found["spec"].get("suspend", False) for found in api.items(jobs)].count(True) == 1
    times = {"startTime": job["metadata"]["creationTimestamp"]}
    failed = {"status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": times["startTime"]}
    ended = {**times, "conditions": [{"type": "FailureTarget", **failed}, {"type": "Failed", **failed}]}
    api.merge(f"{jobs}/{job['metadata']['name']}/status", {"status": ended})
    models[0].reaches("Failed")
    until(lambda: not any(found["spec"].get("suspend") for found in api.items(jobs)), what="nobody is let go")
    models[1].apply("v1")
    models[1].reaches("Promoted")
    until(lambda: len(api.items(jobs)) == 1, what="a test goes on that nobody waits for")


def leave_to_another(api, model):
    """An operator of another namespace works on a deployment, and renews its Lease."""
    elsewhere = {"name": "mooring-operator", "namespace": "mooring-elsewhere"}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": elsewhere}
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere["namespace"]}})
    held = {"holderIdentity": "theirs", "leaseDurationSeconds": 60}
    events = f"/apis/events.k8s.io/v1/namespaces/{model.namespace}/events"

    def told():
        api.apply(
            {**lease, "spec": {**held, "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
        )
        return [event["note"] for event in api.items(events) if event["reason"] == "OtherOperator"]

    told()
    api.merge(f"{model.path}/status", {"status": {"operator": "mooring-elsewhere/mooring-operator"}})
    model.apply("v2")
    [note] = until(told, what="nobody says that another operator works on it")
    assert "its Lease is renewed" in note


@pytest.fixture
def store(s3_store):
    """A store for the operator's artifacts, which the operator finds by its environment."""
    return s3_store


def test_operator_can_do_all_its_work_with_the_rights_that_it_is_given(
    api, account, control_plane, store, tmp_path
):
    rights = {
        "lease_namespace": NAMESPACE,
        "leader_election": "true",
        "pipelines": "Jobs",
        "runs_per_namespace": 1,
        "artifact_root": f"s3://{store.bucket}/artifacts",
    }
    log, namespace = tmp_path / "operator.log", "mooring-rights"
    for kind, plural in PLURALS.items():
        api.apply(definition(kind, {}))
        path = f"/apis/serving.kserve.io/v1alpha1/{plural}"
        until(lambda path=path: api.get(path), what="no runtimes are served")
    model, hopeless = (Model(api, namespace, name) for name in ("m", "hopeless"))
    with KServe(api, namespace) as kserve, Operator(account, log, **rights) as operator:
        kserve.most[storage_uri("hopeless", "v1")] = 0
        hopeless.apply("v1", deadline="2s", spec={"policies": ["probe"]})
        api.apply(manifest("DriftMonitor", namespace, target={"name": "none"}, **COMPARED))
        api.apply(manifest("ModelPolicy", namespace, rules=[{"name": "any", "expression": "true"}]))
        here = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
        api.apply(manifest("ClusterModelPolicy", None, namespaceSelector=here, allowedFormats=["onnx"]))
        api.apply(manifest("AnalysisTemplate", namespace, metrics=[{"metric": "errorRate"}]))
        api.apply(manifest("ClusterAnalysisTemplate", None, metrics=[{"metric": "latency"}]))
        rows = {"schedule": "0 3 * * *", "input": "s3://d/a", "output": "s3://d/b"}
        messages = {"source": "redis://r/in", "sink": "redis://r/out"}
        budget = {"podDisruptionBudget": {"minAvailable": 1}}
        model.apply("v1", spec={"batch": rows, "stream": messages}, **budget)
        first = model.reaches("Promoted", "v1")["stable"]["revision"]
        scoring = f"/apis/batch/v1/namespaces/{namespace}/cronjobs/m-batch"
        answering = f"/apis/apps/v1/namespaces/{namespace}/deployments/m-stream"
        until(lambda: api.get(scoring) and api.get(answering), what="nothing scores and answers")
        keeping = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/m-disruption-budget"
        assert until(lambda: api.get(keeping))["spec"]["minAvailable"] == 1
        # What was made is written anew when the spec asks for something else.
        rows, messages = {**rows, "schedule": "0 4 * * *"}, {**messages, "replicas": 2}
        model.apply("v1", spec={"batch": rows, "stream": messages}, podDisruptionBudget={"minAvailable": 2})
        until(lambda: api.get(scoring)["spec"]["schedule"] == "0 4 * * *")
        until(lambda: api.get(answering)["spec"]["replicas"] == 2)
        until(lambda: api.get(keeping)["spec"]["minAvailable"] == 2)
        model.apply("v2", steps=[{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}])
        until(lambda: not api.get(scoring) and not api.get(answering), what="what is not asked for stays")
        until(lambda: not api.get(keeping), what="the budget that is not asked for stays")
        model.command("approve", model.reaches("AwaitingApproval", weight=10)["candidate"]["revision"])
        model.reaches("Promoted", "v2")
        model.reported(
            "Deploying", "Promoted", "SettingWeight", "AwaitingApproval", "Approved", "SettingWeight",
            "Promoting", "Promoted",
        )  # fmt: skip
        left = (
            f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/m-r{first[:8]}-predictor"
        )
        until(lambda: api.get(left) is None, what="the autoscaler that was left behind is still there")
        until(lambda: "mooring.dev/approve" not in model.resource["metadata"].get("annotations", {}))
        hopeless.reaches("Failed")
        until(lambda: hopeless.service is None, what="the service of the failed revision is still there")
        leave_to_another(api, hopeless)
        watched = f"/apis/mooring.dev/v1alpha1/namespaces/{namespace}/driftmonitors/probe"
        until(lambda: api.get(watched).get("status"), what="nothing is said of the monitor")
        run_a_test_as_a_job(api, namespace)
        for policy in (
            f"namespaces/{namespace}/modelpolicies",
            "clustermodelpolicies",
            f"namespaces/{namespace}/analysistemplates",
            "clusteranalysistemplates",
        ):
            path = f"/apis/mooring.dev/v1alpha1/{policy}/probe"
            until(
                lambda path=path: "conditions" in api.get(path)["status"], what=f"nothing is said of {path}"
            )
        bound = {condition["type"]: condition for condition in model.resource["status"]["conditions"]}
        assert bound["PoliciesMet"]["status"] == "True"
        api.request("DELETE", "/apis/mooring.dev/v1alpha1/clustermodelpolicies/probe")
        api.request("DELETE", "/apis/mooring.dev/v1alpha1/clusteranalysistemplates/probe")
        requests = operator.requests()
    done = {(verb, resource) for verb, resource, code in requests if code in ("200", "201")}
    assert {("delete", "horizontalpodautoscalers"), ("delete", "inferenceservices")} <= done
    assert {("delete", "cronjobs"), ("delete", "deployments")} <= done
    assert not {request: count for request, count in requests.items() if request[2] in ("401", "403")}

    def asked():
        return asked_for(control_plane.files.audit, f"{NAMESPACE}:mooring-operator")

    define_gateways(api)
    # One that is told its namespaces looks for those.
    watches = {Right("", "namespaces", "watch"), Right("gateway.networking.k8s.io", "httproutes", "watch")}
    with Operator(account, tmp_path / "some.log", namespaces=namespace, **rights):
        until(lambda: watches <= asked().keys())
    asyncio.run(serve_each_revision(account, control_plane.kubeconfig))
    # The one is what the fixture tried.
    forbidden = {right for right, decisions in asked().items() if "forbid" in decisions}
    # Another test asks for what component pod-counters allows, before and after it does.
    forbidden -= {Right("", "pods/proxy", "get")}
    assert forbidden == {Right("", "secrets", "list")}
    roles = [o for o in rendered("standalone") if o["kind"] in ("ClusterRole", "Role")]
    allowed = granted(role for role in roles if role["metadata"]["name"] == "mooring-operator")
    assert allowed - asked().keys() == UNSEEN, "rights that are not needed"


async def serve_each_revision(account, administrator):
    """Do all that routers do which serve each revision by itself; who plays what surrounds them has more rights."""
    own, theirs = (Connection(load_config(Path(path))) for path in (account, administrator))
    cluster, others = KubernetesCluster(own), KubernetesCluster(theirs)
    gateway = PlayedGateway(others, "mooring-rights", "by-route")
    try:
        await gateway.open()
        owner, model = Owner("mooring-rights", "asks", "u", 1), ModelSpec(uri="s3://m/v1", format="onnx")
        found = await ServingRuntimes(cluster).find(owner, model, Named("none"))
        assert isinstance(found, NoRuntime)
        entrance, writer = (
            Entrance("front", "gateways", "m.example.com"),
            RouteWriter(cluster, pause=0, patience=0),
        )
        by_route = GatewayRouter(cluster, entrance, "front.gateways.svc.cluster.local", writer)
        await roll_out(by_route, gateway, others, "by-route")
        routers = Routers(cluster, DefaultGateway("front", "gateways"))
        owner = Owner("mooring-rights", "by-route", "9a1f2f6e-0000-4000-8000-000000000001", 1)
        copying = spec_of("v1", rollout={"strategy": "Shadow"})
        assert (await routers.traits(owner, copying, "Gateway")).lacking
        by_pods = PlayedRevisions(others, "mooring-rights", "by-pods")
        await roll_out(EndpointsRouter(cluster), by_pods, others, "by-pods")
        await serve_by_knative(cluster, others)
    finally:
        await own.close()
        await theirs.close()


async def serve_by_knative(cluster, others):
    """Bring up a revision with the router that asks which one Knative made last."""
    owner = Owner("mooring-rights", "by-knative", "9a1f2f6e-0000-4000-8000-000000000001", 1)
    traffic, played = KnativeRouter(cluster), PlayedKServe(others, owner.namespace, owner.name)
    only = revision_of_files("aaaabbbbcc", "v1", mode="Knative")
    await traffic.route(owner, Routing((Arm(only, 100),)), None)
    await played.act()
    seen = await traffic.observe(owner, [only])
    assert seen.variants[only.revision].ready
    await traffic.remove(owner, seen)


async def roll_out(traffic, played, others, name):
    """Bring up two revisions, the first late, move the traffic from one to the other, and end it all."""
    owner = Owner("mooring-rights", name, "9a1f2f6e-0000-4000-8000-000000000001", 1)
    runtime = PinnedRuntime(kind="ClusterServingRuntime", name="r", spec={"containers": []})
    first, second = (
        revision_of_files(name=text, model=model, capture={"store": "s3://captured"}).model_copy(
            update={"runtime": runtime}
        )
        for text, model in (("aaaabbbbcc", "v1"), ("ddddeeeeff", "v2"))
    )

    async def route(*arms, **how):
        seen = await traffic.observe(owner, [first, second])
        await traffic.route(owner, Routing(arms, **how), seen)
        await played.act()

    played.starts = lambda uri: False
    for _ in range(2):
        await route(Arm(first, 100))
    about = ("serving.kserve.io/v1beta1", "InferenceService", owner.namespace, f"{name}-raaaabbbb", "u")
    await others.emit(Event(*about, "Warning", "InternalError", "out of luck"))
    async with asyncio.timeout(30):
        # Why it is not ready is asked after two seconds.
        while (await traffic.observe(owner, [first])).variants[first.revision].message == "":
            await asyncio.sleep(0.1)
    played.starts = lambda uri: True
    # What somebody strips by hand is put back.
    copied = await others.get(Ref(SERVING_RUNTIME, owner.namespace, name_of(owner, first)))
    await others.change(copied, {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})
    await route(Arm(first, 100), Arm(second, 0, 1))
    await route(Arm(first, 50, 2), Arm(second, 50, 2))
    for _ in range(2):
        await route(Arm(second, 100), ended=True)
    await traffic.remove(owner, await traffic.observe(owner, [second]))


@pytest.mark.parametrize("given", ["rollback", "pause", "abort"])
async def test_operator_may_ask_for_what_monitors_do_and_take_commands_away_and_no_more(api, account, given):
    """With the rights of the manifests and under their policies, by the calls that it makes."""
    api.delete(Model(api, "mooring-rights", "iris").path)
    iris = Model(api, "mooring-rights", "iris")
    iris.apply("v1")
    iris.command("approve", "r")
    connection = Connection(load_config(account))
    cluster = KubernetesCluster(connection)
    try:
        assert await cluster.user() == OPERATOR
        asked = {f"mooring.dev/{given}": "r drifted", f"mooring.dev/{given}-by": OPERATOR}
        ref = Ref(MODEL_DEPLOYMENT, "mooring-rights", "iris")
        await cluster.set_annotations(await cluster.get(ref), asked)
        resource = await cluster.get(ref)
        for command in ("approve", given):
            value = resource["metadata"]["annotations"][f"mooring.dev/{command}"]
            along = [f"mooring.dev/{command}-by"]
            await cluster.remove_annotation(resource, f"mooring.dev/{command}", value, along=along)
        assert "annotations" not in (await cluster.get(ref))["metadata"]
        for refused in (
            {"mooring.dev/promote": "r", "mooring.dev/promote-by": OPERATOR},
            {"example.com/x": "y"},
        ):
            with pytest.raises(Refused, match=re.escape(OPERATOR)):
                await cluster.set_annotations(resource, refused)
    finally:
        await connection.close()
    api.delete(iris.path)
