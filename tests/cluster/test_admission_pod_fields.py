"""Fields that lend something to pods: who may name what, on a real API server with real roles."""

import json
import re
from dataclasses import dataclass, field

import pytest
from mooring_operator.api.crds import RESOURCES, custom_resource_definition

from tests.cluster.people import (
    ARGO,
    ROOT,
    Thing,
    install_people,
    outcome,
    policies,
    rendered,
    wait_until_allowed,
    wait_until_refused,
)
from tests.kustomized import kustomized

BARE, LISTED = "mooring-bare", "mooring-listed"
"""Namespaces: an administrator's profile lists nothing for the first."""

DEPLOYMENT = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "iris"},
    "spec": {"model": {"uri": "s3://m/iris/1", "format": "onnx"}},
}
MONITOR = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "DriftMonitor",
    "metadata": {"name": "iris"},
    "spec": {
        "target": {"name": "iris"},
        "baseline": {"uri": "s3://d/a.parquet"},
        "window": {"uri": "s3://d/b/"},
    },
}
TEMPLATE = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "house"},
    "spec": {"metrics": [{"metric": "errorRate"}]},
}
PROFILE = {
    f"{LISTED}.serviceAccounts": ["models", "readers-*"],
    f"{LISTED}.secrets": ["buckets", "queues", "storage-config/models"],
    f"{LISTED}.claims": ["models"],
    f"{LISTED}.images": [
        f"{scheme}://registry.example.com/team/*" for scheme in ("oci", "oci+native", "oci+fetch")
    ],
    f"{LISTED}.runtimes": ["triton"],
    f"{LISTED}.env": [
        "OMP_NUM_THREADS=*",
        "TZ=UTC",
        "TOKEN=secretKeyRef:*",
        "MODE=configMapKeyRef:modes/*",
        "POD=fieldRef:metadata.name",
        "S3_*=secretRef:buckets",
        "C_*=*",
    ],
    f"{LISTED}.args": ["--max-model-len=*"],
    f"{LISTED}.configMaps": ["modes"],
    f"{LISTED}.labels": ["team=*"],
    f"{LISTED}.annotations": ["example.com/why=*"],
    f"{LISTED}.priorityClasses": ["models-*"],
    f"{LISTED}.templates": ["template", "transformer"],
    f"{LISTED}.loggers": ["http://log/*"],
    f"{LISTED}.captures": ["s3://captured/team-a*"],
    f"{LISTED}.jobs": ["registry.example.com/team/*", "k6:1 ARGS run smoke.js"],
    f"{LISTED}.webhooks": ["https://gates.example.com/*"],
    f"{LISTED}.nodeSelector": ["gpu=l4", "zone=*"],
    f"{LISTED}.tolerations": ["gpu:NoSchedule", "pool=models:NoSchedule"],
    f"{LISTED}.affinity": ["podAntiAffinity"],
    f"{LISTED}.prometheus": ["http://prometheus.monitoring/*"],
    # For every namespace.
    "runtimes": ["shared-*", ""],
    "nodeSelector": ["pool=models"],
    # Of a namespace whose name begins alike.
    f"{LISTED}-2.serviceAccounts": ["payments"],
}


def serving(**fields):
    return {"spec": {"serving": fields}}


def prometheus(address):
    scaling = {"scaler": "KEDA", "metric": "prometheus", "target": 5}
    return serving(autoscaling={**scaling, "prometheus": {"address": address, "query": "up"}})


def toleration(**fields):
    return serving(tolerations=[fields])


def affinity(kind, weight=1):
    term = {"weight": weight, "podAffinityTerm": {"topologyKey": "zone"}}
    return serving(affinity={kind: {"preferredDuringSchedulingIgnoredDuringExecution": [term]}})


def model(uri):
    return {"spec": {"model": {"uri": uri}}}


def batch(**fields):
    return {"spec": {"batch": {"schedule": "0 3 * * *", "input": "s3://d/a", "output": "s3://d/b", **fields}}}


def ci(**fields):
    return {"spec": {"ci": {"testData": {"uri": "s3://d/test.parquet"}, **fields}}}


def stream(**fields):
    return {"spec": {"stream": {"source": "redis://r/in", "sink": "redis://r/out", **fields}}}


def step(**fields):
    return {"spec": {"rollout": {"steps": [fields, {"setWeight": 100}]}}}


def job(image="registry.example.com/team/smoke:1", **fields):
    return step(job={"image": image, **fields})


def queries(image="registry.example.com/team/smoke:1", **fields):
    return {"spec": {"queries": [{"name": "smoke", "job": {"image": image, **fields}}]}}


def datadog(secret):
    asked = {"query": "avg:a{*}", "credentialsSecret": secret}
    return {"spec": {"queries": [{"name": "a", "datadog": asked, "successCondition": "result < 1.0"}]}}


def agreement(**fields):
    return {"spec": {"agreements": [{"name": "a", **fields}]}}


def cloud_watch(**fields):
    asked = {"region": "eu-central-1", "queries": [{"id": "a", "expression": "b"}], **fields}
    return {"spec": {"queries": [{"name": "a", "cloudWatch": asked, "successCondition": "result < 1.0"}]}}


def pipeline(**fields):
    return {"spec": {"queries": [{"name": "a", "pipeline": {"name": "golden", **fields}}]}}


def webhook(url="https://gates.example.com/go", **fields):
    return step(webhook={"url": url, **fields})


def retrain(image="registry.example.com/team/train:1", **fields):
    return {"spec": {"retrain": {"image": image, "output": "s3://team-a/models", **fields}}}


def notify(**fields):
    return {"spec": {"notify": [fields]}}


RUN = {"containers": [{"name": "a", "image": "b"}]}


def key_of(name):
    return {"name": name, "key": "k"}


def variable(name, **source):
    return {"env": [{"name": name, "valueFrom": source}]}


def metrics(address):
    query = {"metric": "prometheus", "target": 5, "prometheus": {"address": address, "query": "up"}}
    return {"autoscaling": {"scaler": "KEDA", "metrics": [query]}}


@dataclass(frozen=True)
class Field:
    """A field, the key that lists its values, patches with a value that is listed and with one that is not."""

    path: str
    key: str
    listed: dict
    unlisted: dict
    kind: dict = field(default_factory=lambda: DEPLOYMENT)


FIELDS = [
    Field(
        "spec.serving.serviceAccountName",
        "serviceAccounts",
        serving(serviceAccountName="readers-eu"),
        serving(serviceAccountName="payments"),
    ),
    Field("spec.serving.runtime", "runtimes", serving(runtime="triton"), serving(runtime="triton-2")),
    Field(
        "spec.serving.nodeSelector",
        "nodeSelector",
        serving(nodeSelector={"gpu": "l4", "zone": "a"}),
        serving(nodeSelector={"gpu": "l4", "node-role.kubernetes.io/control-plane": ""}),
    ),
    Field(
        "spec.serving.tolerations",
        "tolerations",
        toleration(key="pool", value="models", effect="NoSchedule"),
        toleration(key="pool", value="models"),
    ),
    Field(
        "spec.serving.tolerations",
        "tolerations",
        toleration(key="gpu", operator="Exists", effect="NoSchedule"),
        toleration(operator="Exists"),
    ),
    Field("spec.serving.affinity", "affinity", affinity("podAntiAffinity"), affinity("podAffinity")),
    Field(
        "spec.serving.env",
        "env",
        serving(env=[{"name": "OMP_NUM_THREADS", "value": "4"}, {"name": "TZ", "value": "UTC"}]),
        serving(
            env=[{"name": "OMP_NUM_THREADS", "value": "4"}, {"name": "PYTHONPATH", "value": "/mnt/models"}]
        ),
    ),
    *(
        Field(path, key, serving(**listed), serving(**unlisted))
        for path, key, listed, unlisted in [
            (
                "spec.serving.env",
                "secrets",
                variable("TOKEN", secretKeyRef=key_of("buckets")),
                variable("TOKEN", secretKeyRef=key_of("payments")),
            ),
            (
                "spec.serving.env",
                "configMaps",
                variable("MODE", configMapKeyRef=key_of("modes")),
                variable("MODE", configMapKeyRef=key_of("payments")),
            ),
            # A variable's name is one thing, and what is in it another.
            (
                "spec.serving.env",
                "env",
                variable("TOKEN", secretKeyRef=key_of("buckets")),
                variable("LD_PRELOAD", secretKeyRef=key_of("buckets")),
            ),
            (
                "spec.serving.env",
                "env",
                variable("POD", fieldRef={"fieldPath": "metadata.name"}),
                variable("POD", fieldRef={"fieldPath": "spec.nodeName"}),
            ),
            (
                "spec.serving.envFrom",
                "secrets",
                {"envFrom": [{"prefix": "S3_", "secretRef": {"name": "buckets"}}]},
                {"envFrom": [{"prefix": "C_", "secretRef": {"name": "payments"}}]},
            ),
            (
                "spec.serving.envFrom",
                "configMaps",
                {"envFrom": [{"prefix": "C_", "configMapRef": {"name": "modes"}}]},
                {"envFrom": [{"prefix": "C_", "configMapRef": {"name": "payments"}}]},
            ),
            (
                "spec.serving.envFrom",
                "env",
                {"envFrom": [{"prefix": "S3_", "secretRef": {"name": "buckets"}}]},
                {"envFrom": [{"secretRef": {"name": "buckets"}}]},
            ),
            (
                "spec.serving.args",
                "args",
                {"args": ["--max-model-len=4096"]},
                {"args": ["--trust-remote-code"]},
            ),
            (
                "spec.serving.labels",
                "labels",
                {"labels": {"team": "a"}},
                {"labels": {"role": "db"}},
            ),
            (
                "spec.serving.annotations",
                "annotations",
                {"annotations": {"example.com/why": "a b"}},
                {"annotations": {"k8s.v1.cni.cncf.io/networks": "storage"}},
            ),
            (
                "spec.serving.imagePullSecrets",
                "secrets",
                {"imagePullSecrets": [{"name": "buckets"}]},
                {"imagePullSecrets": [{"name": "payments"}]},
            ),
            (
                "spec.serving.priorityClassName",
                "priorityClasses",
                {"priorityClassName": "models-high"},
                {"priorityClassName": "system-node-critical"},
            ),
            (
                "spec.serving.storage.key",
                "secrets",
                {"storage": {"key": "models"}},
                {"storage": {"key": "payments"}},
            ),
            (
                "spec.serving.logger.url",
                "loggers",
                {"logger": {"url": "http://log/"}},
                {"logger": {"url": "http://169.254.169.254/"}},
            ),
            (
                "spec.serving.capture.store",
                "captures",
                {"capture": {"store": "s3://captured/team-a"}},
                {"capture": {"store": "s3://captured/team-b"}},
            ),
            (
                "spec.serving.autoscaling.metrics.prometheus.address",
                "prometheus",
                metrics("http://prometheus.monitoring/"),
                metrics("http://169.254.169.254/"),
            ),
        ]
    ),
    Field(
        "spec.serving.autoscaling.prometheus.address",
        "prometheus",
        prometheus("http://prometheus.monitoring/"),
        prometheus("http://169.254.169.254/"),
    ),
    Field("spec.model.uri", "claims", model("pvc://models/iris/1"), model("pvc://payments/iris/1")),
    Field("spec.model.uri", "claims", model("pvc:/models/iris/1"), model("pvc:///payments")),
    Field(
        "spec.model.uri",
        "images",
        model("oci://registry.example.com/team/iris:1"),
        model("oci://registry.example.com/other:1"),
    ),
    # KServe's other ways to take a model out of an image.
    *(
        Field(
            "spec.model.uri",
            "images",
            model(f"{scheme}://registry.example.com/team/iris:1"),
            model(f"{scheme}://registry.example.com/other:1"),
        )
        for scheme in ("oci+native", "oci+fetch")
    ),
    Field(
        "spec.ci.testData.uri",
        "claims",
        {"spec": {"ci": {"testData": {"uri": "pvc://models/test.parquet"}}}},
        {"spec": {"ci": {"testData": {"uri": "pvc://payments/test.parquet"}}}},
    ),
    Field(
        "spec.batch.credentialsSecret",
        "secrets",
        batch(credentialsSecret="buckets"),
        batch(credentialsSecret="payments"),
    ),
    Field(
        "spec.stream.credentialsSecret",
        "secrets",
        stream(credentialsSecret="queues"),
        stream(credentialsSecret="payments"),
    ),
    Field(
        "spec.ci.serviceAccountName",
        "serviceAccounts",
        ci(serviceAccountName="models"),
        ci(serviceAccountName="payments"),
    ),
    Field(
        "spec.ci.credentialsSecret",
        "secrets",
        ci(credentialsSecret="buckets"),
        ci(credentialsSecret="payments"),
    ),
    Field("spec.rollout.steps.job", "jobs", job(), job("registry.example.com/other/smoke:1")),
    Field(
        "spec.rollout.steps.job",
        "jobs",
        job("k6:1", args=["run", "smoke.js"]),
        job("k6:1", command=["run", "smoke.js"]),
    ),
    Field("spec.rollout.steps.job", "jobs", job("k6:1", args=["run smoke.js"]), job("k6:1")),
    Field(
        "spec.rollout.steps.job.serviceAccountName",
        "serviceAccounts",
        job(serviceAccountName="models"),
        job(serviceAccountName="payments"),
    ),
    Field(
        "spec.rollout.steps.job.credentialsSecret",
        "secrets",
        job(credentialsSecret="buckets"),
        job(credentialsSecret="payments"),
    ),
    Field("spec.queries.job", "jobs", queries(), queries("registry.example.com/other/smoke:1"), TEMPLATE),
    Field("spec.queries.job", "jobs", queries("k6:1", args=["run smoke.js"]), queries("k6:1"), TEMPLATE),
    Field(
        "spec.queries.job.serviceAccountName",
        "serviceAccounts",
        queries(serviceAccountName="models"),
        queries(serviceAccountName="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.queries.job.credentialsSecret",
        "secrets",
        queries(credentialsSecret="buckets"),
        queries(credentialsSecret="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.queries.datadog.credentialsSecret",
        "secrets",
        datadog("buckets"),
        datadog("payments"),
        TEMPLATE,
    ),
    Field(
        "spec.queries.cloudWatch.credentialsSecret",
        "secrets",
        cloud_watch(credentialsSecret="buckets"),
        cloud_watch(credentialsSecret="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.queries.cloudWatch.serviceAccountName",
        "serviceAccounts",
        cloud_watch(serviceAccountName="models"),
        cloud_watch(serviceAccountName="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.agreements.credentialsSecret",
        "secrets",
        agreement(credentialsSecret="buckets"),
        agreement(credentialsSecret="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.agreements.serviceAccountName",
        "serviceAccounts",
        agreement(serviceAccountName="models"),
        agreement(serviceAccountName="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.queries.pipeline.credentialsSecret",
        "secrets",
        pipeline(credentialsSecret="buckets"),
        pipeline(credentialsSecret="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.queries.pipeline.serviceAccountName",
        "serviceAccounts",
        pipeline(serviceAccountName="models"),
        pipeline(serviceAccountName="payments"),
        TEMPLATE,
    ),
    Field(
        "spec.rollout.steps.webhook.headersSecret",
        "secrets",
        webhook(headersSecret="buckets"),
        webhook(headersSecret="payments"),
    ),
    Field(
        "spec.rollout.steps.webhook.url",
        "webhooks",
        webhook(),
        webhook("http://payments.team-b.svc/pay"),
    ),
    Field(
        "spec.serviceAccountName",
        "serviceAccounts",
        {"spec": {"serviceAccountName": "models"}},
        {"spec": {"serviceAccountName": "payments"}},
        MONITOR,
    ),
    Field(
        "spec.credentialsSecret",
        "secrets",
        {"spec": {"credentialsSecret": "buckets"}},
        {"spec": {"credentialsSecret": "payments"}},
        MONITOR,
    ),
    Field(
        "spec.baseline.uri",
        "claims",
        {"spec": {"baseline": {"uri": "pvc://models/a"}}},
        {"spec": {"baseline": {"uri": "pvc://payments/a"}}},
        MONITOR,
    ),
    Field(
        "spec.window.uri",
        "claims",
        {"spec": {"window": {"uri": "pvc://models/a"}}},
        {"spec": {"window": {"uri": "pvc://payments/a"}}},
        MONITOR,
    ),
    *(
        Field(
            f"spec.performance.{rows}.uri",
            "claims",
            {"spec": {"performance": {rows: {"uri": "pvc://models/a"}}}},
            {"spec": {"performance": {rows: {"uri": "pvc://payments/a"}}}},
            MONITOR,
        )
        for rows in ("labels", "baseline")
    ),
    Field(
        "spec.retrain.image",
        "jobs",
        retrain(),
        retrain("registry.example.com/other/train:1"),
        MONITOR,
    ),
    Field(
        "spec.retrain.image",
        "jobs",
        retrain("k6:1", args=["run", "smoke.js"]),
        retrain("k6:1", command=["run", "smoke.js"]),
        MONITOR,
    ),
    Field(
        "spec.retrain.serviceAccountName",
        "serviceAccounts",
        retrain(serviceAccountName="models"),
        retrain(serviceAccountName="payments"),
        MONITOR,
    ),
    Field(
        "spec.retrain.credentialsSecret",
        "secrets",
        retrain(credentialsSecret="buckets"),
        retrain(credentialsSecret="payments"),
        MONITOR,
    ),
    Field(
        "spec.notify.url",
        "webhooks",
        notify(url="https://gates.example.com/drift"),
        notify(url="http://payments.team-b.svc/pay"),
        MONITOR,
    ),
    Field(
        "spec.notify.urlSecret",
        "secrets",
        notify(format="Slack", urlSecret={"name": "queues", "key": "url"}),
        notify(format="Slack", urlSecret={"name": "payments", "key": "url"}),
        MONITOR,
    ),
    Field(
        "spec.notify.headersSecret",
        "secrets",
        notify(url="https://gates.example.com/drift", headersSecret="buckets"),
        notify(url="https://gates.example.com/drift", headersSecret="payments"),
        MONITOR,
    ),
]


@pytest.fixture(scope="module")
def api(control_plane):
    """The administrator's client; the policies are in force, with the profile."""
    api = control_plane.api
    install_people(api, BARE, LISTED)
    things = [Thing(api, namespace, DEPLOYMENT) for namespace in (BARE, LISTED)]
    payments, models = (serving(serviceAccountName=name) for name in ("payments", "models"))
    with policies(api, profile=PROFILE):
        for thing in things:
            wait_until_refused(
                lambda thing=thing: thing.create("alice", payments, dry=True), "may not create pods"
            )
            wait_until_allowed(lambda thing=thing: thing.create("frank", payments, dry=True))
        wait_until_allowed(lambda: things[1].create("alice", models, dry=True))
        yield api
        for kind in (DEPLOYMENT, MONITOR, TEMPLATE):
            for namespace in (BARE, LISTED):
                api.delete(Thing(api, namespace, kind).path)
    wait_until_allowed(lambda: things[0].create("alice", payments, dry=True))


def refusal(field, namespace):
    return f"{field.path}: alice may not create pods in namespace {namespace}, and the profile does not list "


@pytest.mark.parametrize("way", ["create", "merge", "json", "apply", "update"])
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.path}-{field.key}")
def test_who_may_name_what(api, field, way):
    def attempt(who, namespace, patch):
        thing = Thing(api, namespace, field.kind)
        if way == "create":
            return outcome(lambda: thing.create(who, patch))
        thing.start_from()
        return outcome(lambda: thing.change(who, patch, way=way))

    for patch in (field.listed, field.unlisted):
        assert refusal(field, BARE) in attempt("alice", BARE, patch)
        for who in ("frank", ARGO):
            assert attempt(who, BARE, patch) == ""
    assert attempt("alice", LISTED, field.listed) == ""
    assert refusal(field, LISTED) in attempt("alice", LISTED, field.unlisted)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: f"{field.path}-{field.key}")
def test_what_is_there_already_hinders_nobody_in_changing_something_else(api, field):
    thing = Thing(api, BARE, field.kind)
    thing.start_from(spec=field.unlisted["spec"])
    elsewhere = {"metadata": {"labels": {"a": "b"}}, "spec": {"historyLimit": 2}}
    for way in ("merge", "json", "update"):
        assert outcome(lambda way=way: thing.change("alice", elsewhere, way=way)) == ""
    # Another value of the same field is named anew, and what is gone does not come back.
    assert refusal(field, BARE) in outcome(lambda: thing.change("alice", field.listed))
    thing.start_from()
    assert refusal(field, BARE) in outcome(lambda: thing.change("alice", field.unlisted))


def test_a_field_may_be_given_up(api):
    thing = Thing(api, BARE, DEPLOYMENT)
    thing.start_from(spec=serving(serviceAccountName="payments", env=[{"name": "A", "value": "1"}])["spec"])
    assert outcome(lambda: thing.change("alice", serving(serviceAccountName=None, env=[]))) == ""


def test_one_more_among_many_is_noticed(api):
    thing = Thing(api, BARE, DEPLOYMENT)
    env = [{"name": f"A{number}", "value": "1"} for number in range(63)]
    thing.start_from(spec=serving(env=env)["spec"])
    more = serving(env=[*env, {"name": "LD_PRELOAD", "value": "/mnt/models/x.so"}])
    assert "does not list LD_PRELOAD=/mnt/models/x.so" in outcome(lambda: thing.change("alice", more))
    other = serving(env=[*env[1:], {"name": "A0", "value": "2"}])
    assert "does not list A0=2" in outcome(lambda: thing.change("alice", other))
    assert outcome(lambda: thing.change("alice", serving(env=env[::-1]))) == ""


def test_a_value_of_several_lines_is_refused_in_one(api):
    thing = Thing(api, BARE, DEPLOYMENT)
    said = outcome(lambda: thing.create("alice", serving(env=[{"name": "A", "value": "1\n2"}])))
    assert said.endswith(
        "a field that lends something to pods needs the right to create pods, or a line in the profile"
    )


def test_another_affinity_of_the_same_kind_is_named_anew(api):
    thing = Thing(api, BARE, DEPLOYMENT)
    thing.start_from(spec=affinity("podAffinity")["spec"])
    assert "spec.serving.affinity" in outcome(lambda: thing.change("alice", affinity("podAffinity", 2)))
    assert outcome(lambda: thing.change("alice", affinity("podAffinity"))) == ""


@pytest.mark.parametrize("field", ["template", "transformer", "explainer"])
def test_a_pod_is_for_those_who_may_make_one(api, field):
    first, second = ({field: {**RUN, "hostNetwork": given}} for given in (False, True))
    says = f"spec.serving.{field}: alice may not create pods"
    thing = Thing(api, BARE, DEPLOYMENT)
    assert says in outcome(lambda: thing.create("alice", serving(**first)))
    assert outcome(lambda: thing.create("frank", serving(**first))) == ""
    assert outcome(lambda: thing.change("alice", {"spec": {"historyLimit": 2}})) == ""
    assert says in outcome(lambda: thing.change("alice", serving(**second)))
    assert outcome(lambda: thing.change("alice", serving(**{field: None}))) == ""
    listed = outcome(lambda: Thing(api, LISTED, DEPLOYMENT).create("alice", serving(**second)))
    assert (listed == "") == (field != "explainer")


def test_a_budget_that_holds_up_nodes_is_for_those_who_may_make_pods(api):
    budget = serving(podDisruptionBudget={"maxUnavailable": 0})
    thing = Thing(api, BARE, DEPLOYMENT)
    assert "spec.serving.podDisruptionBudget: alice" in outcome(lambda: thing.create("alice", budget))
    assert outcome(lambda: thing.create("frank", budget)) == ""
    assert outcome(lambda: thing.change("alice", {"spec": {"historyLimit": 2}})) == ""


def test_moorings_own_runtimes_and_what_is_listed_for_all_are_for_everybody(api):
    thing = Thing(api, BARE, DEPLOYMENT)
    for name in ("mooring-inference", "mooring-inference-gpu", "shared-triton"):
        assert outcome(lambda name=name: thing.create("alice", serving(runtime=name))) == ""
    assert outcome(lambda: thing.create("alice", serving(nodeSelector={"pool": "models"}))) == ""
    assert "spec.serving.runtime" in outcome(
        lambda: thing.create("alice", serving(runtime="mooring-inference-2"))
    )


def test_what_lends_nothing_is_free(api):
    thing = Thing(api, BARE, DEPLOYMENT)
    for uri in ("s3://m/v2", "models:/iris@champion", "https://e/pvc://x", "hf://oci/x"):
        assert outcome(lambda uri=uri: thing.create("alice", model(uri))) == ""


def test_the_largest_deployment_is_judged_within_the_api_servers_budget(api):
    names = [f"{number:02}" for number in range(64)]
    most = serving(
        env=[{"name": f"A{name}", "value": "x" * 170} for name in names],
        nodeSelector={f"{'a' * 180}.{name}/{'b' * 63}": "c" * 63 for name in names[:32]},
        tolerations=[{"key": f"{'a' * 180}.{name}/{'b' * 63}", "operator": "Exists"} for name in names[:32]],
        args=["x" * 400] * 64,
        labels={f"{'a' * 180}.{name}/{'b' * 63}": "c" * 63 for name in names[:16]},
        annotations={f"{'a' * 180}.{name}/{'b' * 63}": "c" * 1024 for name in names[:16]},
        envFrom=[{"secretRef": {"name": f"s{name}"}} for name in names[:16]],
    )
    thing = Thing(api, LISTED, DEPLOYMENT)
    said = outcome(lambda: thing.create("alice", most))
    assert "may not create pods" in said, said
    assert outcome(lambda: thing.create("frank", most)) == ""
    assert outcome(lambda: thing.change("alice", {"spec": {"historyLimit": 2}})) == ""


def test_an_overlay_writes_the_profile(tmp_path, api):
    """As docs/security.md shows it."""
    page = (ROOT / "docs" / "security.md").read_text()
    shown = re.search(r"```yaml\n(# overlay.*?)```", page, re.DOTALL)[1]
    overlay = tmp_path / "overlay" / "kustomization.yaml"
    overlay.parent.mkdir()
    (tmp_path / "admission").symlink_to(ROOT / "manifests" / "admission")
    overlay.write_text(shown.replace("../standalone", "../admission"))
    made = kustomized(overlay.parent, "--load-restrictor=LoadRestrictionsNone")
    for one in made:
        if one["metadata"]["name"] == "pod-fields.mooring.dev":
            api.request(
                "PATCH",
                f"{api.path(one)}?dryRun=All&fieldManager=tests&force=true",
                json.dumps(one).encode(),
                content="application/apply-patch+yaml",
            )
    profile = next(one for one in made if one["metadata"]["name"] == "pod-fields.mooring.dev")
    assert "team-a.serviceAccounts" in profile["spec"]["variables"][0]["expression"]


def test_every_field_that_lends_something_to_pods_is_in_the_policy():
    """A field that is added to a resource later, under one of these names, is not to be forgotten."""
    lending = re.compile(
        r"(serviceAccountName|credentialsSecret|runtime|nodeSelector|tolerations|affinity|env|image|volumes?|uri)$"
        r"|[sS]ecret|[vV]olume|[pP]odTemplate|[pP]riorityClass|[cC]onfigMap|^(args|labels|annotations|template)$"
        r"|^(transformer|explainer|podDisruptionBudget|storage|logger)$"
    )
    policy = next(
        one
        for one in rendered("base")
        if one["kind"] == "ValidatingAdmissionPolicy" and one["metadata"]["name"] == "pod-fields.mooring.dev"
    )
    text = "".join(variable["expression"] for variable in policy["spec"]["variables"])
    known = set(re.findall(r"'(spec\.[A-Za-z.]+) ", text))
    # Named by their field in a list of the three.
    known |= {
        f"spec.serving.{name}" for name in ("template", "transformer", "explainer") if f"'{name}'" in text
    }
    for resource in RESOURCES:
        definition = custom_resource_definition(resource)["spec"]
        if definition["names"]["kind"] not in ("ModelDeployment", "DriftMonitor", "AnalysisTemplate"):
            continue
        spec = definition["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        found = {path for path in paths(spec, "spec") if lending.search(path.rpartition(".")[2])}
        assert found
        forgotten = {path for path in found if not any(f"{path}.".startswith(f"{one}.") for one in known)}
        # Their own keys and addresses are what counts.
        forgotten -= {"spec.serving.storage", "spec.serving.logger"}
        # Told with the image.
        forgotten -= {"spec.retrain.args"}
        # Of what was true: its address counts.
        forgotten -= {"spec.performance.labels"}
        # Of series in Prometheus.
        forgotten -= {f"spec.rates.{part}.labels" for part in ("total", "good", "bad")}
        assert not forgotten


def paths(schema, path):
    """Every field below, as spec.serving.env."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from paths(inner.get("items", inner), f"{path}.{name}")
