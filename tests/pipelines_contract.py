"""What holds for every backend of the `Pipelines` port; each has a test module that inherits these tests."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any, Protocol

import pytest
from mooring_operator.adapters.pipelines import Pipelines, PipelinesRefused, PipelinesUnavailable
from mooring_operator.planning.runs.run import RunRequest, RunState

SECONDS = 60


class Backend(Protocol):
    """A backend whose runs a test can end."""

    pipelines: Pipelines
    other: Pipelines
    """The same backend as another process of the operator sees it."""
    away: Pipelines
    """The backend while it does not answer."""

    def request(self, run_id: str) -> RunRequest:
        """A run that goes on until it is ended."""

    def end(self, run_id: str, how: str) -> None:
        """Have a run succeed or fail."""

    async def act(self) -> None:
        """Let what runs the runs do something."""

    async def received(self, run_id: str) -> dict[str, Any]:
        """The parameters that the run got."""

    async def runs(self) -> list[str]:
        """The ids of all runs that were made and are still there."""


async def until(backend: Backend, run_id: str, *phases: str) -> RunState:
    async with asyncio.timeout(SECONDS):
        while True:
            state = await backend.pipelines.get(backend.request(run_id).namespace, run_id)
            if (state.phase if state is not None else "gone") in phases:
                return state
            await backend.act()


class PipelinesContract:
    @pytest.fixture
    def run(self, backend: Backend) -> RunRequest:
        return backend.request(str(uuid.uuid4()))

    async def test_an_unknown_run_is_none_and_can_be_terminated(self, backend: Backend, run: RunRequest):
        assert await backend.pipelines.get(run.namespace, run.run_id) is None
        await backend.pipelines.terminate(run.namespace, run.run_id)
        assert await backend.pipelines.get(run.namespace, run.run_id) is None

    @pytest.mark.parametrize(("how", "phase"), [("succeed", "Succeeded"), ("fail", "Failed")])
    async def test_a_run_goes_on_until_it_ends_and_stays_ended(self, backend: Backend, run, how, phase):
        await backend.pipelines.launch(run)
        state = await until(backend, run.run_id, "Running")
        assert (state.run_id, state.queued) == (run.run_id, False)
        backend.end(run.run_id, how)
        state = await until(backend, run.run_id, "Succeeded", "Failed")
        assert (state.phase, bool(state.message)) == (phase, phase == "Failed")
        await backend.pipelines.terminate(run.namespace, run.run_id)
        assert await backend.other.get(run.namespace, run.run_id) == state

    async def test_launching_an_id_again_and_at_once_makes_one_run(self, backend: Backend, run):
        outcomes = await asyncio.gather(
            *(each.launch(run) for each in (backend.pipelines, backend.other) * 3), return_exceptions=True
        )
        # Who loses a race may say so; what must not be is a second run.
        assert all(outcome is None or isinstance(outcome, PipelinesUnavailable) for outcome in outcomes)
        await until(backend, run.run_id, "Running")
        await backend.other.launch(run)
        assert (await backend.runs()).count(run.run_id) == 1
        backend.end(run.run_id, "succeed")
        await until(backend, run.run_id, "Succeeded")

    async def test_a_terminated_run_ends_and_does_not_succeed(self, backend: Backend, run):
        await backend.pipelines.launch(run)
        await until(backend, run.run_id, "Running")
        for _ in range(2):
            await backend.pipelines.terminate(run.namespace, run.run_id)
        await until(backend, run.run_id, "gone", "Failed", "Canceled")

    async def test_parameters_arrive_as_they_were_written(self, backend: Backend, run):
        await backend.pipelines.launch(run)
        await until(backend, run.run_id, "Running")
        assert await backend.received(run.run_id) == dict(run.parameters)
        backend.end(run.run_id, "succeed")
        await until(backend, run.run_id, "Succeeded")

    async def test_a_pipeline_or_parameters_that_cannot_be_are_refused_and_make_no_run(
        self, backend: Backend, run
    ):
        with pytest.raises(PipelinesRefused):
            await backend.pipelines.launch(self.impossible(run))
        assert run.run_id not in await backend.runs()

    async def test_a_backend_that_does_not_answer_is_unavailable(self, backend: Backend, run):
        for call in (
            backend.away.launch(run),
            backend.away.get(run.namespace, run.run_id),
            backend.away.terminate(run.namespace, run.run_id),
        ):
            with pytest.raises(PipelinesUnavailable):
                await call

    async def test_a_run_says_since_when_its_time_counts(self, backend: Backend, run):
        await backend.pipelines.launch(run)
        state = await until(backend, run.run_id, "Running")
        assert state.started_at is not None
        assert state.started_at.tzinfo is not None
        backend.end(run.run_id, "succeed")
        ended = await until(backend, run.run_id, "Succeeded")
        assert ended.started_at == state.started_at

    def impossible(self, run: RunRequest) -> RunRequest:
        """A request that the backend cannot take."""
        raise NotImplementedError
