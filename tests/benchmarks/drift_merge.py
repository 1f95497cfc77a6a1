"""What an evaluation of counted windows costs: the states of many replicas, read, added up and tested.

    python -m tests.benchmarks.drift_merge [--replicas 100] [--minutes 60] [--features 200] [--rows 1000] [--json FILE]

Each replica counts so many rows a minute and writes a file of each minute, and the sum of the hour, as a server does.
Both are evaluated, and then the minutes alone, as of servers that were all killed before the hour was over. CPU and
wall milliseconds of this process are those of the fastest of some rounds, from the files of a folder; the program's own
start is not among them.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from mooring_artifacts.drift_question import DriftQuestion
from mooring_artifacts.window_states import Profile, WindowState, add_up, count, parse_state, prepare
from mooring_artifacts.window_states.files import choose_states, hour_name, minute_name, profile_name
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.counted import compare_counted
from mooring_components.drift.states import evaluate_states

from tests.benchmarks.drift_speed import draw

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BASELINE_ROWS = 100_000
DIFFERENT = 50
"""Minutes that are counted; the others have the same counts again, which costs as much to read."""


def make_profile(features: int) -> Profile:
    """The profile of a model with so many features."""
    rng = np.random.default_rng(0)
    return prepare({f"f{place:03}": draw(rng, place, BASELINE_ROWS) for place in range(features)})


def make_minutes(profile: Profile, rows: int) -> list[WindowState]:
    """States of some minutes of one replica."""
    rng = np.random.default_rng(1)
    return [
        count(profile, {f.name: draw(rng, place, rows) for place, f in enumerate(profile.features)})
        for _ in range(DIFFERENT)
    ]


def write(folder: Path, profile: Profile, minutes: list[WindowState], replicas: int, length: int) -> int:
    """Write what replicas write in the hour from noon on, and say how many bytes the files have."""
    (folder / profile_name(profile.digest)).write_bytes(profile.content)
    hour = folder / "date=2026-03-01" / "hour=12"
    hour.mkdir(parents=True)
    contents = [state.to_bytes() for state in minutes]
    places = [minute % DIFFERENT for minute in range(length)]
    whole = add_up(profile, (minutes[place] for place in places)).to_bytes()
    for replica in range(replicas):
        counter = f"1-{replica:032x}"
        for minute, place in enumerate(places):
            name = minute_name(NOON + timedelta(minutes=minute), counter, minute)
            (hour / name).write_bytes(contents[place])
        (hour / hour_name(NOON, counter, length)).write_bytes(whole)
    return sum(path.stat().st_size for path in hour.iterdir())


def fastest(work: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """CPU and wall milliseconds of the fastest of some rounds."""
    found = []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(each[0] for each in found) * 1000, min(each[1] for each in found) * 1000


def phases(folder: Path, profile: Profile, minutes: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the parts of an evaluation of the hour, and all of it."""
    until = NOON + timedelta(minutes=minutes)
    hour = folder / "date=2026-03-01" / "hour=12"
    names = [path.name for path in hour.iterdir()]
    chosen = choose_states(names, NOON, until)
    contents = [(hour / name).read_bytes() for name in chosen[:1000]]
    state = add_up(profile, (parse_state(each, profile) for each in contents))
    window = {"uri": f"file://{folder}", "since": f"{NOON:%Y-%m-%dT%H:%M:%SZ}"}
    question = DriftQuestion.model_validate(
        {
            "baseline": {"uri": f"file://{folder}", "counted": True},
            "window": {**window, "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"},
            "minRows": 100,
        }
    )
    yield "choose files", lambda: choose_states(names, NOON, until)
    yield "read", lambda: [(hour / name).read_bytes() for name in chosen]
    if len(contents) == len(chosen):
        yield "parse and add up", lambda: add_up(profile, (parse_state(each, profile) for each in contents))
    yield "test", lambda: evaluate_states(profile, state, None, 100, Detectors())
    yield "all of it", lambda: compare_counted(question, Detectors())


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--features", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    profile = make_profile(options.features)
    minutes = make_minutes(profile, options.rows)
    results: dict[str, Any] = {"slots": int(profile.starts[-1])}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        size = write(folder, profile, minutes, options.replicas, options.minutes)
        results["bytes"] = size
        print(
            f"{options.replicas} replicas, {options.minutes} minutes, {options.features} features: {size / 1e6:,.0f} MB"
        )
        for kind, rounds in (("with sums of hours", options.rounds), ("minutes alone", 1)):
            if kind == "minutes alone":
                for path in folder.rglob(f"{NOON:%Y%m%dT%HZ}-*"):
                    path.unlink()
            print(f"\n| {kind} | CPU ms | wall ms |\n|---|---|---|")
            for name, work in phases(folder, profile, options.minutes):
                cpu, wall = fastest(work, rounds)
                results[f"{kind}: {name}"] = {"cpu": cpu, "wall": wall}
                print(f"| {name} | {cpu:,.1f} | {wall:,.1f} |", flush=True)
    results["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nmost memory: {results['memory']:,.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
