"""Policies on a real API server: what they bind, what kubectl shows of them, and an operator without rights to them."""

import shutil
import subprocess
from itertools import count

import pytest

from cluster.api import ApiError
from cluster.kubeconfig import write_kubeconfig
from tests.cluster.rollout_steps import OURS, KServe, Model, Operator, install, until

NUMBERS = count(1)
BOUND, FREE, SYSTEM = "bound", "free", "policies-system"
CLUSTER = f"{OURS}/clustermodelpolicies"


@pytest.fixture(scope="module")
def api(control_plane):
    install(control_plane.api, BOUND, FREE, SYSTEM)
    control_plane.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": BOUND, "labels": {"stage": "production"}},
        }
    )
    return control_plane.api


@pytest.fixture(scope="module")
def kserve(api):
    with KServe(api, BOUND), KServe(api, FREE):
        yield


@pytest.fixture
def operator(api, kserve, control_plane, tmp_path):
    with Operator(
        control_plane.kubeconfig, tmp_path / "operator.log", namespaces=f"{BOUND},{FREE}"
    ) as process:
        yield process


@pytest.fixture
def demand(api):
    """Give a function that makes a ClusterModelPolicy; it is taken away afterwards."""
    made = []

    def make(**spec):
        name = f"demand-{next(NUMBERS)}"
        made.append(name)
        api.apply(
            {
                "apiVersion": "mooring.dev/v1alpha1",
                "kind": "ClusterModelPolicy",
                "metadata": {"name": name},
                "spec": {"namespaceSelector": {"matchLabels": {"stage": "production"}}, **spec},
            }
        )
        return name

    yield make
    for name in made:
        api.request("DELETE", f"{CLUSTER}/{name}")


def model(api, namespace):
    return Model(api, namespace, f"m{next(NUMBERS)}")


def condition(found, kind="PoliciesMet"):
    conditions = {each["type"]: each for each in found["status"].get("conditions", ())}
    return (conditions.get(kind) or {}).get("status")


def test_it_binds_the_namespaces_with_its_labels_and_what_is_promoted_stays(api, operator, demand):
    bound, free = model(api, BOUND), model(api, FREE)
    bound.apply("v1")
    bound.reaches("Promoted", "v1")
    name = demand(requireCI=True)
    until(lambda: condition(bound.resource) == "False", what="the promoted revision is not told of")
    assert bound.resource["status"]["phase"] == "Promoted"
    for each in (bound, free):
        each.apply("v2")
    free.reaches("Promoted", "v2")
    refused = bound.reaches("Failed")
    assert refused["reason"] == "ClusterPolicyViolated"
    assert f"ClusterModelPolicy {name} forbids revision" in refused["message"]
    assert refused["stable"]["modelUri"].endswith("v1")
    # Another label, another binding.
    label(api, BOUND, "development")
    bound.reaches("Promoted", "v2")
    label(api, BOUND, "production")


def label(api, namespace, stage):
    api.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"stage": stage}}}
    )


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_kubectl_shows_which_policies_cannot_be_applied(api, operator, demand, control_plane):
    good = demand(rules=[{"name": "size", "expression": "metrics.modelSizeMB < 100.0"}])
    bad = demand(rules=[{"name": "size", "expression": "metrics.modelSizeMB <"}])
    until(lambda: condition(api.get(f"{CLUSTER}/{bad}"), "Ready") == "False")
    until(lambda: condition(api.get(f"{CLUSTER}/{good}"), "Ready") == "True")
    shown = subprocess.run(
        ["kubectl", "--kubeconfig", str(control_plane.kubeconfig), "get", "cmpol", good, bad, "-o", "wide"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    header, first, second = shown.splitlines()
    assert header.split() == ["NAME", "CI", "READY", "AGE", "MESSAGE"]
    assert " True " in first
    assert " False " in second
    assert "spec.rules[0] size is never met: the expression cannot be read: line 1, column 22" in second


# --- an operator of one namespace, without rights in the cluster --------------------------------


@pytest.fixture
def account(api, control_plane, tmp_path):
    """A kubeconfig of somebody who may do in one namespace all that the operator does, and elsewhere nothing."""
    name = {"name": "namespaced", "namespace": SYSTEM}
    api.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": name})
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    rbac = "rbac.authorization.k8s.io"
    for namespace in (FREE, SYSTEM):
        meta = {"name": "namespaced", "namespace": namespace}
        api.apply({"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": rules})
        api.apply(
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": meta,
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "namespaced"},
                "subjects": [{"kind": "ServiceAccount", **name}],
            }
        )
    path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/namespaced/token"
    token = api.request("POST", path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
    kubeconfig, authority = tmp_path / "kubeconfig", control_plane.files.authority.read_bytes()
    write_kubeconfig(
        kubeconfig, name="namespaced", server=control_plane.server, token=token, authority=authority
    )
    return kubeconfig


def test_without_the_right_to_read_them_nothing_new_is_served(api, kserve, account, tmp_path):
    deployed = model(api, FREE)
    deployed.apply("v1")
    with Operator(account, tmp_path / "operator.log", namespaces=FREE):
        waiting = until(lambda: deployed.resource.get("status", {}), lambda status: "reason" in status)
        assert (waiting["phase"], waiting["reason"]) == ("Pending", "ClusterPoliciesUnreadable")
        assert "MOORING_CLUSTER_POLICIES=false" in waiting["message"]
        assert 'cannot list resource "clustermodelpolicies"' in waiting["message"]
        assert deployed.service is None
    with Operator(account, tmp_path / "again.log", namespaces=FREE, cluster_policies="false"):
        deployed.reaches("Promoted", "v1")
        # It watches its namespace, and asks for nothing in the cluster.
        deployed.apply("v2")
        deployed.reaches("Promoted", "v2")
    assert "orbidden" not in (tmp_path / "again.log").read_text()


def test_the_api_server_refuses_a_policy_that_is_misspelt(api):
    with pytest.raises(ApiError, match="requireCi"):
        api.request(
            "POST",
            f"{CLUSTER}?fieldValidation=Strict",
            {
                "apiVersion": "mooring.dev/v1alpha1",
                "kind": "ClusterModelPolicy",
                "metadata": {"name": "misspelt"},
                "spec": {"requireCi": True},
            },
        )
