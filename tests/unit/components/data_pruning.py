"""Processes that push, read and prune one store at once, and what must hold of it afterwards."""

import subprocess
import sys

from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.storage import read_entry

# Each has its own dataset, and pushes what the other pushes too, again and again.
PUSHER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from mooring_artifacts.data_versions.references import parse_dataset
from mooring_components.data_versions import push
from mooring_components.parquet import find_files

folder, dataset, turns = Path(sys.argv[1]), parse_dataset(sys.argv[2]), int(sys.argv[3])
folder.mkdir()
for turn in range(turns):
    content = f"turn\\n{turn % 7}\\n".encode()
    (folder / "rows.csv").write_bytes(content)
    done = push((folder / "rows.csv").as_uri(), dataset, datetime.now(UTC))
    # Nobody else pushes here: what is new is the newest, and no prune takes it.
    if done.pushed.new:
        found = find_files(f"{dataset}@latest", "ROWS", {"csv"})
        assert [bytes(found.fetch(file)) for file in found.files] == [content], turn
"""
# Both push to one dataset, a minute after the other; what is read is what was newest half an hour ago or later.
WRITER = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from mooring_artifacts.data_versions.references import parse_dataset
from mooring_components.data_versions import push

folder, dataset, turns = Path(sys.argv[1]), parse_dataset(sys.argv[2]), int(sys.argv[3])
folder.mkdir()
for turn in range(turns):
    (folder / "rows.csv").write_text(f"who,turn\\n{folder.name},{turn}\\n")
    when = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=turn)
    print(push((folder / "rows.csv").as_uri(), dataset, when).pushed.record.number)
"""
READER = """
import sys
from mooring_components.parquet import find_files

seen = set()
while not sys.stdin.closed:
    found = find_files(sys.argv[1] + "@latest", "ROWS", {"csv"})
    seen.add(*(bytes(found.fetch(file)) for file in found.files))
    print(len(seen), flush=True)
    if sys.stdin.readline().strip() == "end":
        break
"""
PRUNER = """
import sys
from datetime import timedelta
from mooring_artifacts.data_versions.pruning import Rule, prune
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.uris import parse

store, minutes = DataStore(parse(sys.argv[1])), int(sys.argv[2])
for line in sys.stdin:
    names = store.names()
    newest = [store.records(name)[-1].pushed_at for name in names]
    print(len(prune(store, names, Rule(1, timedelta(minutes=minutes)), max(newest)).versions), flush=True)
"""


class Process:
    """A process of one of these programs; it answers each line with a line where it is asked so."""

    def __init__(self, program, *arguments):
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def running(self):
        return self._process.poll() is None

    def ask(self, line=""):
        """Write a line, and give the number that is answered."""
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._process.stderr.read()
        return int(answer)

    def end(self):
        """Wait for its end without an error; what it wrote."""
        out, err = self._process.communicate()
        assert (err, self._process.returncode) == ("", 0)
        return [int(line) for line in out.split()]


def check_whole(store: DataStore):
    """Every version of a store has all its files, as they were."""
    for name in store.names():
        for record in store.records(name):
            manifest = store.manifest(record.version)
            place, files = store.files(manifest)
            for file, stored in zip(manifest.files, files, strict=True):
                assert read_entry(place, stored).sha256 == file.sha256
