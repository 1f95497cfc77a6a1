"""A server imports what it uses: each package costs memory in every pod."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib.util import find_spec

import httpx
import pytest

from tests.unit.inference.inference_process import BODY, save_negation

ROOMS = ("grpc_front", "profile", "score", "stream", "backends.torch", "backends.mlflow.pyfunc")
PACKAGES = {"httptools", "numpy", "onnxruntime", "orjson", "prometheus_client", "uvloop"}


async def imported(folder, *flags, ask):
    """The modules of a server that was asked for what it has."""
    with (folder / "imports").open("wb") as imports:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "importtime", "-m", "mooring_inference"),
            *("--model_name=m", f"--model_dir={folder}", "--host=127.0.0.1", "--http_port=0"),
            *("--drain_seconds=0", *flags),
            stdout=asyncio.subprocess.PIPE,
            stderr=imports,
            env=os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        )
        try:
            port = None
            while (line := json.loads(await process.stdout.readline()))["message"] != "model ready":
                port = line.get("port", port)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                await ask(client)
            process.terminate()
            await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    lines = (folder / "imports").read_text().splitlines()
    return {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


async def ask_for_everything(client):
    binary = {"inputs": BODY["inputs"], "outputs": [{"name": "y", "parameters": {"binary_data": True}}]}
    for path, body in (
        ("/v2/models/m/infer", BODY),
        ("/v2/models/m/infer", binary),
        ("/v1/models/m:predict", {"instances": [[1, 2]]}),
        ("/v1/models/m:explain", {"instances": [[1, 2]]}),
    ):
        assert (await client.post(path, json=body)).status_code == 200
    for path in ("/metrics", "/v2/models/m", "/v2/health/ready", "/openapi.json"):
        assert (await client.get(path)).status_code == 200


async def test_a_server_over_rest_imports_no_more_than_it_uses(tmp_path):
    found = await imported(save_negation(tmp_path), ask=ask_for_everything)
    packages = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names)
    # Some are looked for and not there.
    packages = {name for name in packages if find_spec(name) is not None}
    assert {name for name in packages if not name.startswith(("_", "mooring_"))} == PACKAGES
    assert [name for room in ROOMS for name in found if name.startswith(f"mooring_inference.{room}")] == []


@pytest.mark.parametrize(("flag", "package"), [("--grpc_port=0", "grpc"), ("--capture_uri={}", "pyarrow")])
async def test_what_a_setting_needs_is_seen(tmp_path, flag, package):
    async def ask(client):
        assert (await client.post("/v2/models/m/infer", json=BODY)).status_code == 200

    found = await imported(save_negation(tmp_path), flag.format(tmp_path / "captured"), ask=ask)
    assert package in {name.partition(".")[0] for name in found}
