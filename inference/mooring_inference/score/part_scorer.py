"""One loaded model that scores parts of files, one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from mooring_artifacts.errors import first_line

from mooring_inference.backends.base import Backend
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.score.ahead import read_ahead
from mooring_inference.score.blocks import Block, Cursor, Reader
from mooring_inference.score.errors import ScoreError, UsageError
from mooring_inference.score.job import Job
from mooring_inference.score.layout import OutputLayout
from mooring_inference.score.mapping import Feed, check_file, plan_feeds
from mooring_inference.score.parts import (
    ROW_COLUMN,
    Manifest,
    PartWriter,
    fingerprint,
    part_path,
    read_manifest,
)
from mooring_inference.score.readers import open_reader
from mooring_inference.score.scorer import Scorer

# Rows of one call of the model; a GPU is busy only with more of them.
_CPU_ROWS, _GPU_ROWS = 1024, 8192


@dataclass(frozen=True, slots=True)
class ScoredPart:
    """A part that is there; ``reused``: an earlier run made it."""

    manifest: Manifest
    reused: bool


@dataclass(frozen=True, slots=True)
class _OpenFile:
    index: int
    reader: Reader
    cursor: Cursor


class PartScorer:
    """Scores parts of a job's files.

    Attributes:
        settings: a fingerprint of the model and of all settings that show in the results.
    """

    def __init__(
        self,
        job: Job,
        backend: Backend,
        model_digest: str,
        workspace: Path,
        count_rows: Callable[[int, int], None],
    ) -> None:
        """Plan how the columns feed the model.

        Args:
            job: what to score.
            backend: the model, which stays the caller's.
            model_digest: of the model's files.
            workspace: where unfinished files go.
            count_rows: is told of rows as they are done, good and bad ones.

        Raises:
            ScoreError: the job does not fit the model or the input.
        """
        self._job = job
        self._backend = backend
        self._workspace = workspace
        self._count_rows = count_rows
        warm = warm_up(backend)
        # Known before rows are lost in halving batches that the model cannot take. Where rows depend on each other
        # each is answered alone, as a message is: results must not show which rows were beside it.
        self._one_row = warm.one_row or warm.rows_depend
        self._batch_size = job.batch_size or (_CPU_ROWS if backend.device == "cpu" else _GPU_ROWS)
        self._outputs = [
            spec for spec in backend.signature.outputs if not job.outputs or spec.name in job.outputs
        ]
        if unknown := set(job.outputs) - {spec.name for spec in self._outputs}:
            known = ", ".join(spec.name for spec in backend.signature.outputs)
            raise UsageError(f"--outputs: the model has no output {min(unknown)}; it has {known}")
        if odd := [spec.name for spec in self._outputs if spec.name in warm.odd_outputs]:
            # Not left to the batches: one of as many rows as the output has by chance would pass.
            raise UsageError(
                f"output {odd[0]} has not one row for each input row: leave it out with --outputs"
            )
        self._layout = OutputLayout(self._outputs, flatten=job.flatten)
        choice = job.choice
        self.settings = fingerprint(
            model_digest,
            [choice.columns, choice.features, choice.id_column],
            [spec.name for spec in self._outputs],
            [job.kind, job.part_rows, job.flatten, job.nulls.value],
        )
        self._feeds = self._plan()
        self._file: _OpenFile | None = None

    def count_parts(self, index: int) -> int | None:
        """Return how many parts a file has; None where only reading all of it tells."""
        total = self._open(index).reader.total
        # An empty file has an empty part, which says that it was seen.
        return None if total is None else max(1, -(-total // self._job.part_rows))

    def score_part(self, index: int, number: int) -> ScoredPart | None:
        """Score a part, unless it is there already; None for one after the first that would be empty."""
        job, file = self._job, self._job.files[index]
        part = part_path(file.path, number)
        mark = fingerprint(self.settings, file.path, file.tag)
        manifest = read_manifest(job.target, part)
        if manifest is not None and manifest.fingerprint == mark:
            self._count_rows(manifest.good_rows, manifest.bad_rows)
            return ScoredPart(manifest, reused=True)
        opened, first = self._open(index), number * job.part_rows
        with _named(file.path):
            blocks = opened.cursor.take(first, first + job.part_rows)
            # A thread helps where decoding is Arrow's; Python's own would take turns with it.
            with read_ahead(blocks) if opened.reader.typed else nullcontext(blocks) as ready:
                written = self._write_part(ready, part, mark, file.path, first)
        return None if written is None else ScoredPart(written, reused=False)

    def stop(self) -> None:
        """Nothing is under way in another thread."""

    def close(self) -> None:
        """Close the file that is open."""
        if self._file is not None:
            self._file.reader.close()
            self._file = None

    def _plan(self) -> list[Feed]:
        """Every worker and shard takes the columns from the first file that shows any, so that all agree."""
        for index in range(len(self._job.files)):
            with closing(self._read(index)) as reader:
                if reader.kinds:
                    return plan_feeds(self._backend.signature, reader.kinds, self._job.choice)
        raise ScoreError("the input has no columns")

    def _read(self, index: int) -> Reader:
        file = self._job.files[index]
        return open_reader(self._job.source, file.path, self._job.kind_of(file), self._batch_size)

    def _open(self, index: int) -> _OpenFile:
        if self._file is None or self._file.index != index:
            self.close()
            reader = self._read(index)
            try:
                with _named(self._job.files[index].path):
                    self._file = _OpenFile(index, reader, Cursor(reader, self._columns(reader)))
            finally:
                if self._file is None:
                    reader.close()
        return self._file

    def _columns(self, reader: Reader) -> list[str]:
        check_file(self._feeds, reader.kinds, typed=reader.typed)
        columns = dict.fromkeys(name for feed in self._feeds for name in feed.columns)
        if (id_column := self._job.choice.id_column) is not None:
            if reader.typed and id_column not in reader.kinds:
                raise ScoreError(f"there is no column {id_column}")
            columns.setdefault(id_column)
        return list(columns)

    def _write_part(
        self, blocks: Iterator[Block], part: str, mark: str, source: str, first: int
    ) -> Manifest | None:
        scorer = Scorer(
            self._backend,
            self._feeds,
            self._outputs,
            self._layout,
            nulls=self._job.nulls,
            one_row=self._one_row,
            batch_size=self._batch_size,
        )
        writer: PartWriter | None = None
        try:
            for block in blocks:
                scored = scorer.score(block)
                ids = self._ids(block)
                if writer is None:
                    writer = PartWriter(self._job.target, self._workspace, part, self._schema(ids))
                kept = [] if ids is None else [ids.take(pa.array(scored.places))]
                writer.add([pa.array(scored.rows), *kept, *scored.columns])
                for bad in scored.bad:
                    writer.add_bad(source, bad)
                self._count_rows(len(scored.rows), len(scored.bad))
            if writer is None:
                if first:
                    return None
                writer = PartWriter(self._job.target, self._workspace, part, self._schema(None))
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


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Say in errors which file they are about."""
    try:
        yield
    except ScoreError as exc:
        raise ScoreError(f"{path}: {exc}") from None
    except (pa.ArrowException, OSError) as exc:
        raise ScoreError(f"{path}: {first_line(exc)}") from None


def _id_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, int | float | bool | np.generic) else None
