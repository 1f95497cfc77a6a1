"""Joins requests that were kept with what was true for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from mooring_artifacts.drift_question import Labels
from mooring_artifacts.run_documents import LabelCounts

from mooring_components.drift.captured import PartOfRows
from mooring_components.performance.labels import FoundLabels, key_of, read_labels
from mooring_components.performance.predictions import Predictions

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Joined:
    """Requests with a label.

    places: (n,), their rows in the window.
    labels: (n,), what was true for each.
    """

    places: Places
    labels: pa.ChunkedArray
    counts: LabelCounts


def join(window: PartOfRows, predictions: Predictions, asked: Labels, memory: int) -> Joined:
    """Find the labels of the requests of a window that were answered.

    Of requests of one id the first counts; of labels of one request the last, which corrects the others.

    Raises:
        InputError, EvaluationError: a file cannot be read.
    """
    answered = np.flatnonzero(predictions.given())
    chosen = pa.array(answered)
    keys = key_of(window.request("id").take(chosen), window.request("row").take(chosen)).combine_chunks()
    firsts, names = _distinct(keys)
    found = read_labels(asked, names, memory)
    last, conflicting = _last_of_each(found)
    counts = LabelCounts(
        answered=len(names),
        labelled=len(last),
        duplicates=len(found.places) - len(last),
        conflicting=conflicting,
        unknown=found.unknown,
        empty=found.empty,
        repeated=len(answered) - len(names),
    )
    return Joined(answered[firsts[found.places[last]]], found.values.take(pa.array(last)), counts)


def _distinct(keys: pa.Array) -> tuple[Places, pa.Array]:
    """Give the place of the first of each name, and the names."""
    encoded = keys.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(-1))
    distinct, firsts = np.unique(codes, return_index=True)
    there = distinct >= 0
    return firsts[there], encoded.dictionary.take(pa.array(distinct[there]))


def _last_of_each(found: FoundLabels) -> tuple[Places, int]:
    """Give which label of each request counts, and how many requests have labels that differ."""
    order = np.argsort(found.places, kind="stable")
    of = found.places[order]
    ends = np.flatnonzero(np.append(of[1:] != of[:-1], True)[: len(of)])
    codes = np.asarray(pc.dictionary_encode(found.values.combine_chunks()).indices)[order]
    differ = (of[1:] == of[:-1]) & (codes[1:] != codes[:-1])
    return order[ends], len(np.unique(of[1:][differ]))
