"""What a whole run of model-ci takes beside the bare work of its steps: a classifier of scikit-learn's digits.

    python tests/benchmarks/ci_run.py [--times 3]

The bare work is that of the same functions in one process, once everything is imported. A Job runs the steps one
after the other as processes of one pod; the embedded server is `mooring pipelines serve`, asked by the operator's
adapter. Seconds by the wall, of the fastest of some runs; of a Job also CPU seconds, which others on the machine change
less.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any

from mooring_operator.adapters.pipelines import PipelinesUnavailable
from mooring_operator.adapters.pipelines.kfp import KfpPipelines
from mooring_operator.adapters.pipelines.kfp_client import KfpSettings
from mooring_operator.planning.runs.run import RunOwner, RunRequest
from mooring_pipelines.compilation import PACKAGED

from cluster.processes import free_ports

GATES = [{"metric": "accuracy", "min": 0.9}, {"metric": "latencyP95Ms", "max": 1000}]
AIM_S = 5.0


def make_files(folder: Path) -> None:
    """Write a classifier of digits, and the rows that it has not seen."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from skl2onnx import to_onnx
    from sklearn import datasets, linear_model

    data = datasets.load_digits()
    x, y = data.data.astype(np.float32), data.target
    model = linear_model.LogisticRegression(max_iter=1000).fit(x[:1200], y[:1200])
    made = to_onnx(model, x[:1], options={"zipmap": False})
    (folder / "model").mkdir()
    (folder / "model" / "model.onnx").write_bytes(made.SerializeToString())
    columns = {f"pixel{i}": x[1200:, i] for i in range(x.shape[1])}
    pq.write_table(pa.table({**columns, "label": y[1200:]}), folder / "test.parquet")


def parameters_of(folder: Path, run_id: str) -> dict[str, Any]:
    """Give what a run is told."""
    return {
        "model_uri": (folder / "model").as_uri(),
        "test_data_uri": (folder / "test.parquet").as_uri(),
        "gates": GATES,
        "verdict_uri": (folder / f"{run_id}.json").as_uri(),
        "run_id": run_id,
    }


def bare_work(folder: Path) -> dict[str, float]:
    """Do what the steps do, one after the other, in this process; give the seconds of each."""
    from mooring_components.champions import evaluate_beside
    from mooring_components.conclusions import conclude
    from mooring_components.datasets import load_test_data
    from mooring_components.feeding import feed_model
    from mooring_components.fetching import fetch_model
    from mooring_components.latency import summarize_latency, time_requests
    from mooring_components.models import open_model
    from mooring_components.options import TestOptions
    from mooring_components.report.step import write_reports
    from mooring_components.verdicts import write_verdict

    given, options, place = parameters_of(folder, "bare"), TestOptions(), Path(tempfile.mkdtemp(dir=folder))
    model, evidence, timings = place / "model", place / "evidence", place / "timings"
    seconds: dict[str, float] = {}

    @contextmanager
    def step(name: str) -> Iterator[None]:
        began = time.perf_counter()
        with redirect_stdout(None):
            yield
        seconds[name] = time.perf_counter() - began

    with step("fetch-model"):
        fetched = fetch_model(given["model_uri"], model)
        open_model(model, given["model_uri"])
    with step("evaluate-quality"):
        data = load_test_data(given["test_data_uri"], "label")
        found = evaluate_beside(model, data, options, [], "", "", place)
        evidence.write_text(found.evidence.model_dump_json())
    with step("measure-latency"):
        data = load_test_data(given["test_data_uri"], "label", expected_digest=data.digest)
        taken = time_requests(feed_model(open_model(model, threads=1), data, options.inputs, options.beside))
        timings.write_text(json.dumps(taken))
    with step("write-verdict"):
        quality = {**found.to_json(), "testDataDigest": data.digest}
        latency = summarize_latency(taken)
        judged = conclude("bare", given["model_uri"], fetched.facts, quality, latency, GATES, "", evidence)
        targets = (place / "report.md", place / "page.html")
        write_reports(judged.verdict, GATES, judged.found, judged.hint, (evidence, timings), targets, "")
        write_verdict(judged.verdict, given["verdict_uri"])
    assert judged.verdict.passed, judged.verdict.violations
    return seconds


def job(folder: Path) -> tuple[float, float]:
    """Run the pod's command line; give its seconds, and those of all its processes on the CPU."""
    before = _cpu_of_children()
    run_id, began = str(uuid.uuid4()), time.perf_counter()
    environment = {
        **os.environ,
        "MOORING_RUN_ID": run_id,
        "MOORING_RUN_PARAMETERS": json.dumps(parameters_of(folder, run_id)),
    }
    command = [sys.executable, "-I", "-m", "mooring_pipelines", "run", "--pipeline=model-ci"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return _ended(folder, run_id, began), _cpu_of_children() - before


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def served(folder: Path, pipelines: KfpPipelines) -> float:
    """Have the embedded server run it, as the operator does; give the seconds until it says that it has ended."""
    run_id, began = str(uuid.uuid4()), time.perf_counter()
    owner = RunOwner("mooring.dev/v1alpha1", "ModelDeployment", "digits", "uid")
    asked = RunRequest(
        run_id, "digits", "model-ci", parameters_of(folder, run_id), "ns", owner, timedelta(minutes=5)
    )
    await pipelines.launch(asked)
    while (state := await pipelines.get("ns", run_id)) is None or state.phase in ("Pending", "Running"):
        await asyncio.sleep(0.05)
    assert state.phase == "Succeeded", state.message
    return _ended(folder, run_id, began)


def _ended(folder: Path, run_id: str, began: float) -> float:
    seconds = time.perf_counter() - began
    assert json.loads((folder / f"{run_id}.json").read_text())["passed"]
    return seconds


@contextmanager
def serving(folder: Path) -> Iterator[KfpPipelines]:
    """Serve the API of Kubeflow Pipelines; give the operator's adapter to it."""
    port = free_ports(1)[0]
    command = [
        sys.executable,
        "-m",
        "mooring_pipelines",
        "serve",
        "--port",
        str(port),
        "--data-dir",
        str(folder),
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pipelines = KfpPipelines(
        KfpSettings(f"http://127.0.0.1:{port}"), {"model-ci": PACKAGED / "model-ci.yaml"}
    )
    try:
        asyncio.run(_until_it_answers(pipelines))
        yield pipelines
    finally:
        server.terminate()
        server.wait()


async def _until_it_answers(pipelines: KfpPipelines) -> None:
    async with asyncio.timeout(120):
        while True:
            try:
                await pipelines.get("ns", str(uuid.uuid4()))
                return
            except PipelinesUnavailable:
                await asyncio.sleep(0.1)


def main() -> None:
    """Measure all three, and say how much more a whole run takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=3, help="how often each is run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    arguments = parser.parse_args()
    times = arguments.times
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder)
        # The first time, everything is imported.
        steps = min((bare_work(folder) for _ in range(times + 1)), key=lambda steps: sum(steps.values()))
        jobs, cpu = min(job(folder) for _ in range(times))
        with serving(folder / "kfp") as pipelines:
            on_server = min(asyncio.run(served(folder, pipelines)) for _ in range(times))
    bare = sum(steps.values())
    for step, seconds in steps.items():
        print(f"{step:24} {seconds:7.2f} s")
    print(f"{'bare work':24} {bare:7.2f} s")
    print(f"{'the command of a Job':24} {jobs:7.2f} s, {jobs - bare:.2f} s more; {cpu:.2f} CPU s")
    print(f"{'embedded server':24} {on_server:7.2f} s, {on_server - bare:.2f} s more; the aim is {AIM_S:g} s")
    if arguments.json:
        figures = {"steps_s": steps, "bare_s": bare, "job_s": jobs, "job_cpu_s": cpu, "server_s": on_server}
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
