"""What to score, and how."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mooring_inference.score.convert import Nulls
from mooring_inference.score.errors import ScoreError
from mooring_inference.score.folders import Folder, StoredFile
from mooring_inference.score.mapping import Choice
from mooring_inference.score.readers import format_of, is_hidden


@dataclass(frozen=True, slots=True)
class Job:
    """What to score, and how.

    Attributes:
        source, files: the input.
        target: the output.
        kind: the format of all input files; None: what each name tells.
        choice: which columns.
        outputs: names of outputs; empty: all.
        batch_size: rows of one call of the model, at most; None: what suits the device.
        part_rows: input rows of one output file, at most.
        shard, shards: which share of the work to do, from 0, and of how many.
        flatten: whether each element of an output gets a column of its own.
        nulls: what becomes of values that are not there.
    """

    source: Folder
    files: Sequence[StoredFile]
    target: Folder
    kind: str | None = None
    choice: Choice = field(default_factory=Choice)
    outputs: tuple[str, ...] = ()
    batch_size: int | None = None
    part_rows: int = 1_000_000
    shard: int = 0
    shards: int = 1
    flatten: bool = False
    nulls: Nulls = Nulls.NAN

    def kind_of(self, file: StoredFile) -> str:
        """Return the format of an input file."""
        return self.kind or format_of(file.path) or ""

    def is_divisible(self, file: StoredFile) -> bool:
        """Return whether a file tells its rows, so that it can be shared; any other has to be read from the start."""
        return self.kind_of(file) == "parquet"


def pick_files(files: Iterable[StoredFile], kind: str | None) -> list[StoredFile]:
    """Return the files that hold rows.

    Raises:
        ScoreError: none does.
    """
    shown = [file for file in files if not is_hidden(file.path)]
    picked = [file for file in shown if kind or format_of(file.path)]
    if not picked:
        raise ScoreError(
            f"none of the {len(shown)} input files has a name that ends with .parquet, .csv or .jsonl; "
            "say what they are with --format"
        )
    return picked
