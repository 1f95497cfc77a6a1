"""The server as its image starts it: what lies in the working folder or on PYTHONPATH is not run."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.unit.inference.inference_process import save_negation

ROOT = Path(__file__).parents[3]
# What the server, its workers and the libraries that they use import.
PLANTED = (
    "sitecustomize",
    "usercustomize",
    "orjson",
    "numpy",
    "yaml",
    "uvloop",
    "logging",
    "mooring_inference",
)


def entrypoint(dockerfile):
    """The program that an image starts, with this environment's Python."""
    (line,) = re.findall(r"^ENTRYPOINT \[(.*)\]$", (ROOT / dockerfile).read_text(), re.MULTILINE)
    program, *arguments = re.findall(r'"([^"]*)"', line)
    assert Path(program).name == "python"
    return [sys.executable, *arguments]


@pytest.fixture
def planted(tmp_path):
    """(a model's folder that also holds modules, the file that they write)"""
    marker = tmp_path / "ran"
    folder = save_negation(tmp_path / "model")
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(marker)!r}, 'a').write({name!r} + ' ')\n")
    return folder, marker


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_model_s_folder_is_no_place_for_code(planted, workers):
    folder, marker = planted
    process = await asyncio.create_subprocess_exec(
        *entrypoint("inference/Dockerfile"),
        "--model_name=m",
        f"--model_dir={folder}",
        "--host=127.0.0.1",
        "--http_port=0",
        f"--workers={workers}",
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PYTHONSTARTUP": str(folder / "yaml.py"), "HOME": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            for _ in range(workers):
                while b'"model ready"' not in (line := await process.stdout.readline()):
                    assert line, (await process.stderr.read()).decode()
    finally:
        process.terminate()
        await process.communicate()
    assert not marker.exists()


@pytest.mark.parametrize("dockerfile", ["operator/Dockerfile", "components/Dockerfile"])
async def test_the_other_images_start_isolated_as_well(planted, dockerfile):
    folder, marker = planted
    python, *arguments = entrypoint(dockerfile)
    flags = arguments[: arguments.index("-m")]
    code = "import sys; sys.exit(not (sys.flags.isolated and sys.flags.no_user_site and sys.flags.safe_path))"
    process = await asyncio.create_subprocess_exec(
        python, *flags, "-c", code, cwd=folder, env={"PYTHONPATH": str(folder)}
    )
    assert await process.wait() == 0
    assert not marker.exists()
