"""Condition Capturing: whether requests are kept as the spec asks."""

from dataclasses import dataclass, replace

import pytest
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.capturing import collects
from mooring_operator.planning.routes import CollectorState

from tests.unit.operator.planning.fleet import EACH, Fleet
from tests.unit.operator.planning.world import World, spec_of

CAPTURE = {"store": "s3://captured"}


@dataclass
class On(Fleet):
    """A world in which all models run on one runtime."""

    router: object = EACH
    server_type: str = "mooring-inference"
    arguments: tuple = ()

    def observe(self):
        spec = {"containers": [{"name": "kserve-container", "image": "i", "args": [*self.arguments]}]}
        runtime = PinnedRuntime(kind="ServingRuntime", name="own", server_type=self.server_type, spec=spec)
        return replace(super().observe(), runtime=runtime)


@dataclass
class OnNoCopy(Fleet):
    """A world in which each model has an object of its own, and a container of its own."""

    router: object = EACH

    def observe(self):
        return replace(super().observe(), runtime=None)


def capturing(world):
    world.settle()
    found = {condition.type: condition for condition in world.status.conditions}.get("Capturing")
    return found and (found.status, found.reason)


def told(world):
    return [action.reason for action in world.actions if isinstance(action, Notify)]


@pytest.mark.parametrize(
    ("server_type", "arguments", "args", "expected"),
    [
        ("mooring-inference", (), [], ("True", "RequestsKept")),
        ("mooring-inference", ("--capture_uri=s3://all",), [], ("False", "CaptureOverridden")),
        ("mooring-inference", ("--capture-uri", "s3://all"), [], ("False", "CaptureOverridden")),
        ("mooring-inference", (), ["--capture_uri=s3://mine"], ("False", "CaptureOverridden")),
        ("mooring-inference", ("--capture_uri_file=a", "capture_uri=b"), [], ("True", "RequestsKept")),
        ("mlserver", (), ["--capture_uri=s3://mine"], ("False", "CaptureOverridden")),
    ],
)
def test_the_runtime_decides_whether_requests_are_kept(server_type, arguments, args, expected):
    world = On(
        spec_of(serving={"capture": CAPTURE, "args": args}), server_type=server_type, arguments=arguments
    )
    assert capturing(world) == expected
    assert world.status.phase == "Promoted"
    assert told(world).count(expected[1]) == (1 if expected[0] == "False" else 0)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (None, ("Unknown", "CaptureUnconfirmed")),
        (CollectorState(starting="no pod is ready yet"), ("Unknown", "CaptureUnconfirmed")),
        (CollectorState(), ("True", "RequestsKept")),
        (CollectorState(problem="no such image"), ("False", "CollectorUnavailable")),
        (CollectorState(taken="TrustyAI has the logger"), ("False", "CaptureOverridden")),
    ],
)
@pytest.mark.parametrize("server_type", ["mlserver", ""])
def test_a_collector_keeps_the_requests_of_another_server(server_type, state, expected):
    world = On(spec_of(serving={"capture": CAPTURE}), server_type=server_type, collector=state)
    assert capturing(world) == expected
    assert world.status.phase == "Promoted"
    assert told(world).count(expected[1]) == (1 if expected[0] == "False" else 0)
    assert collects(world.status.stable)


def test_a_collector_is_looked_at_until_it_runs():
    world = On(spec_of(serving={"capture": CAPTURE}), server_type="mlserver")
    for state, seconds in (
        (CollectorState(starting="soon"), 15),
        (CollectorState(problem="no such image"), 60),
        (CollectorState(), None),
    ):
        world.collector = state
        world.settle()
        assert world.step().recheck_after == seconds


@pytest.mark.parametrize("within", [lambda logger: logger, lambda logger: {"template": logger}])
def test_a_logger_of_the_spec_goes_before(within):
    logger = within({"logger": {"url": "http://logger.ml"}})
    world = On(spec_of(serving={"capture": CAPTURE, **logger}), server_type="mlserver")
    assert capturing(world) == ("False", "CaptureOverridden")
    assert not collects(world.status.stable)
    # Our own runtime keeps them itself, whatever else is sent where.
    world = On(spec_of(serving={"capture": CAPTURE, **logger}))
    assert capturing(world) == ("True", "RequestsKept")


def test_it_is_not_known_what_runs_on_no_copy():
    for world, way in (
        (World, "spec.rollout.router Gateway or Endpoints"),
        (OnNoCopy, "spec.serving.runtime"),
    ):
        played = world(spec_of(serving={"capture": CAPTURE}))
        assert capturing(played) == ("Unknown", "CaptureUnconfirmed")
        [said] = [one.message for one in played.status.conditions if one.type == "Capturing"]
        assert "For another server there is no collector" in said
        assert said.endswith(way)


def test_nothing_is_said_where_nothing_is_asked_for():
    assert capturing(On(spec_of(), server_type="mlserver")) is None


def test_capture_is_of_the_revision_and_rolled_out():
    """Its pods start anew."""
    world = On(spec_of())
    world.settle()
    first = world.status.stable.revision
    world.apply(spec_of(serving={"capture": CAPTURE}))
    assert capturing(world) == ("True", "RequestsKept")
    assert world.status.stable.revision != first
    second = world.status.stable.revision
    # By meaning: all of them, in another order, is the same.
    world.apply(spec_of(serving={"capture": {**CAPTURE, "sample": 1, "features": []}}))
    world.settle()
    assert world.status.stable.revision == second


def test_the_order_of_features_and_the_unit_of_a_duration_are_no_change():
    one = {**CAPTURE, "features": ["a", "b"], "retention": "90m"}
    world = On(spec_of(serving={"capture": one}))
    world.settle()
    first = world.status.stable.revision
    world.apply(spec_of(serving={"capture": {**one, "features": ["b", "a"], "retention": "1h30m"}}))
    world.settle()
    assert world.status.stable.revision == first


def test_a_rejected_revision_leaves_one_that_keeps_nothing():
    world = On(spec_of("v1"))
    world.settle()
    world.startable = {"s3://m/v2": False}
    world.apply(spec_of("v2", serving={"capture": CAPTURE}, rollout={"progressDeadline": "30s"}))
    assert capturing(world) == ("False", "CaptureNotServed")
    assert world.status.phase == "RolledBack"
    assert told(world).count("CaptureNotServed") == 1


def test_addresses_of_files_are_for_development():
    world = On(spec_of(serving={"capture": {"store": "file:///tmp/captured"}}))
    world.step()
    assert world.status.reason == "AddressNotAllowed"
    assert "spec.serving.capture.store" in world.status.message
