"""What runs for a test alone, before the API emulator: as the revision will, and selected by nothing else."""

from datetime import UTC, datetime, timedelta

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Ref
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.adapters.routers.inference_services.revision_manifest import revision_service
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT, SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.under_test import InstancesUnderTest
from mooring_operator.api.names import DEPLOYMENT_LABEL, REVISION_LABEL, TESTED_LABEL
from mooring_operator.api.runtimes import PinnedRuntime

from tests.played_revisions import PlayedRevisions
from tests.unit.operator.adapters.routers.revisions import OWNER, revision

NAME = "digits-t12345678"
RUNTIME = PinnedRuntime(
    kind="ClusterServingRuntime", name="sk", spec={"supportedModelFormats": [{"name": "onnx"}]}
)
TRANSFORMER = {"containers": [{"name": "t", "image": "t:1"}]}


class Stage:
    def __init__(self, emulator, connection):
        self.objects = emulator.objects
        self.cluster = KubernetesCluster(connection)
        self.kserve = PlayedRevisions(self.cluster, "ns")
        self.instances = InstancesUnderTest(
            self.cluster, lambda: datetime(2026, 3, 1, 13, tzinfo=UTC) + timedelta(days=365)
        )

    def names(self, kind):
        return {item["metadata"]["name"] for item in self.objects.list(kind, "ns")}


@pytest.fixture
async def stage(emulator, tmp_path):
    connection = Connection(load_config(emulator.kubeconfig(tmp_path / "kubeconfig")), lambda *_: None)
    yield Stage(emulator, connection)
    await connection.close()


@pytest.mark.parametrize("serving", [{}, {"minReplicas": 0, "maxReplicas": 9}])
async def test_it_runs_with_one_pod_tells_where_it_answers_and_stops(stage, serving):
    tested = revision(**serving)
    assert await stage.instances.observe(OWNER, NAME, tested) is None
    await stage.instances.run(OWNER, NAME, tested)
    assert not (await stage.instances.observe(OWNER, NAME, tested)).ready
    await stage.kserve.act()
    seen = await stage.instances.observe(OWNER, NAME, tested)
    assert (seen.ready, seen.address) == (True, f"http://{NAME}-predictor.ns.svc")
    made = stage.objects.get(Ref(INFERENCE_SERVICE, "ns", NAME))
    for part in made["spec"].values():
        assert (part["minReplicas"], part["maxReplicas"]) == (1, 1)
    await stage.instances.stop(OWNER, NAME)
    await stage.instances.stop(OWNER, NAME)
    assert await stage.instances.observe(OWNER, NAME, tested) is None


async def test_it_runs_on_a_copy_of_its_runtime_that_goes_with_it(stage):
    tested = revision().model_copy(update={"runtime": RUNTIME})
    await stage.instances.run(OWNER, NAME, tested)
    await stage.kserve.act()
    assert stage.names(SERVING_RUNTIME) == {NAME}
    made = stage.objects.get(Ref(INFERENCE_SERVICE, "ns", NAME))
    assert made["spec"]["predictor"]["model"]["runtime"] == NAME
    # By the name that callers of the revision will use.
    assert (await stage.instances.observe(OWNER, NAME, tested)).model_name == "digits"
    await stage.instances.stop(OWNER, NAME)
    assert stage.names(SERVING_RUNTIME) == stage.names(INFERENCE_SERVICE) == set()


async def test_a_model_without_a_copy_is_called_as_its_service(stage):
    await stage.instances.run(OWNER, NAME, revision())
    await stage.kserve.act()
    assert (await stage.instances.observe(OWNER, NAME, revision())).model_name == NAME


async def test_nothing_of_the_deployment_selects_its_pods_and_what_it_is_asked_is_not_kept(stage):
    serving = {"capture": {"store": "s3://b/c"}, "labels": {"team": "a"}, "transformer": TRANSFORMER}
    await stage.instances.run(OWNER, NAME, revision(**serving))
    made = stage.objects.get(Ref(INFERENCE_SERVICE, "ns", NAME))
    parts = [made["metadata"], *made["spec"].values()]
    assert not [key for part in parts for key in part["labels"] if key in (DEPLOYMENT_LABEL, REVISION_LABEL)]
    assert {part["labels"][TESTED_LABEL] for part in parts} == {revision(**serving).revision}
    assert made["spec"]["predictor"]["labels"]["team"] == "a"
    assert made["metadata"]["labels"]["networking.kserve.io/visibility"] == "cluster-local"
    assert "s3://b/c" not in str(made)
    assert made["metadata"]["ownerReferences"][0]["uid"] == OWNER.uid
    # Requests come in by the transformer, as they will.
    seen = await stage.instances.observe(OWNER, NAME, revision(**serving))
    assert seen.address == f"http://{NAME}-transformer.ns.svc"
    # But for that it is the revision's own.
    own = revision_service(OWNER, revision(**serving), pods=1)["spec"]["predictor"]["model"]
    capture = {"--capture_uri", "s3://b/c"}
    assert {key: made["spec"]["predictor"]["model"][key] for key in ("modelFormat", "storageUri")} == {
        key: own[key] for key in ("modelFormat", "storageUri")
    }
    assert capture.isdisjoint(str(made["spec"]).split("'"))


async def test_what_is_somebody_elses_is_left_alone_and_said(stage):
    other = revision_service(OWNER, revision(), pods=1)
    other["metadata"] |= {"name": NAME, "ownerReferences": [], "labels": {}}
    stage.objects.create(INFERENCE_SERVICE, "ns", other)
    seen = await stage.instances.observe(OWNER, NAME, revision())
    assert not seen.ready
    assert NAME in seen.blocked
    await stage.instances.stop(OWNER, NAME)
    assert stage.names(INFERENCE_SERVICE) == {NAME}
    assert stage.names(DEPLOYMENT) == set()
