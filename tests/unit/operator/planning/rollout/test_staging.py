"""What MLflow hands out itself is copied first: the copy is what is tested and served, and nothing else."""

from dataclasses import replace

import pytest
from mooring_artifacts.staging import staged_uri
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.planning.rollout.actions import LaunchRun, RunForTest
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.rollout.situation import Resolved, Verdict
from mooring_operator.planning.runs.run import RunState

from tests.unit.operator.planning.world import CI, World, digest

ROOT = "s3://models/ns/staged"
MODEL = {"uri": "models:/digits@champion", "format": "onnx"}


def source(version):
    return f"mlflow-artifacts:/1/models/m-{version}/artifacts"


def resolved(version):
    return Resolved(source(version), None, f"digits/{version}")


def copy_of(version):
    return staged_uri(ROOT, digest(source(version)))


def world_of(version="1", **fields):
    model = {**MODEL, **fields.pop("model", {})}
    spec = ModelDeploymentSpec.model_validate({"ci": CI, **fields, "model": model})
    return World(spec, model=resolved(version), staging=ROOT)


def test_the_copy_is_tested_and_served():
    world = world_of()
    decision = world.step()
    (launch,) = (action for action in decision.actions if isinstance(action, LaunchRun))
    assert (launch.copy_to, launch.candidate.storage_uri) == (ROOT, source("1"))
    assert decision.message.startswith("copying revision ")
    assert world.settle().phase == "Promoted"
    stable = world.status.stable
    assert (stable.storage_uri, stable.digest) == (copy_of("1"), digest(source("1")))
    assert (stable.model_uri, stable.registered) == (MODEL["uri"], "digits/1")
    assert (len(world.copied), len(world.launched)) == (1, 1)
    tested = [action for action in world.actions if isinstance(action, LaunchRun) and not action.copy_to]
    assert {action.candidate.storage_uri for action in tested} == {copy_of("1")}
    assert world.served[0].storage_uri == copy_of("1")


def test_an_alias_that_moves_is_copied_anew_and_one_that_stays_is_not():
    world = world_of()
    world.settle()
    assert world.settle().phase == "Promoted"
    assert len(world.copied) == 1
    world.model = resolved("2")
    assert world.settle().phase == "Promoted"
    assert (world.status.stable.storage_uri, world.status.previous.storage_uri) == (
        copy_of("2"),
        copy_of("1"),
    )
    assert (len(world.copied), len(world.launched)) == (2, 2)


def test_a_version_that_was_copied_is_served_in_another_way_by_its_copy():
    world = world_of()
    world.settle()
    world.apply(world_of(serving={"env": [{"name": "A", "value": "1"}]}).spec)
    assert world.settle().phase == "Promoted"
    assert world.status.previous is not None
    assert world.status.stable.storage_uri == copy_of("1")
    assert len(world.copied) == 1


def test_what_is_tested_where_it_serves_is_brought_up_from_the_copy():
    world = world_of(ci={**CI, "target": "Endpoint"})
    assert world.settle().phase == "Promoted"
    brought_up = [action.revision.storage_uri for action in world.actions if isinstance(action, RunForTest)]
    assert set(brought_up) == {copy_of("1")}
    ((_, where),) = world.tested_at
    assert where.startswith("http://")


def test_a_bad_model_is_rejected_and_copied_again_by_a_retry_alone():
    world = world_of()
    world.good = {copy_of("1"): False}
    assert (world.settle().phase, world.status.reason) == ("Failed", "CIFailed")
    world.now += world.spec.model.poll_interval
    world.settle()
    assert len(world.copied) == 1
    world.good = {}
    world.command("retry")
    assert world.settle().phase == "Promoted"
    assert len(world.copied) == 2


@pytest.mark.parametrize("spent", range(1, 6))
def test_a_crash_anywhere_copies_and_tests_once(spent):
    world = world_of()
    for _ in range(spent):
        world.step()
    world.step(crash_after=0)
    assert world.settle().phase == "Promoted"
    assert (len(world.copied), len(world.launched)) == (1, 1)


def test_planning_again_on_the_result_changes_nothing():
    world = world_of()
    for _ in range(8):
        decision = world.step()
        again = plan(world.spec, decision.status, world.observed, world.now)
        assert again.status == decision.status
        world.now += world.spec.model.poll_interval / 100


@pytest.mark.parametrize(
    ("fields", "staging", "lacks"),
    [({}, "", "MOORING_STAGING_ROOT"), ({"ci": None}, ROOT, "the spec has no ci")],
)
def test_what_cannot_be_copied_is_refused_and_says_what_it_lacks(fields, staging, lacks):
    world = replace(world_of(**fields), staging=staging)
    decision = world.settle()
    assert (decision.phase, decision.reason) == ("Failed", "ArtifactsProxied")
    assert lacks in decision.message
    assert not world.launched
    assert not world.copied


def test_what_serves_goes_on_where_the_setting_is_gone():
    world = world_of()
    world.settle()
    world.staging = ""
    assert world.settle().phase == "Promoted"
    world.model = resolved("2")
    decision = world.settle()
    assert decision.reason == "ArtifactsProxied"
    assert world.served[0].storage_uri == copy_of("1")


def look(world, **seen):
    observed = replace(world.observe(), **seen)
    return plan(world.spec, world.status, observed, world.now)


@pytest.mark.parametrize(
    ("pinned", "seen", "reason", "said"),
    [
        (None, {"verdict_error": "stage-model: MLflow answered 401"}, "CIRunFailed", "MLflow answered 401"),
        (None, {"digest": None}, "VerdictMissing", "does not say which files"),
        (digest("x"), {"digest": digest("y")}, "VerdictMismatch", "is pinned to"),
        (None, {"run_id": "another"}, "VerdictMismatch", "the verdict is of run another"),
    ],
)
def test_a_copy_that_went_wrong_rejects_the_candidate(pinned, seen, reason, said):
    world = world_of(model={"digest": pinned} if pinned else {})
    world.model = replace(resolved("1"), digest=pinned)
    world.step()
    run_id = world.status.ci.run_id
    error = seen.get("verdict_error")
    found = (
        None
        if error
        else Verdict(**{"run_id": run_id, "digest": digest("x"), "passed": True, "metrics": {}, **seen})
    )
    run = RunState(run_id, "Failed" if error else "Succeeded")
    decision = look(world, run=run, verdict=found, verdict_error=error)
    if error:
        world.status = decision.status
        world.now += world.spec.model.poll_interval
    decision = look(world, run=run, verdict=found, verdict_error=error)
    assert (decision.phase, decision.reason) == ("Failed", reason)
    assert said in decision.message
