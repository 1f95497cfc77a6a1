"""What the operator says and does when what it needs is away, refuses, or is wrong."""

import contextlib
import logging
from datetime import timedelta

import pytest
from mooring_operator.adapters.cluster import Unavailable
from mooring_operator.adapters.pipelines import PipelinesRefused, PipelinesUnavailable

from tests.operator.objects import Rejected, merge
from tests.operator.world import DIGITS, ROLLOUT, World

DENIED = 'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: no runtime'


def refuse(world: World, address: str) -> None:
    """Have KServe's webhook refuse every InferenceService that serves a model."""

    def guarded(write):
        def refusing(*arguments):
            if address in repr(arguments) and "InferenceService" in repr(arguments):
                raise Rejected(422, DENIED)
            return write(*arguments)

        return refusing

    world.objects.apply, world.objects.create = guarded(world.objects.apply), guarded(world.objects.create)


async def test_a_first_service_that_is_refused_fails_with_the_refusals_words(world: World):
    refuse(world, "s3://m/v1")
    world.deploy("v1", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "ServiceRefused")
    assert DENIED in status["message"]
    assert world.service is None
    assert world.events()[-1] == "ServiceRefused"


async def test_a_canary_that_is_refused_is_rolled_back_with_the_refusals_words(world: World):
    await world.promote("v1")
    refuse(world, "s3://m/v2")
    world.deploy("v2", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("RolledBack", "ServiceRefused")
    assert DENIED in status["message"]
    assert "keeps serving" in status["message"]
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"
    # With the first, what its creation wrote counts as applied; the second is refused, and not tried again.
    assert len(world.emulator.writes("inferenceservices")) == 2


async def test_a_webhook_that_is_away_stops_the_clock_of_a_candidate_and_is_said_once(world: World):
    await world.promote("v1")
    writes = world.objects.apply, world.objects.create
    away = (
        'failed calling webhook "defaulter": Post "https://kserve": dial tcp 10.0.0.1:{}: connection refused'
    )
    ports = iter(range(1, 1000))

    def without_webhook(write):
        def failing(*arguments):
            if "s3://m/v2" in repr(arguments) and "InferenceService" in repr(arguments):
                raise Rejected(500, away.format(next(ports)))
            return write(*arguments)

        return failing

    world.objects.apply, world.objects.create = map(without_webhook, writes)
    world.deploy("v2", rollout={**ROLLOUT["rollout"], "progressDeadline": "30s"})
    said = set()
    for _ in range(30):
        with contextlib.suppress(Unavailable):
            await world.step()
        if world.status["reason"] == "Waiting":
            said.add(world.status["message"])
        world.now += timedelta(seconds=10)
    assert (world.phase, len(said)) == ("Canary", 1)
    assert "connection refused" in said.pop()
    assert world.events().count("Waiting") == 1
    world.objects.apply, world.objects.create = writes
    await world.settle()
    assert world.phase == "Promoted"


async def test_pipelines_that_are_away_are_said_once_and_waited_for(world: World):
    await world.promote("v1")
    world.runs.away = True
    world.deploy("v2", **ROLLOUT)
    for _ in range(5):
        with pytest.raises(PipelinesUnavailable):
            await world.step()
    status = world.status
    assert (status["phase"], status["reason"]) == ("Testing", "PipelinesUnavailable")
    assert "cannot reach KFP at http://kfp" in status["message"]
    assert "keeps serving" in status["message"]
    assert world.events().count("PipelinesUnavailable") == 1
    world.runs.away = False
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"
    assert world.runs.tested == ["s3://m/v1", "s3://m/v2"]


async def test_pipelines_that_are_away_cost_no_write_once_it_is_said(world: World):
    world.runs.away = True
    world.deploy("v1", **ROLLOUT)
    for expected in (5, 2, 0, 0):
        world.emulator.calls.clear()
        with pytest.raises(PipelinesUnavailable):
            await world.step()
        assert len(world.emulator.writes()) <= expected
    assert world.status["reason"] == "PipelinesUnavailable"


async def test_pipelines_that_refuse_a_run_fail_the_candidate_with_their_words(world: World):
    async def launch(run):
        raise PipelinesRefused("quota of namespace ns is used up")

    world.runs.launch = launch
    world.deploy("v1", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "CIRunFailed")
    assert "quota of namespace ns is used up" in status["message"]


async def test_a_verdict_of_another_model_fails_the_candidate(world: World):
    world.models.resolve = another_digest(world.models.resolve)
    world.deploy("v1", **ROLLOUT)
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "VerdictMismatch")
    assert world.service is None


async def test_a_registry_that_is_away_is_waited_for(world: World):
    world.models.away = True
    world.deploy("v1", **ROLLOUT)
    assert await world.step() == 1.0
    assert await world.step() == 15.0
    assert (world.phase, world.status["reason"]) == ("Pending", "RegistryUnavailable")
    assert world.condition("ModelResolved")["status"] == "False"
    assert world.condition("Stalled") == {}
    world.models.away = False
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v1"


async def test_a_registry_that_is_away_stops_no_rollout_under_way(world: World):
    await world.promote("v1")
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Canary")
    world.models.away = True
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"


async def test_a_model_that_is_not_there_is_a_persons_to_put_right(world: World):
    await world.promote("v1")
    world.models.missing = {"s3://m/v9"}
    world.deploy("v9", **ROLLOUT)
    await world.step()
    assert (world.phase, world.status["reason"]) == ("Failed", "ModelNotFound")
    assert "there is no s3://m/v9" in world.status["message"]
    assert world.condition("Stalled")["status"] == "True"
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"
    world.deploy("v2", **ROLLOUT)
    assert (await world.settle())["stable"]["modelUri"] == "s3://m/v2"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": {"uri": 7}}, "spec.model.uri: "),
        ({"model": {"format": None}}, "spec.model.format: "),
        ({"rollout": {"steps": [{"setWeight": 10}]}}, "spec.rollout: "),
        ({"rollout": {"steps": [{"setWeight": 10, "pause": {}}]}}, "spec.rollout.steps[0]: "),
        ({"ci": {"testData": {"uri": "s3://m/t"}, "gates": [{"metric": "f1"}]}}, "spec.ci.gates[0]: "),
        ({"surprise": True}, "spec.surprise: "),
    ],
)
async def test_an_invalid_spec_that_slipped_through_names_the_field(world: World, caplog, change, field):
    await world.promote("v1")
    valid = world.objects.get(DIGITS)["spec"]
    world.objects.change(DIGITS, lambda before: merge(before, {"spec": change}))
    with caplog.at_level(logging.DEBUG, logger="mooring_operator"):
        assert await world.step() is None
    assert (world.phase, world.status["reason"]) == ("Failed", "InvalidSpec")
    assert field in world.status["message"]
    assert "keeps serving" in world.status["message"]
    assert world.condition("Stalled")["reason"] == "InvalidSpec"
    assert "Traceback" not in caplog.text
    assert world.service["spec"]["predictor"]["model"]["storageUri"] == "s3://m/v1"
    world.emulator.calls.clear()
    await world.step()
    assert world.emulator.writes() == []
    assert world.events().count("InvalidSpec") == 1
    world.objects.change(DIGITS, lambda before: {**before, "spec": valid})
    assert (await world.settle())["phase"] == "Promoted"


async def test_a_deployment_that_is_being_deleted_is_left_alone(world: World):
    world.deploy("v1", **ROLLOUT)
    marked = {"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}}
    world.objects.change(DIGITS, lambda before: merge(before, marked))
    assert await world.step() is None
    assert world.emulator.writes() == []


def another_digest(resolve):
    async def resolved(model, namespace):
        found = await resolve(model, namespace)
        return type(found)(found.storage_uri, f"sha256:{'f' * 64}")

    return resolved
