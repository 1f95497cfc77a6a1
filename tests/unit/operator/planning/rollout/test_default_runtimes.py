"""The runtime of models whose spec names none."""

from dataclasses import dataclass, field, replace

import pytest
from mooring_operator.adapters.routers.inference_services.manifest import predictor

from tests.unit.operator.planning.world import World, spec_of


@dataclass
class WithRuntimes(World):
    runtimes: dict[str, str] = field(default_factory=dict)

    def observe(self):
        return replace(super().observe(), runtimes=dict(self.runtimes))


def runtime_of(revision):
    return predictor(revision)["model"].get("runtime")


@pytest.mark.parametrize(
    ("runtimes", "serving", "expected"),
    [
        ({}, {}, None),
        ({"onnx": "mooring-inference"}, {}, "mooring-inference"),
        ({"mlflow": "mooring-inference"}, {}, None),
        ({"onnx": "mooring-inference"}, {"runtime": "triton"}, "triton"),
    ],
)
def test_format_decides_where_the_spec_is_silent(runtimes, serving, expected):
    world = WithRuntimes(spec_of(serving=serving), runtimes=runtimes)
    world.settle()
    assert world.status.phase == "Promoted"
    assert runtime_of(world.status.stable) == expected


def test_another_default_is_for_revisions_that_come_later():
    world = WithRuntimes(spec_of(), runtimes={})
    world.settle()
    first = world.status.stable
    world.runtimes = {"onnx": "mooring-inference"}
    world.settle()
    assert world.status.stable == first, "no rollout, and no pods that restart"
    world.apply(spec_of("v2"))
    world.settle()
    assert runtime_of(world.status.stable) == "mooring-inference"
    assert runtime_of(world.status.previous) is None
    # Back to the revision before: as it was.
    world.runtimes = {"onnx": "another"}
    world.command("rollback")
    world.settle()
    assert world.status.stable.revision == first.revision
    assert runtime_of(world.status.stable) is None


def test_default_runtime_is_no_content_of_a_revision():
    plain, told = WithRuntimes(spec_of()), WithRuntimes(spec_of(), runtimes={"onnx": "mooring-inference"})
    plain.settle()
    told.settle()
    assert plain.status.stable.revision == told.status.stable.revision
