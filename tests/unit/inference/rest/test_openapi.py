"""What the server says about itself is what it does: schemathesis sends it whatever the document allows, and more."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.unit.inference.inference_process import running, save_negation

PROTOCOL = Path(__file__).with_name("open_inference.yaml")


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("document", ["its own", "the protocol's"])
async def test_the_server_keeps_to_openapi_documents(model_dir, tmp_path, document):
    async with running(model_dir) as server:
        url = f"http://127.0.0.1:{server.port}"
        place = [f"{url}/openapi.json"] if document == "its own" else [str(PROTOCOL), f"--url={url}"]
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("st")),
            "run",
            *place,
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
