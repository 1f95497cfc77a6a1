"""A run that cannot be looked at is waited for; a person and an edit have their say all the same."""

from contextlib import suppress

import pytest
from mooring_operator.adapters.documents import DocumentsUnavailable, StoredDocuments
from mooring_operator.adapters.pipelines import PipelinesRefused, PipelinesUnavailable

from tests.operator.world import ROLLOUT, World

ASKED = ROLLOUT["ci"]


async def refuses(namespace, run_id):
    raise PipelinesRefused("403: user mooring may not get runs")


@pytest.fixture
async def testing(world: World) -> World:
    """v1 serves; the run that tests v2 is under way, and was seen to be."""
    await world.promote("v1")
    world.ci.held = True
    world.deploy("v2", **ROLLOUT)
    await world.settle_in("Testing")
    await world.step()
    assert world.status["ci"]["state"] == "Running"
    return world


async def look(world: World, times: int = 4) -> None:
    for _ in range(times):
        with suppress(PipelinesUnavailable, DocumentsUnavailable):
            await world.step()


async def test_an_edit_that_takes_the_candidate_back_needs_no_pipelines(testing: World):
    testing.runs.away = True
    await look(testing)
    assert (testing.phase, testing.status["reason"]) == ("Testing", "PipelinesUnavailable")
    testing.deploy("v1", **ROLLOUT)
    await look(testing)
    assert (testing.phase, testing.status["stable"]["modelUri"]) == ("Promoted", "s3://m/v1")
    assert "candidate" not in testing.status
    # The run is ended as soon as somebody can.
    [abandoned] = testing.status["abandonedRuns"]
    testing.runs.away = False
    await testing.settle()
    assert testing.runs.read(abandoned["runId"])["phase"] == "Canceled"


async def test_nor_does_an_abort(testing: World):
    testing.runs.away = True
    await look(testing)
    testing.command("abort", testing.status["candidate"]["revision"])
    await look(testing)
    assert (testing.phase, testing.status["reason"]) == ("Failed", "Aborted")
    assert "was aborted by alice" in testing.status["message"]


async def test_a_run_that_cannot_be_asked_about_is_not_taken_for_lost(testing: World):
    launched = list(testing.runs.launches)
    testing.runs.away = True
    await look(testing)
    assert "trying again; revision" in testing.status["message"]
    testing.runs.away = False
    testing.ci.held = False
    assert (await testing.settle())["stable"]["modelUri"] == "s3://m/v2"
    assert testing.runs.launches == launched


async def test_pipelines_that_refuse_to_tell_of_a_run_are_waited_for(testing: World, monkeypatch):
    monkeypatch.setattr(testing.runs, "get", refuses, raising=False)
    for _ in range(3):
        with pytest.raises(PipelinesUnavailable, match="403"):
            await testing.step()
    assert (testing.phase, testing.status["reason"]) == ("Testing", "PipelinesUnavailable")
    assert "403: user mooring may not get runs; trying again" in testing.status["message"]
    assert testing.events().count("PipelinesUnavailable") == 1
    monkeypatch.undo()
    testing.ci.held = False
    assert (await testing.settle())["stable"]["modelUri"] == "s3://m/v2"


async def test_a_store_that_is_away_keeps_the_verdict_and_nothing_else(testing: World, monkeypatch):
    async def away(self, uri):
        raise DocumentsUnavailable("s3://verdicts does not answer")

    monkeypatch.setattr(StoredDocuments, "verdict", away)
    testing.ci.held = False
    await look(testing)
    assert (testing.phase, testing.status["reason"]) == ("Testing", "VerdictsUnavailable")
    testing.deploy("v1", **ROLLOUT)
    await look(testing)
    assert testing.phase == "Promoted"
