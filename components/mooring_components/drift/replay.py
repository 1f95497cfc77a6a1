"""Compares past windows with a baseline, one after the other, as a DriftMonitor's runs would have done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from mooring_artifacts.drift_question import DriftQuestion
from mooring_artifacts.run_documents import DriftReport, RunFailure, describe_failure

from mooring_components.drift.columns import Table
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.files import read_file
from mooring_components.drift.prepared import PreparedBaseline
from mooring_components.drift.report import describe_findings, detectors_of
from mooring_components.drift.slices import Side, cut, pair, prepare
from mooring_components.drift.texts import Described


class Window(Protocol):
    """Rows of the past that are judged together."""

    @property
    def name(self) -> str:
        """What a person calls them."""
        ...

    @property
    def rows(self) -> int:
        """How many rows there are; 0 where they cannot be read."""
        ...

    @property
    def table(self) -> Table:
        """The rows; raises EvaluationError where they cannot be read."""
        ...

    @property
    def digest(self) -> str:
        """What the rows are, by their content."""
        ...


def replay(
    baseline: Path, windows: Iterable[Window], question: DriftQuestion
) -> Iterator[tuple[Window, DriftReport | RunFailure]]:
    """Compare each window; the baseline is read and prepared once.

    Args:
        baseline: what rows should look like.
        windows: in the order in which they came.
        question: how they are compared; the addresses in it are not looked at.

    Raises:
        EvaluationError: BaselineUnreadable; TypeUnsupported, where it cannot be cut into its slices.
    """
    described = cut(read_file(baseline, "--baseline"), question.slices, question.declared)
    prepared = prepare(described)
    for number, window in enumerate(windows, 1):
        yield window, _compare((described, prepared), window, question, str(number))


def _compare(
    baseline: tuple[Side[Described], Side[PreparedBaseline]],
    window: Window,
    question: DriftQuestion,
    run_id: str,
) -> DriftReport | RunFailure:
    described, prepared = baseline
    try:
        now = cut(window.table, question.slices, question.declared, described)
        found = evaluate(
            prepared.whole,
            now.whole,
            question.features,
            question.min_rows,
            detectors_of(question),
            question.declared,
            pair(question.slices, prepared, now, question.min_rows),
        )
        rows = prepared.whole.num_rows, window.table.num_rows
        return describe_findings(found, run_id, rows, window.digest)
    except EvaluationError as error:
        return describe_failure(run_id, error.reason, error.message)
