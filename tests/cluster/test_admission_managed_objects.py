"""What Mooring made is changed by the operator and by controllers alone, where the component asks for it."""

import pytest

from tests.cluster.people import (
    OPERATOR,
    RBAC,
    Thing,
    bind,
    install_people,
    outcome,
    policies,
    wait_until_allowed,
    wait_until_refused,
)
from tests.cluster.rollout_steps import OURS

NAMESPACE = "mooring-managed"
KSERVE = "system:serviceaccount:kserve:kserve-controller-manager"
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
LABELS = {"app.kubernetes.io/managed-by": "mooring"}
POD = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]}}
SCORED = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": POD["spec"]["containers"]}}
WRITES_ALL = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "writes-all"},
    "rules": [
        {"apiGroups": [group], "resources": resources, "verbs": ["*"]}
        for group, resources in (
            ("serving.kserve.io", ["inferenceservices", "inferenceservices/status"]),
            ("apps", ["deployments", "deployments/scale"]),
            ("batch", ["cronjobs", "jobs"]),
            ("policy", ["poddisruptionbudgets"]),
        )
    ],
}
KINDS = {
    "InferenceService": (
        "serving.kserve.io/v1beta1",
        {"predictor": {"model": {"modelFormat": {"name": "onnx"}, "storageUri": "s3://m/iris"}}},
        {"predictor": {"model": {"storageUri": "s3://mine"}}},
    ),
    "PodDisruptionBudget": ("policy/v1", {"minAvailable": 1}, {"minAvailable": 2}),
    "Deployment": (
        "apps/v1",
        {"selector": {"matchLabels": {"app": "x"}}, "template": SCORED},
        {"replicas": 5},
    ),
    "CronJob": (
        "batch/v1",
        {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": POD}}},
        {"suspend": True},
    ),
    "Job": ("batch/v1", {"template": POD}, {"suspend": True}),
}
"""Its version, a spec, and a change that somebody might want to make."""


class Child(Thing):
    """An object of a kind, of iris or of nobody."""

    def __init__(self, api, kind, *, owned, labels=LABELS):
        version, spec, self.wish = KINDS[kind]
        owner = api.get(f"{OURS}/namespaces/{NAMESPACE}/modeldeployments/iris")
        about = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment", "name": "iris"}
        owners = [{**about, "uid": owner["metadata"]["uid"], "controller": True}] if owned else []
        metadata = {"name": "child", "labels": labels, "ownerReferences": owners}
        super().__init__(
            api, NAMESPACE, {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}
        )
        self.path = api.path(self.manifest)
        self.collection = self.path.rpartition("/")[0]

    def delete(self, user, *, dry=False):
        """Delete it as a user."""
        query = "?propagationPolicy=Background" + ("&dryRun=All" if dry else "")
        self.api.acting_as(user).request("DELETE", self.path + query)


@pytest.fixture(scope="module")
def api(control_plane):
    """The administrator's client; the policy is in force. RBAC lets all of these users write all of these kinds."""
    api = control_plane.api
    install_people(api, NAMESPACE)
    api.apply(WRITES_ALL)
    for user in ("fay", KSERVE, OPERATOR):
        bind(api, NAMESPACE, user, "writes-all")
    model = {"uri": "s3://m/iris", "format": "onnx"}
    about = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment"}
    api.apply({**about, "metadata": {"name": "iris", "namespace": NAMESPACE}, "spec": {"model": model}})
    with policies(api, "components/managed-objects"):
        probe = Child(api, "Job", owned=True)
        wait_until_allowed(lambda: probe.create("fay", {}))
        wait_until_refused(lambda: probe.delete("fay", dry=True), "is made by Mooring")
        for user in (KSERVE, OPERATOR):
            wait_until_allowed(lambda user=user: probe.delete(user, dry=True))
        yield api
        for kind in KINDS:
            Child(api, kind, owned=True).remove()
    wait_until_allowed(lambda: (probe.create("fay", {}), probe.delete("fay")))
    api.delete(f"{OURS}/namespaces/{NAMESPACE}/modeldeployments/iris")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["merge", "apply", "update", "delete"])
def test_what_is_mooring_s_is_left_alone(api, kind, way):
    child = Child(api, kind, owned=True)

    def attempt(user, patch):
        child.create("fay", {})
        if way == "delete":
            return outcome(lambda: child.delete(user))
        return outcome(lambda: child.change(user, patch, way=way))

    bare = {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}, "ownerReferences": None}}
    for patch in ({"spec": child.wish}, {"metadata": {"annotations": {"a": "b"}}}):
        refused = f"{kind} child is made by Mooring for ModelDeployment iris: change that instead"
        assert refused in attempt("fay", patch)
        for user in (KSERVE, OPERATOR):
            assert attempt(user, patch) == ""
    if way != "apply":
        assert "is made by Mooring" in attempt("fay", bare)


@pytest.mark.parametrize("kind", KINDS)
def test_the_garbage_collector_works(api, kind):
    child = Child(api, kind, owned=True)
    child.create("fay", {})
    assert outcome(lambda: child.change(COLLECTOR, {"metadata": {"finalizers": []}})) == ""
    assert outcome(lambda: child.delete(COLLECTOR)) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_mooring_s_is_everybody_s(api, kind):
    """Another's label alone makes nothing ours, nor does one of ours that is no controller's."""
    for owned, labels in ((False, LABELS), (True, {"app.kubernetes.io/managed-by": "helm"})):
        child = Child(api, kind, owned=owned, labels=labels)
        child.create("fay", {})
        assert outcome(lambda child=child: child.change("fay", {"spec": child.wish})) == ""
        assert outcome(lambda child=child: child.delete("fay")) == ""


def test_replicas_and_status_are_written_by_others(api):
    stream = Child(api, "Deployment", owned=True)
    stream.create("fay", {})
    fay = api.acting_as("fay")
    assert outcome(lambda: fay.merge(f"{stream.path}/scale", {"spec": {"replicas": 3}})) == ""
    service = Child(api, "InferenceService", owned=True)
    service.create("fay", {})
    assert outcome(lambda: fay.merge(f"{service.path}/status", {"status": {"url": "http://x"}})) == ""
