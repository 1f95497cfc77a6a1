"""What the server says about itself is what it does: schemathesis sends it whatever the document allows, and more."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.unit.inference.inference_process import running, save_negation


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


async def test_the_server_keeps_to_its_openapi_document(model_dir, tmp_path):
    async with running(model_dir) as server:
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("st")),
            "run",
            f"http://127.0.0.1:{server.port}/openapi.json",
            # A tensor that fits the document may still not fit the model.
            "--exclude-checks=positive_data_acceptance",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=25",
            "--seed=1",
            "--generation-database=none",
            "--no-color",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        assert (await server.client.get("/v2/health/live")).status_code == 200


async def test_the_page_for_people_names_every_path_and_needs_nothing_from_elsewhere(model_dir):
    async with running(model_dir) as server:
        page = (await server.client.get("/docs")).text
        for path in (await server.client.get("/openapi.json")).json()["paths"]:
            assert path in page
        assert "src=" not in page
        assert "http://" not in page.replace("http://127.0.0.1", "")
