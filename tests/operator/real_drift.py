"""A DriftMonitor whose evaluations are made, of files in folders that stand for the stores."""

import json
import os
import shutil
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest_asyncio
from mooring_components.drift.report import answer
from mooring_inference.capture.columns import TIME_TYPE

from tests.operator.emulator import Emulator
from tests.operator.surroundings import Evaluations
from tests.operator.world import MONITOR, World

ROWS = 2000
WINDOW = timedelta(minutes=10)
GRACE = timedelta(minutes=2)
_REQUEST = pa.struct(
    [
        ("id", pa.string()),
        ("row", pa.int32()),
        ("time", TIME_TYPE),
        ("status", pa.int32()),
        ("latency_seconds", pa.float64()),
    ]
)


class RealEvaluations(Evaluations):
    """Makes the evaluations that are asked for, of files in folders named as the buckets are."""

    def _report(self, run_id):
        stores = self.runs.folder.parent / "stores"
        asked = json.dumps(self.made[-1]).replace("s3://", f"file://{stores}/")
        return json.loads(answer(json.loads(asked), run_id).document.to_json())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watching(tmp_path_factory):
    """v1 keeps its requests, and its evaluations are real."""
    folder = tmp_path_factory.mktemp("inputs")
    async with Emulator() as emulator:
        world = World(emulator, folder)
        world.evaluations = RealEvaluations(world.runs)
        await world.start()
        await world.promote("v1", serving={"capture": {"store": "s3://captured"}})
        yield world
        await world.stop()


def columns(seed=0, rows=ROWS, **others):
    """Columns age and x, and income, which `moved` doubles."""
    rng = np.random.default_rng(seed)
    moved = others.pop("moved", 1)
    drawn = {
        "age": rng.normal(size=rows),
        "income": rng.lognormal(size=rows) * moved,
        "x": rng.normal(size=rows),
    }
    return {name: values for name, values in {**drawn, **others}.items() if values is not None}


def conditions(world):
    """The monitor's conditions by type."""
    return {one["type"]: one for one in world.objects.get(MONITOR)["status"]["conditions"]}


def stored(table, damage=False):
    """The bytes of a file of rows; one in its middle is damaged."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table), sink, write_page_checksum=True, compression="none")
    content = bytearray(sink.getvalue())
    if damage:
        content[len(content) // 3] ^= 1
    return bytes(content)


class KeptRows:
    """What a server keeps of its requests, window by window; the store has the world's clock, as the server has."""

    def __init__(self, world, **spec):
        self.world = world
        revision = world.status["stable"]["revision"]
        stores = world.folder / "stores"
        self.folder = stores / f"captured/deployment=digits/revision={revision}"
        shutil.rmtree(self.folder, ignore_errors=True)
        (stores / "kept").mkdir(parents=True, exist_ok=True)
        (stores / "kept/baseline.parquet").write_bytes(stored(columns(rows=20 * ROWS)))
        if world.objects.find(MONITOR):
            world.objects.delete(MONITOR)
        baseline = {"uri": "s3://kept/baseline.parquet"}
        # At the second at which a window may be looked at, and not a little later.
        asked = {"interval": "10m", "jitter": "1s", "baseline": baseline, "window": None}
        world.monitor(**{**asked, **spec})
        # Days are far enough from each other for rows that are late.
        world.now = world.now.replace(hour=12, minute=0, second=0) + timedelta(days=2)
        self.since = world.now

    def keep(self, rows=ROWS, name="a", since=None, written=None, **others):
        """Keep rows whose times are spread over a window; their file is written at its end, or at `written`."""
        since = self.since if since is None else since
        times = [since + WINDOW * row / rows for row in range(rows)]
        requests = [
            {"id": f"{name}-{row}", "row": 0, "time": time, "status": 200, "latency_seconds": 0.1}
            for row, time in enumerate(times)
        ]
        table = {"request": pa.array(requests, _REQUEST), **columns(7, rows=rows, **others)}
        return self.put(f"{name}.parquet", stored(table), since, written or since + WINDOW)

    def put(self, name, content, since, written):
        """Store a file of the hour in which a window begins."""
        path = self.folder / f"{since:date=%Y-%m-%d}" / f"{since:hour=%H}" / f"{since:%M}-{name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (written.timestamp(),) * 2)
        return path

    async def end(self):
        """Let the window end and its grace pass, have it evaluated, and begin the next one."""
        self.world.now = self.since + WINDOW + GRACE
        self.since += WINDOW
        await self.world.check_drift()

    @property
    def arrivals(self):
        """What status says of how rows come."""
        return self.world.drift["arrivals"]

    @property
    def fresh(self):
        """Status and reason of DataFresh."""
        found = conditions(self.world)["DataFresh"]
        return found["status"], found["reason"]

    @property
    def message(self):
        """Its message."""
        return conditions(self.world)["DataFresh"]["message"]
