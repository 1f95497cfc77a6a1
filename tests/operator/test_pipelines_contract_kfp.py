"""Kubeflow Pipelines as a backend of the port: the adapter before the pipelines server."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from kfp import dsl
from mooring_operator.adapters.pipelines.kfp import KfpPipelines
from mooring_operator.adapters.pipelines.kfp_client import KfpSettings
from mooring_operator.planning.runs.run import RunOwner, RunRequest

from tests.operator.test_kfp_server import Server, compiled
from tests.pipelines_contract import PipelinesContract

OWNER = RunOwner("mooring.dev/v1alpha1", "ModelDeployment", "digits", "9a1f2f6e-0000-4000-8000-000000000000")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def obey(path: str, text: str):
    """Go on until the file `path` says how to end."""
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.02)
    with open(path) as file:
        if file.read() == "fail":
            raise ValueError("as it was told")


@dsl.pipeline(name="obeying")
def obeying(path: str, text: str):
    obey(path=path, text=text)


class Kfp:
    def __init__(self, server: Server, folder: Path) -> None:
        self._server, self._folder = server, folder
        pipelines = {"obeying": Path(compiled(obeying)[0])}
        self.pipelines, self.other = (KfpPipelines(KfpSettings(server.host), pipelines) for _ in range(2))
        self.away = KfpPipelines(KfpSettings("http://127.0.0.1:1"), pipelines)

    def request(self, run_id: str) -> RunRequest:
        parameters = {"path": str(self._folder / run_id), "text": 'an é, "quotes" and $(HOME) $$(HOME)'}
        return RunRequest(run_id, "a run", "obeying", parameters, "team", OWNER, timedelta(minutes=5))

    def end(self, run_id: str, how: str) -> None:
        draft = self._folder / f"{run_id}.draft"
        draft.write_text(how)
        draft.rename(self._folder / run_id)

    async def act(self) -> None:
        await asyncio.sleep(0.1)

    async def received(self, run_id: str) -> dict:
        return json.loads(self._server.read(f"runs/{run_id}").data)["runtime_config"]["parameters"]

    async def runs(self) -> list[str]:
        return [run.run_id for run in self._server.runs.run_service_list_runs(page_size=200).runs or []]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("kfp")).start()
    yield server
    server.stop()


class TestKfp(PipelinesContract):
    @pytest.fixture
    def backend(self, server, tmp_path):
        return Kfp(server, tmp_path)

    def impossible(self, run: RunRequest) -> RunRequest:
        return replace(run, parameters={**run.parameters, "unknown": 1})
