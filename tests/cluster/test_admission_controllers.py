"""The policies beside Kubernetes' real controllers: none of them is hindered, and no expression has a fault."""

import pytest

from cluster import ControlPlane, ProgramUnavailableError
from tests.cluster.people import (
    bind,
    install_people,
    outcome,
    policies,
    wait_until_in_force,
    wait_until_refused,
)
from tests.cluster.rollout_steps import OURS, until
from tests.cluster.test_admission_managed_objects import KINDS, NAMESPACE, WRITES_ALL, Child

POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"


@pytest.fixture(scope="module")
def api():
    """A control plane with controllers, in which all policies are in force."""
    control_plane = ControlPlane(["controller-manager"])
    try:
        control_plane.start()
    except ProgramUnavailableError as error:
        pytest.skip(str(error))
    api = control_plane.api
    try:
        install_people(api, NAMESPACE)
        with policies(api), policies(api, "components/managed-objects"):
            wait_until_in_force(api, NAMESPACE)
            yield api
    finally:
        control_plane.stop()


def test_the_api_server_finds_no_fault_with_their_types(api):
    def checked():
        return [one for one in api.items(POLICIES) if "typeChecking" in one.get("status", {})]

    found = until(checked, lambda found: len(found) == 5, what="not every policy was checked")
    names = ("adoption", "commands", "drift-rollback", "managed-objects", "pod-fields")
    assert {one["metadata"]["name"]: one["status"]["typeChecking"] for one in found} == {
        f"{name}.mooring.dev": {} for name in names
    }


def test_controllers_work_on_what_nobody_else_may_change_and_garbage_is_collected(api):
    model = {"uri": "s3://m/iris", "format": "onnx"}
    kind = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment"}
    api.apply({**kind, "metadata": {"name": "iris", "namespace": NAMESPACE}, "spec": {"model": model}})
    api.apply(WRITES_ALL)
    bind(api, NAMESPACE, "fay", "writes-all")
    until(lambda: not outcome(lambda: Child(api, "Job", owned=True).create("fay", {}, dry=True)))
    children = [Child(api, kind, owned=True) for kind in KINDS]
    for child in children:
        child.create("fay", {})
    wait_until_refused(lambda: children[0].change("fay", {"spec": children[0].wish}), "is made by Mooring")
    stream = next(child for child in children if child.manifest["kind"] == "Deployment")
    # The controller of Deployments writes the number of the revision into the object itself.
    until(
        lambda: "deployment.kubernetes.io/revision" in api.get(stream.path)["metadata"].get("annotations", {})
    )
    until(lambda: api.items(f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets"))
    api.delete(f"{OURS}/namespaces/{NAMESPACE}/modeldeployments/iris")
    # The collector learns of kinds that were defined after it began within half a minute.
    until(lambda: not any(api.get(child.path) for child in children), what="children stay", timeout=120)


def test_a_namespace_is_deleted_with_all_that_is_in_it(api):
    model = {"uri": "s3://m/iris", "format": "onnx"}
    kind = {"apiVersion": "mooring.dev/v1alpha1", "kind": "ModelDeployment"}
    api.apply({**kind, "metadata": {"name": "iris", "namespace": NAMESPACE}, "spec": {"model": model}})
    for kind in KINDS:
        api.create(Child(api, kind, owned=True).manifest)
    path = f"/api/v1/namespaces/{NAMESPACE}"
    api.delete(path)
    until(lambda: api.get(path) is None, what="the namespace stays", timeout=120)
