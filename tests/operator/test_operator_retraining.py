"""DriftMonitors that train anew: the whole operator, whose calls fail and whose process ends."""

from datetime import timedelta

import pytest
from mooring_operator.adapters.cluster import ClusterError
from mooring_operator.adapters.pipelines import PipelinesUnavailable

from tests.operator.faults import CLOSE, LOSE_ANSWER
from tests.operator.world import MONITOR, Crash, World

RETRAIN = {
    "image": "registry.example.com/train:1",
    "output": "s3://m/trained",
    "registerAs": "iris",
    "cooldown": "1m",
    "perDay": 5,
}


class Trainers:
    """Ends the runs that train, while nobody holds them."""

    def __init__(self, world):
        self.world, self.fails, self.held = world, False, False

    def play(self):
        runs = self.world.runs
        for run_id in [] if self.held else runs.ids:
            run = runs.read(run_id)
            if run["phase"] == "Running" and "training" in run["parameters"]:
                runs.keep(run_id, {**run, "phase": "Failed" if self.fails else "Succeeded"})
        self.world.ci.play()

    async def until(self, *stages, limit=60):
        """Passes over the DriftMonitor until its training is at one of these stages; calls that fail are made again."""
        world = self.world
        for _ in range(limit):
            try:
                pause = await world.look_at_drift()
            except (ClusterError, PipelinesUnavailable):
                pause = 1.0
            if (world.drift.get("retraining") or {}).get("stage") in stages:
                return world.drift["retraining"]
            world.evaluations.play()
            self.play()
            world.now += timedelta(seconds=min(pause or 1.0, 5.0))
        raise AssertionError(f"does not settle: {world.drift}")

    @property
    def parameters(self):
        """Of all runs of trainings and of what follows them."""
        read = (self.world.runs.read(run_id)["parameters"] for run_id in self.world.runs.ids)
        return [each for each in read if "training" in each or "registration" in each]


@pytest.fixture
async def trainers(world: World) -> Trainers:
    """v1 is promoted, and its traffic drifts."""
    await world.promote("v1")
    world.monitor(interval="10m", retrain=RETRAIN)
    world.evaluations.drifted = True
    world.emulator.calls.clear()
    return Trainers(world)


async def test_drift_has_a_model_trained_looked_at_and_offered(world: World, trainers: Trainers):
    done = await trainers.until("Done", "Failed")
    assert done["stage"] == "Done", done["message"]
    training, registering = sorted(trainers.parameters, key=lambda each: "registration" in each)
    told = training["training"]
    assert told["modelUri"] == done["modelUri"] == f"s3://m/trained/{done['runId']}"
    assert told["rows"] == {"baseline": {"uri": "s3://d/baseline"}, "window": {"uri": "s3://d/window"}}
    assert (told["deployment"], told["monitor"], told["driftedFeatures"]) == ("digits", "traffic", ["age"])
    assert (registering["model_uri"], registering["registration"]["name"]) == (done["modelUri"], "iris")
    assert done["url"] == f"http://kfp/#/runs/details/{done['registrationId']}"
    assert f"spec.model: {{uri: {done['modelUri']}, digest: {done['digest']}}}" in done["message"]
    events = world.events("traffic")
    assert [each for each in events if each.startswith("Retrain")] == ["RetrainingStarted", "Retrained"]
    assert "drifted" in world.condition("Drifted", MONITOR)["message"]


async def test_evaluations_go_on_while_a_model_is_trained(world: World, trainers: Trainers):
    trainers.held = True
    await trainers.until("Training")
    before = len(world.evaluations.made)
    world.now += timedelta(minutes=10)
    await world.check_drift()
    assert len(world.evaluations.made) == before + 1
    assert world.drift["retraining"]["stage"] == "Training"
    trainers.held = False
    assert (await trainers.until("Done", "Failed"))["stage"] == "Done"
    assert len(trainers.parameters) == 2


async def test_a_training_that_fails_is_told_and_evaluations_go_on(world: World, trainers: Trainers):
    trainers.fails = True
    failed = await trainers.until("Done", "Failed")
    assert failed["message"] == f"run {failed['runId']} ended as Failed"
    assert world.drift["phase"] == "Drifted"
    assert len(trainers.parameters) == 1


async def test_a_backend_that_is_away_delays_a_training(world: World, trainers: Trainers):
    trainers.held = True
    await trainers.until("Training")
    await world.look_at_drift()
    world.runs.away = True
    assert await world.look_at_drift() == 15.0
    assert (world.drift["phase"], world.drift["retraining"]["stage"]) == ("Drifted", "Training")
    world.runs.away = trainers.held = False
    assert (await trainers.until("Done", "Failed"))["stage"] == "Done"
    assert len(trainers.parameters) == 2


async def test_a_training_ends_with_its_monitor(world: World, trainers: Trainers):
    trainers.held = True
    run_id = (await trainers.until("Training"))["runId"]
    await world.look_at_drift()
    await world.operator.deleted("DriftMonitor", world.objects.get(MONITOR))
    assert world.runs.read(run_id)["phase"] == "Canceled"


@pytest.fixture
def again(world: World, trainers: Trainers):
    """Begin again from the drift that nobody has evaluated yet."""
    saved, runs = world.objects.save(), set(world.runs.ids)

    async def begin(*, crash_after=None):
        world.objects.restore(saved)
        for run in set(world.runs.ids) - runs:
            (world.folder / "runs" / f"{run}.json").unlink()
        (world.folder / "runs" / "launches").unlink(missing_ok=True)
        world.emulator.faults.clear()
        await world.start(crash_after=crash_after)

    return begin


def assert_trained_once(world: World, trainers: Trainers):
    assert world.drift["retraining"]["stage"] == "Done", world.drift["retraining"]
    assert sorted("registration" in each for each in trainers.parameters) == [False, True]


async def test_the_process_may_end_after_any_write_of_a_training(world: World, trainers: Trainers, again):
    position = 0
    while True:
        await again(crash_after=position)
        try:
            await trainers.until("Done", "Failed")
        except Crash:
            await world.start()
            await trainers.until("Done", "Failed")
        else:
            break
        assert_trained_once(world, trainers)
        position += 1
    assert position >= 4


@pytest.mark.parametrize("how", [500, 409, CLOSE, LOSE_ANSWER], ids=str)
async def test_any_one_call_of_a_training_may_fail(world: World, trainers: Trainers, again, how):
    position = 0
    while True:
        await again()
        fault = world.emulator.fail(how, after=position)
        await trainers.until("Done", "Failed")
        if not fault.hits:
            break
        assert_trained_once(world, trainers)
        position += 1
    assert position >= 8
