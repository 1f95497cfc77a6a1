"""Who may have a ModelDeployment take an InferenceService over."""

import pytest

from tests.cluster.people import (
    RBAC,
    Thing,
    bind,
    install_people,
    outcome,
    policies,
    wait_until_allowed,
    wait_until_refused,
)

NAMESPACE = "mooring-adoption"
UID = "6d6f6f72-696e-4067-8000-6d6f6f72696e"
DEPLOYMENT = {
    "apiVersion": "mooring.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "iris"},
    "spec": {"model": {"uri": "s3://m/iris/1", "format": "onnx"}},
}
REFUSED = "may not update and delete InferenceService iris in namespace mooring-adoption"


def role(name, *verbs, names=()):
    rule = {"apiGroups": ["serving.kserve.io"], "resources": ["inferenceservices"], "verbs": list(verbs)}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{**rule, **({"resourceNames": list(names)} if names else {})}],
    }


def asks_for(value):
    return {"metadata": {"annotations": {"mooring.dev/adopt": value}}}


ADOPT = asks_for(f"iris/{UID}")


@pytest.fixture(scope="module", autouse=True)
def people(control_plane):
    install_people(control_plane.api, NAMESPACE)
    for one in (
        role("keeps-services", "get", "update", "delete"),
        role("edits-services", "get", "update", "patch"),
        role("keeps-iris", "update", "delete", names=["iris"]),
    ):
        control_plane.api.apply(one)
    for user, given in {"kim": "keeps-services", "lee": "edits-services", "max": "keeps-iris"}.items():
        bind(control_plane.api, NAMESPACE, user, "mooring-edit")
        bind(control_plane.api, NAMESPACE, user, given)
    with policies(control_plane.api):
        yield


@pytest.fixture
def deployment(control_plane):
    one = Thing(control_plane.api, NAMESPACE, DEPLOYMENT)
    one.start_from(by="alice")
    wait_until_refused(lambda: one.change("alice", ADOPT, dry=True), REFUSED)
    yield one
    one.remove()


@pytest.mark.parametrize("way", ["merge", "update"])
@pytest.mark.parametrize(
    ("user", "allowed"), [("alice", False), ("lee", False), ("kim", True), ("max", True)]
)
def test_whoever_may_change_and_delete_it_hands_it_over(deployment, user, allowed, way):
    if allowed:
        wait_until_allowed(lambda: deployment.change(user, ADOPT, way=way, dry=True))
    else:
        assert REFUSED in outcome(lambda: deployment.change(user, ADOPT, way=way, dry=True))


def test_another_one_is_another_question(deployment):
    wait_until_allowed(lambda: deployment.change("max", ADOPT))
    assert "InferenceService other" in outcome(lambda: deployment.change("max", asks_for(f"other/{UID}")))
    # Whoever leaves it as it is, or takes it away, is not asked.
    deployment.change("alice", {"metadata": {"labels": {"a": "b"}}})
    assert REFUSED in outcome(lambda: deployment.change("alice", asks_for(f"iris/{UID}/helm")))
    deployment.change("alice", {"metadata": {"annotations": {"mooring.dev/adopt": None}}})


def test_it_is_asked_of_new_deployments_too(deployment):
    deployment.remove()
    noted = {
        "metadata": {"annotations": {"mooring.dev/requested-by": "alice", **ADOPT["metadata"]["annotations"]}}
    }
    assert REFUSED in outcome(lambda: deployment.create("alice", noted, dry=True))
