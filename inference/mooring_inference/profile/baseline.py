"""Rows of training as the arrays that a model takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from mooring_inference.score.convert import Misfit, Nulls, convert_feed
from mooring_inference.score.errors import ScoreError
from mooring_inference.score.job import Job
from mooring_inference.score.mapping import Feed, check_file, plan_feeds
from mooring_inference.score.readers import open_reader
from mooring_inference.tensors import Array, Signature

_BLOCK_ROWS = 8192


@dataclass(frozen=True, slots=True)
class Baseline:
    """Rows of training.

    Attributes:
        rows: how many.
        arrays: by input name, (rows, ...).
        names: feature names by input name, where each feature has a column of its own.
    """

    rows: int
    arrays: dict[str, Array]
    names: dict[str, tuple[str, ...]]


def read_baseline(job: Job, signature: Signature) -> Baseline:
    """Read all rows of a job's files.

    Raises:
        ScoreError: a row does not fit the model, or there is none; the message says where and why.
    """
    feeds = _plan(job, signature)
    pieces: list[list[Array]] = []
    for index in range(len(job.files)):
        pieces.extend(_arrays(job, index, feeds))
    if not pieces:
        raise ScoreError("the baseline has no rows")
    names = {feed.spec.name: feed.columns for feed in feeds if feed.side_by_side or _is_scalar(feed)}
    try:
        joined = [np.concatenate(parts) for parts in zip(*pieces, strict=True)]
    except ValueError:
        raise ScoreError(
            "rows of the baseline differ in length: a profile needs the same features in each"
        ) from None
    arrays = {feed.spec.name: array for feed, array in zip(feeds, joined, strict=True)}
    return Baseline(len(joined[0]), arrays, names)


def _plan(job: Job, signature: Signature) -> list[Feed]:
    with closing(
        open_reader(job.source, job.files[0].path, job.kind_of(job.files[0]), _BLOCK_ROWS)
    ) as reader:
        return plan_feeds(signature, reader.kinds, job.choice)


def _arrays(job: Job, index: int, feeds: Sequence[Feed]) -> Iterator[list[Array]]:
    file = job.files[index]
    columns = list(dict.fromkeys(name for feed in feeds for name in feed.columns))
    with closing(open_reader(job.source, file.path, job.kind_of(file), _BLOCK_ROWS)) as reader:
        try:
            check_file(feeds, reader.kinds, typed=reader.typed)
            for block in reader.read(0, columns):
                if block.unreadable:
                    raise Misfit(f"row {block.unreadable[0].row}: {block.unreadable[0].reason}")
                if len(block.rows):
                    yield [
                        convert_feed(feed, [block.columns[name] for name in feed.columns], nulls=Nulls.NAN)
                        for feed in feeds
                    ]
        except (Misfit, ScoreError) as exc:
            raise ScoreError(f"{file.path}: {exc}") from None


def _is_scalar(feed: Feed) -> bool:
    return all(size == 1 for size in feed.spec.shape[1:])
