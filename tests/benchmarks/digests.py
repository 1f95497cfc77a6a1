"""What the digest of a large file costs, beside `openssl dgst -sha256` of the same file.

    python tests/benchmarks/digests.py [--gigabytes 5] [--rounds 5] [--json FILE]

Each engine is a process of its own; they take turns, the file is in the page cache. CPU seconds are all of the
process, imports included. A digest is of a manifest of the file's sha256: that sha256 has to be openssl's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

_CHUNK = 16 * 2**20


def write_file(path: Path, gigabytes: float) -> None:
    """Write random bytes, a chunk at a time."""
    left = int(gigabytes * 1e9)
    with path.open("wb") as file:
        while left:
            left -= file.write(os.urandom(min(_CHUNK, left)))


def digest_here(path: Path) -> None:
    """Print the sha256 of a file by the code that makes digests of models and data."""
    from mooring_artifacts import storage

    location = storage.locate(path.as_uri())
    [file] = storage.list_files(location)
    print(storage.read_entry(location, file).sha256)


def measure(command: list[str]) -> tuple[str, dict[str, float]]:
    """Run an engine; what it printed last, and what it took."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
    if status:
        raise SystemExit(f"{command[0]} failed")
    figures = {
        "seconds": time.perf_counter() - began,
        "cpuSeconds": usage.ru_utime + usage.ru_stime,
    }
    return said.split()[-1], figures


def main() -> None:
    """Measure both in turn, and say how much one takes of the other, by the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.here:
        digest_here(arguments.here)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.bin")
        write_file(path, arguments.gigabytes)
        engines = {
            "mooring": [sys.executable, __file__, "--here", str(path)],
            "openssl": ["openssl", "dgst", "-sha256", str(path)],
        }
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in engines}
        for _ in range(arguments.rounds):
            said = {}
            for name, command in engines.items():
                said[name], figures = measure(command)
                runs[name].append(figures)
            if len(set(said.values())) > 1:
                raise SystemExit(f"they disagree: {said}")
    medians = {
        name: {figure: median(run[figure] for run in found) for figure in found[0]}
        for name, found in runs.items()
    }
    print(f"{arguments.gigabytes:g} GB, medians of {arguments.rounds} rounds")
    print(f"{'engine':10} {'s':>7} {'times':>6} {'CPU s':>7}")
    for name, found in medians.items():
        times = found["seconds"] / medians["openssl"]["seconds"]
        print(f"{name:10} {found['seconds']:7.2f} {times:6.2f} {found['cpuSeconds']:7.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
