"""What it costs to store a version of a dataset, beside DVC.

    python tests/benchmarks/storing.py --dvc DVC [--gigabytes 5] [--files 50] [--rounds 3] [--json FILE]

DVC is the program of an environment with storing_peers/requirements.txt. The dataset is a folder of Parquet files of
random numbers, in the page cache. Engines take turns, each with an empty store on the same file system:

    mooring      mooring data push FOLDER STORE/rows
    dvc add      dvc add FOLDER: into DVC's cache beside the folder
    dvc push     dvc add FOLDER, then dvc push to a folder as the remote: what others can read, as Mooring's store

`again` is the same command once more, where nothing was changed; `one more` with one file more. Seconds are those of
whole processes, CPU seconds all of theirs and their children's. What was stored is read back and compared.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Figures = dict[str, float]
_COLUMNS = 10


def write_file(path: Path, size: int, seed: int) -> None:
    """Write a Parquet file of random numbers, of about `size` bytes."""
    random = np.random.default_rng(seed)
    table = pa.table({f"x{i}": random.random(size // 8 // _COLUMNS) for i in range(_COLUMNS)})
    pq.write_table(table, path, compression="none", use_dictionary=False)


def timed(*commands: list[str], place: Path) -> Figures:
    """Run commands one after the other; what they took."""
    before, began = os.times(), time.perf_counter()
    for command in commands:
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    seconds, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"seconds": seconds, "cpuSeconds": cpu}


def check(store: Path, rows: Path, digest: Callable[[bytes], str]) -> None:
    """Fail unless every file's content is stored whole, under the digest that the engine names it by."""
    found = {path.parent.name + path.name: path for path in store.rglob("*") if path.is_file()}
    for path in rows.iterdir():
        content = path.read_bytes()
        name = digest(content)
        stored = next((found[key] for key in found if key.endswith(name)), None)
        if stored is None or stored.read_bytes() != content:
            raise SystemExit(f"{path.name} is not in {store.name}")


def round_of(engine: str, rows: Path, dvc: str, size: int) -> dict[str, Figures]:
    """Store the folder with an empty store, again, and with one file more, in a place that is removed afterwards."""
    with tempfile.TemporaryDirectory(dir=rows.parent) as folder:
        place = Path(folder)
        if engine == "mooring":
            push = [sys.executable, "-m", "mooring_operator.cli", "data", "push", str(rows)]
            commands, store = [[*push, str(place / "store" / "rows")]], place / "store"
            own, digest = rows, lambda content: hashlib.sha256(content).hexdigest()
        else:
            # DVC looks after files in its own folder; linked, they cost nothing to bring there.
            shutil.copytree(rows, own := place / "rows", copy_function=os.link)
            timed(
                [dvc, "init", "--no-scm", "-q"],
                [dvc, "remote", "add", "-d", "there", str(place / "remote")],
                place=place,
            )
            commands, store = [[dvc, "add", "-q", "rows"]], place / ".dvc" / "cache"
            if engine == "dvc push":
                commands, store = [*commands, [dvc, "push", "-q"]], place / "remote"
            digest = lambda content: hashlib.md5(content, usedforsecurity=False).hexdigest()  # noqa: E731
        figures = {"first": timed(*commands, place=place)}
        check(store, rows, digest)
        figures["again"] = timed(*commands, place=place)
        more = own / "more.parquet"
        write_file(more, size, seed=-1 & 0xFFFF)
        figures["one more"] = timed(*commands, place=place)
        check(store, own, digest)
        more.unlink()
    return figures


def show(medians: dict[str, dict[str, Figures]]) -> None:
    """Print a line for each engine and kind of run, with how many times Mooring's seconds it takes."""
    print(f"{'engine':10} {'run':9} {'s':>7} {'times':>6} {'CPU s':>7}")
    for engine, runs in medians.items():
        for run, found in runs.items():
            times = found["seconds"] / medians["mooring"][run]["seconds"]
            print(f"{engine:10} {run:9} {found['seconds']:7.2f} {times:6.2f} {found['cpuSeconds']:7.2f}")


def main() -> None:
    """Let the engines take turns, and say how they compare by the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dvc", required=True, help="the program of an environment of its own")
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    parser.add_argument("--place", type=Path, help="a folder with room for four times as much")
    arguments = parser.parse_args()
    size, engines = int(arguments.gigabytes * 1e9 / arguments.files), ("mooring", "dvc add", "dvc push")
    taken: dict[str, list[dict[str, Figures]]] = {engine: [] for engine in engines}
    with tempfile.TemporaryDirectory(dir=arguments.place) as folder:
        rows = Path(folder, "rows")
        rows.mkdir()
        for i in range(arguments.files):
            write_file(rows / f"{i:03}.parquet", size, i)
        for _ in range(arguments.rounds):
            for engine in engines:
                taken[engine].append(round_of(engine, rows, arguments.dvc, size))
    medians = {
        engine: {
            run: {
                figure: median(each[run][figure] for each in rounds) for figure in ("seconds", "cpuSeconds")
            }
            for run in rounds[0]
        }
        for engine, rounds in taken.items()
    }
    print(f"{arguments.gigabytes:g} GB in {arguments.files} files, medians of {arguments.rounds} rounds")
    show(medians)
    if arguments.json:
        arguments.json.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
