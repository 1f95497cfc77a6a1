"""What a monitor watches is looked up by its kind; what cannot be watched is told with the way out."""

import asyncio

import pytest
from mooring_operator.api import API_VERSION, DriftMonitorSpec
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.reconcile.drift_targets import DriftTargets

FILES = {"baseline": {"uri": "s3://b/base"}, "window": {"uri": "s3://b/window"}}
DEPLOYMENT = {"metadata": {"name": "digits"}, "spec": {"model": {"uri": "s3://m/1"}}, "status": {}}
SERVICE = {"metadata": {"name": "llm"}}
OURS = {"apiVersion": API_VERSION, "kind": "ModelDeployment", "name": "digits", "uid": "u"}


class FakeCluster:
    """Objects by kind and name; it remembers what was asked for."""

    def __init__(self, *objects):
        self.objects = {(kind, one["metadata"]["name"]): one for kind, one in objects}
        self.asked = []

    async def get(self, ref):
        self.asked.append(ref.kind.kind)
        return self.objects.get((ref.kind.kind, ref.name))


def find(cluster, target=None):
    spec = DriftMonitorSpec.model_validate({**FILES, **({"target": target} if target else {})})
    return asyncio.run(DriftTargets(cluster).find("team", spec))


def test_two_data_sets_need_nothing_of_the_cluster():
    cluster = FakeCluster()
    assert find(cluster) == Target("", None, None)
    assert cluster.asked == []


def test_an_inference_service_is_watched_by_its_name_alone():
    cluster = FakeCluster(("InferenceService", SERVICE))
    assert find(cluster, {"kind": "InferenceService", "name": "llm"}) == Target("llm", None, None)


def test_a_model_deployment_is_the_kind_that_is_meant_without_one():
    cluster = FakeCluster(("ModelDeployment", DEPLOYMENT))
    assert find(cluster, {"name": "digits"}) == Target("digits", None, None, model_uri="s3://m/1")


@pytest.mark.parametrize(
    ("kind", "other", "manifest"),
    [("ModelDeployment", "InferenceService", SERVICE), ("InferenceService", "ModelDeployment", DEPLOYMENT)],
)
def test_a_name_of_the_other_kind_is_told(kind, other, manifest):
    name = manifest["metadata"]["name"]
    found = find(FakeCluster((other, manifest)), {"kind": kind, "name": name})
    assert found.reason == "TargetNotFound"
    assert f"there is no {kind} {name!r}" in found.message
    assert f"set spec.target.kind to {other}" in found.message
    assert "spec.target.kind" not in find(FakeCluster(), {"kind": kind, "name": name}).message


def test_a_revision_of_a_model_deployment_is_not_watched_by_itself():
    service = {"metadata": {"name": "digits-rev2", "ownerReferences": [OURS]}}
    found = find(
        FakeCluster(("InferenceService", service)), {"kind": "InferenceService", "name": "digits-rev2"}
    )
    assert found.reason == "TargetOwned"
    assert "ModelDeployment 'digits'" in found.message


def test_an_inference_service_of_somebody_else_is_watched_whoever_owns_it():
    service = {"metadata": {"name": "llm", "ownerReferences": [{**OURS, "apiVersion": "example.com/v1"}]}}
    assert (
        find(FakeCluster(("InferenceService", service)), {"kind": "InferenceService", "name": "llm"}).name
        == "llm"
    )
