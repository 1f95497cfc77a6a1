"""What a rollout makes of faults, on a real API server: failed calls, crashes, refusals, absent surroundings."""

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from mooring_operator.adapters.api_server import Connection, load_config
from mooring_operator.adapters.cluster import Conflict, Ref, Refused, Unavailable
from mooring_operator.adapters.kubernetes import KubernetesCluster
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE

from cluster.serving.http_routes import httproute_crd
from cluster.serving.inferenceservice_crd import LABELS, inferenceservice_crd
from tests.cluster.definitions import install_for_a_module
from tests.cluster.lab import CI, STEPS, Lab, Stopped
from tests.put import drop, put

NAMES = (f"faults-{number}" for number in itertools.count())
LONGER_THAN_THE_PAUSE = timedelta(seconds=31)
ROLLOUT = {"ci": CI, "rollout": {"steps": STEPS, "progressDeadline": "1m"}}


@pytest.fixture(scope="module")
def defined(control_plane):
    """A control plane with the definitions that a rollout needs."""
    install_for_a_module(Path(control_plane.kubeconfig), [inferenceservice_crd(), httproute_crd(LABELS)])
    return control_plane


@pytest.fixture
async def connection(defined):
    connection = Connection(load_config(Path(defined.kubeconfig)))
    yield connection
    await connection.close()


@pytest.fixture
def make_lab(connection):
    async def make() -> Lab:
        namespace = next(NAMES)
        body = {"metadata": {"name": namespace}}
        await connection.send("create", "POST", "/api/v1/namespaces", resource="", body=body)
        return Lab(KubernetesCluster(connection), namespace)

    return make


async def promoted(lab: Lab) -> Lab:
    await lab.apply("v1", **ROLLOUT)
    assert (await lab.settle())["phase"] == "Promoted"
    lab.restart()
    lab.weights.clear()
    return lab


async def test_a_rollout_writes_status_once_a_transition_and_an_event_once(make_lab):
    lab = await promoted(await make_lab())
    await lab.apply("v2", **ROLLOUT)
    status = await lab.settle()
    assert status["phase"] == "Promoted"
    assert lab.weights == [10, 100]
    told = await lab.events()
    assert len([reason for reason in told if reason == "Pausing"]) == 1
    # Testing, its state, 10%, pausing, 100%, promoting, promoted.
    assert lab.cluster.writes.count("write_status") <= 8
    assert lab.cluster.writes.count("apply") == 3


async def test_nothing_is_written_where_nothing_has_changed(make_lab):
    lab = await promoted(await make_lab())
    assert await lab.step() is None
    assert lab.cluster.writes == []
    # The deployment, its service, the service's Deployment, and what administrators demand.
    assert len(lab.cluster.calls) <= 4


@pytest.mark.parametrize(
    "fault",
    [
        Unavailable("500 internal error"),
        Unavailable("429 slow down", 1.0),
        Conflict("the object has been modified"),
    ],
)
async def test_every_call_of_a_rollout_may_fail_once(make_lab, fault):
    lab = await promoted(await make_lab())
    await lab.apply("v2", **ROLLOUT)
    number = 0
    while (await lab.status())["phase"] != "Promoted" or number == 0:
        # One pass, in which each call in turn fails once, and then one without faults.
        for position in itertools.count():
            lab.restart()
            lab.cluster.fail_at = {position: fault}
            try:
                await lab.step()
            except type(fault):
                number += 1
                continue
            break
        lab.now += LONGER_THAN_THE_PAUSE
        assert number < 400
    lab.restart()
    await lab.settle()
    assert number >= 15
    await assert_v2_is_promoted(lab)


async def test_the_process_may_end_after_every_call_of_a_rollout(make_lab):
    lab = await promoted(await make_lab())
    await lab.apply("v2", **ROLLOUT)
    crashes = 0
    while (await lab.status())["phase"] != "Promoted" or crashes == 0:
        for position in itertools.count():
            lab.restart()
            lab.cluster.stop_after = position
            try:
                await lab.step()
            except Stopped:
                crashes += 1
                continue
            break
        lab.now += LONGER_THAN_THE_PAUSE
        assert crashes < 400
    lab.restart()
    await lab.settle()
    assert crashes >= 15
    await assert_v2_is_promoted(lab)


async def test_a_service_that_is_refused_fails_the_candidate_with_the_refusals_words(make_lab):
    lab = await promoted(await make_lab())
    await lab.apply("v2", **ROLLOUT)
    real = lab.real.apply

    async def deny(manifest, seen):
        if manifest["spec"].get("canary"):
            raise Refused('admission webhook "inferenceservice" denied the request: no runtime for onnx')
        return await real(manifest, seen)

    lab.real.apply = deny
    status = await lab.settle()
    assert (status["phase"], status["reason"]) == ("RolledBack", "ServiceRefused")
    assert "no runtime for onnx" in status["message"]
    assert status["stable"]["modelUri"] == "s3://m/v1"
    service = await lab.service()
    assert "canary" not in service["spec"]


async def test_pipelines_that_are_away_are_waited_for_and_said(make_lab):
    lab = await promoted(await make_lab())
    lab.pipelines.away = True
    await lab.apply("v2", **ROLLOUT)
    for _ in range(3):
        with pytest.raises(Exception, match="cannot reach KFP"):
            await lab.step()
    status = await lab.status()
    assert (status["phase"], status["reason"]) == ("Testing", "PipelinesUnavailable")
    assert "keeps serving" in status["message"]
    assert lab.cluster.writes.count("write_status") == 2
    lab.pipelines.away = False
    assert (await lab.settle())["phase"] == "Promoted"
    assert len(lab.pipelines.launches) == 2


async def test_an_unknown_model_and_an_absent_registry_leave_what_serves(make_lab):
    lab = await promoted(await make_lab())
    lab.registry.missing = {"s3://m/v9"}
    await lab.apply("v9", **ROLLOUT)
    assert await lab.step() == 1.0
    status = await lab.status()
    assert (status["phase"], status["reason"]) == ("Failed", "ModelNotFound")
    assert "there is no s3://m/v9" in status["message"]
    lab.registry.away = True
    await lab.apply("v2", **ROLLOUT)
    await lab.step()
    assert (await lab.status())["reason"] == "RegistryUnavailable"
    lab.registry.away = False
    assert (await lab.settle())["stable"]["modelUri"] == "s3://m/v2"


async def test_a_service_that_somebody_changed_or_deleted_is_put_right(make_lab):
    lab = await promoted(await make_lab())
    service = await lab.service()
    hand = {**service, "spec": {"predictor": {**service["spec"]["predictor"], "minReplicas": 7}}}
    del hand["metadata"]["managedFields"], hand["metadata"]["resourceVersion"]
    await put(lab.real, hand, INFERENCE_SERVICE)
    await lab.step()
    assert (await lab.service())["spec"]["predictor"]["minReplicas"] == 1
    await drop(lab.real, Ref(INFERENCE_SERVICE, lab.namespace, "digits"))
    await lab.settle()
    assert (await lab.service())["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"


async def test_a_command_is_carried_out_and_taken_away(make_lab):
    lab = await promoted(await make_lab())
    await lab.apply("v2", rollout={"steps": [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]})
    status = await lab.settle()
    assert status["phase"] == "AwaitingApproval"
    await lab.command("approve", f"{status['candidate']['revision']} by alice")
    assert (await lab.settle())["phase"] == "Promoted"
    left = (await lab.deployment())["metadata"].get("annotations", {})
    assert not {"mooring.dev/approve", "mooring.dev/approve-by"} & left.keys()


async def test_a_run_that_is_waited_for_ends_with_its_deployment(make_lab):
    lab = await make_lab()
    lab.pipelines.running = True
    await lab.apply("v1", **ROLLOUT)
    await lab.step()
    await lab.reconciler.deleted(await lab.deployment())
    assert lab.pipelines.terminated == lab.pipelines.launches


async def test_a_candidate_that_never_starts_is_rolled_back_at_the_deadline(make_lab):
    lab = await promoted(await make_lab())
    lab.startable = lambda uri: uri != "s3://m/v2"
    await lab.apply("v2", **ROLLOUT)
    status = await lab.settle(limit=200)
    assert (status["phase"], status["reason"]) == ("RolledBack", "ProgressDeadlineExceeded")
    assert lab.weights == [10]
    assert "canary" not in (await lab.service())["spec"]


async def assert_v2_is_promoted(lab: Lab) -> None:
    status = await lab.status()
    assert status["stable"]["modelUri"] == "s3://m/v2"
    assert status["previous"]["modelUri"] == "s3://m/v1"
    assert "candidate" not in status
    assert [entry["outcome"] for entry in status["history"]] == ["Promoted", "Promoted"]
    service = await lab.service()
    assert service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v2"
    assert "canary" not in service["spec"]
    assert len(lab.pipelines.launches) == len(set(lab.pipelines.launches)) == 2
    assert set(lab.weights) <= {10, 100}
