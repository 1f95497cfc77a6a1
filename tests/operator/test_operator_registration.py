"""What a test registered is told in status and Events, and decides nothing about the rollout."""

from tests.operator.world import CI_SPEC, DIGITS, World

REGISTERS = {"ci": {**CI_SPEC, "registerAs": "digits"}}


async def test_a_revision_that_passed_is_known_by_its_version(world: World):
    world.deploy("v1", **REGISTERS)
    status = await world.settle()
    assert (status["phase"], status["stable"]["registered"]) == ("Promoted", "digits/1")
    assert "Registered" in world.events()
    said = "met every gate; registered as digits version 1"
    assert world.condition("Tested")["message"].endswith(said)
    world.deploy("v2", **REGISTERS)
    status = await world.settle()
    assert status["stable"]["registered"] == "digits/2"
    assert status["previous"]["registered"] == "digits/1"


async def test_what_could_not_be_registered_is_promoted_and_told(world: World):
    world.ci.unregistered = "cannot reach MLflow at http://mlflow:5000 (ConnectError); tried for 60 s"
    world.deploy("v1", **REGISTERS)
    status = await world.settle()
    assert status["phase"] == "Promoted"
    assert "registered" not in status["stable"]
    assert "NotRegistered" in world.events()
    assert world.ci.unregistered in world.condition("Tested")["message"]


async def test_a_model_that_fails_is_rejected_as_without_a_registry(world: World):
    world.ci.good = lambda model: False
    world.deploy("v1", **REGISTERS)
    status = await world.settle()
    assert (status["phase"], status["reason"]) == ("Failed", "CIFailed")
    assert not {"Registered", "NotRegistered"} & set(world.events())


async def test_a_version_of_the_registry_stays_that_version(world: World):
    model = {"uri": "models:/digits/3", "format": "onnx"}
    # The second one is resolved already, and served in another way.
    for serving in ({}, {"env": [{"name": "A", "value": "1"}]}):
        spec = {"model": model, "serving": serving, **REGISTERS}
        world.objects.apply(DIGITS, {"metadata": {"name": "digits"}, "spec": spec}, "user")
        status = await world.settle()
        assert (status["phase"], status["stable"]["registered"]) == ("Promoted", "digits/3")
    assert status["previous"]["registered"] == "digits/3"
    asked = [world.runs.read(run)["parameters"]["registration"] for run in world.runs.ids]
    assert {each["version"] for each in asked} == {"3"}
