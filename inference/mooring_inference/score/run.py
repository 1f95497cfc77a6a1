"""One run: the parts of one shard that are not done yet, and the end of it all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa

from mooring_inference.backends.base import Backend
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.score.blocks import Block, Cursor, Reader
from mooring_inference.score.completion import Completion
from mooring_inference.score.convert import Nulls
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.folders import Folder, StoredFile
from mooring_inference.score.layout import OutputLayout
from mooring_inference.score.mapping import Choice, Feed, check_file, plan_feeds
from mooring_inference.score.parts import (
    ROW_COLUMN,
    Manifest,
    PartWriter,
    fingerprint,
    part_path,
    read_manifest,
)
from mooring_inference.score.progress import Progress
from mooring_inference.score.readers import format_of, is_hidden, open_reader
from mooring_inference.score.scorer import Scorer


@dataclass(frozen=True, slots=True)
class Job:
    """What to score, and how.

    Attributes:
        source, files: the input.
        target: the output.
        kind: the format of all input files; None: what each name tells.
        choice: which columns.
        outputs: names of outputs; empty: all.
        batch_size: rows of one call of the model, at most.
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
    batch_size: int = 1024
    part_rows: int = 1_000_000
    shard: int = 0
    shards: int = 1
    flatten: bool = False
    nulls: Nulls = Nulls.NAN


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of one shard; ``reused_parts`` were there already."""

    parts: int
    reused_parts: int
    input_rows: int
    good_rows: int
    bad_rows: int
    complete: bool


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


def run_job(job: Job, backend: Backend, model_digest: str, progress: Progress) -> Summary:
    """Score one shard.

    Raises:
        ScoreError: the run cannot go on; what was finished before stays.
    """
    return _Run(job, backend, model_digest, progress).go()


class _Run:
    def __init__(self, job: Job, backend: Backend, model_digest: str, progress: Progress) -> None:
        self._job = job
        self._progress = progress
        self._backend = backend
        # Known before rows are lost in halving batches that the model cannot take.
        self._one_row = warm_up(backend).one_row
        self._outputs = [
            spec for spec in backend.signature.outputs if not job.outputs or spec.name in job.outputs
        ]
        if unknown := set(job.outputs) - {spec.name for spec in self._outputs}:
            known = ", ".join(spec.name for spec in backend.signature.outputs)
            raise UsageError(f"--outputs: the model has no output {min(unknown)}; it has {known}")
        self._layout = OutputLayout(self._outputs, flatten=job.flatten)
        choice = job.choice
        self._settings = fingerprint(
            model_digest,
            [choice.columns, choice.features, choice.id_column],
            [spec.name for spec in self._outputs],
            [job.kind, job.part_rows, job.flatten, job.nulls.value],
        )
        mark = fingerprint(self._settings, [[file.path, file.tag] for file in job.files], job.shards)
        self._completion = Completion(job.target, mark, job.shards)
        self._parts: dict[str, Manifest] = {}
        self._reused = 0
        self._feeds: list[Feed] = []

    def go(self) -> Summary:
        job = self._job
        self._completion.withdraw()
        self._feeds = self._plan()
        workspace = job.target.make_workspace(f"{job.shard}-of-{job.shards}")
        try:
            for index, file in enumerate(job.files):
                self._score_file(index, file, workspace)
                self._progress.finish_file()
        finally:
            job.target.remove_workspace(workspace)
        complete = self._completion.finish(job.shard, self._parts, len(job.files))
        return Summary(
            parts=len(self._parts),
            reused_parts=self._reused,
            input_rows=sum(part.input_rows for part in self._parts.values()),
            good_rows=sum(part.good_rows for part in self._parts.values()),
            bad_rows=sum(part.bad_rows for part in self._parts.values()),
            complete=complete,
        )

    def _plan(self) -> list[Feed]:
        """Plan one shard: every shard takes the columns from the first file that shows any, so that all agree."""
        for file in self._job.files:
            with closing(self._open(file)) as reader:
                if reader.kinds:
                    return plan_feeds(self._backend.signature, reader.kinds, self._job.choice)
        raise ScoreError("the input has no columns")

    def _open(self, file: StoredFile) -> Reader:
        kind = self._job.kind or format_of(file.path) or ""
        return open_reader(self._job.source, file.path, kind, self._job.batch_size)

    def _score_file(self, index: int, file: StoredFile, workspace: Path) -> None:
        with closing(self._open(file)) as reader:
            try:
                check_file(self._feeds, reader.kinds, typed=reader.typed)
                self._score_parts(index, file, reader, workspace)
            except ScoreError as exc:
                raise ScoreError(f"{file.path}: {exc}") from None
            except (pa.ArrowException, OSError) as exc:
                lines = str(exc).splitlines() or [type(exc).__name__]
                raise ScoreError(f"{file.path}: {lines[0]}") from None

    def _score_parts(self, index: int, file: StoredFile, reader: Reader, workspace: Path) -> None:
        job = self._job
        mark = fingerprint(self._settings, file.path, file.tag)
        columns = dict.fromkeys(name for feed in self._feeds for name in feed.columns)
        if (id_column := job.choice.id_column) is not None:
            if reader.typed and id_column not in reader.kinds:
                raise ScoreError(f"there is no column {id_column}")
            columns.setdefault(id_column)
        cursor = Cursor(reader, list(columns))
        for number in count():
            first = number * job.part_rows
            if number and reader.total is not None and first >= reader.total:
                return
            # A file that tells its rows can be shared by shards; any other has to be read from the start.
            if (index + (number if reader.total is not None else 0)) % job.shards != job.shard:
                if reader.total is None:
                    return
                continue
            part = part_path(file.path, number)
            manifest = read_manifest(job.target, part)
            if manifest is not None and manifest.fingerprint == mark:
                self._reused += 1
                self._progress.add_rows(manifest.good_rows, manifest.bad_rows)
            else:
                manifest = self._score_part(
                    cursor.take(first, first + job.part_rows), part, mark, file.path, first, workspace
                )
            if manifest is None:
                return
            self._parts[part] = manifest
            if reader.total is None and manifest.input_rows < job.part_rows:
                return

    def _score_part(
        self, blocks: Iterator[Block], part: str, mark: str, source: str, first: int, workspace: Path
    ) -> Manifest | None:
        """Write a part; None for one after the first that would be empty."""
        scorer = Scorer(
            self._backend,
            self._feeds,
            self._outputs,
            self._layout,
            nulls=self._job.nulls,
            one_row=self._one_row,
        )
        writer: PartWriter | None = None
        try:
            for block in blocks:
                scored = scorer.score(block)
                ids = self._ids(block)
                if writer is None:
                    writer = PartWriter(self._job.target, workspace, part, self._schema(ids))
                kept = [] if ids is None else [ids.take(pa.array(scored.places))]
                writer.add([pa.array(scored.rows), *kept, *scored.columns])
                for bad in scored.bad:
                    writer.add_bad(source, bad)
                self._progress.add_rows(len(scored.rows), len(scored.bad))
            if writer is None:
                if first:
                    return None
                writer = PartWriter(self._job.target, workspace, part, self._schema(None))
            return writer.publish(mark, source, first)
        finally:
            if writer is not None:
                writer.close()

    def _ids(self, block: Block) -> pa.Array | None:
        name = self._job.choice.id_column
        if name is None:
            return None
        column = block.columns[name]
        if not isinstance(column, list):
            return column.cast(pa.string()) if pa.types.is_binary(column.type) else column
        # Lines may hold ids of several types.
        return pa.array([_id_text(value) for value in column], pa.string())

    def _schema(self, ids: pa.Array | None) -> pa.Schema:
        fields = [pa.field(ROW_COLUMN, pa.int64())]
        if (name := self._job.choice.id_column) is not None:
            fields.append(pa.field(name, pa.string() if ids is None else ids.type))
        fields += self._layout.fields
        names = [field.name for field in fields]
        if twice := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"two columns of the output would have the name {twice[0]}")
        return pa.schema(fields)


def _id_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, int | float | bool | np.generic) else None
