"""Says on which rows a model is trained anew: those of the baseline, and of the window that drifted."""

from datetime import UTC, datetime
from typing import TypeAlias

from mooring_artifacts.uris import below

from mooring_operator.api.drift_findings import Evaluation
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_rows import DEFAULT_BASELINE, Sought
from mooring_operator.api.retraining import Retrain
from mooring_operator.planning.drift.sources import Kept, captured_window

Rows: TypeAlias = "tuple[Sought | None, Sought | None]"
"""Of the baseline, and of the window; None where there are none, or none are asked for."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rows_of(
    asked: Retrain, spec: DriftMonitorSpec, evaluation: Evaluation, deployment: str, kept: Kept
) -> Rows:
    """Give the rows for a training.

    Args:
        asked, spec: the monitor's.
        evaluation: the one that found the drift.
        deployment: the ModelDeployment's name.
        kept: what its revision keeps.
    """
    folder = (
        below(kept.store, f"deployment={deployment}", f"revision={evaluation.revision}") if kept.store else ""
    )
    baseline = _baseline(spec, folder, kept) if "Baseline" in asked.rows else None
    return baseline, _window(asked, spec, evaluation, folder, kept) if "Window" in asked.rows else None


def labels_of(spec: DriftMonitorSpec, window: Sought | None, deployment: str, kept: Kept) -> Sought | None:
    """Give where labels of the window's rows are; None where nobody sends them.

    They come later than their rows: there is no end to their time.
    """
    if spec.performance is None or window is None:
        return None
    if spec.performance.labels is not None:
        return Sought(uri=spec.performance.labels.uri)
    if not kept.store or window.since is None:
        return None
    return Sought(uri=below(kept.store, "labels", f"deployment={deployment}"), since=window.since)


def _baseline(spec: DriftMonitorSpec, folder: str, kept: Kept) -> Sought | None:
    named = spec.baseline
    if named is not None and named.uri is not None:
        return Sought(uri=named.uri)
    if named is not None and named.profile is not None:
        # Counts of rows that nobody here knows.
        return None
    if named is None and kept.tested_on is not None:
        # A training needs the labels that a comparison leaves out.
        return kept.tested_on.model_copy(update={"without": ""})
    if not folder:
        return None
    since = kept.since or _EPOCH
    span = (named.after_promotion if named is not None else None) or DEFAULT_BASELINE
    return Sought(uri=folder, since=since, until=since + span)


def _window(
    asked: Retrain, spec: DriftMonitorSpec, evaluation: Evaluation, folder: str, kept: Kept
) -> Sought | None:
    if spec.window is not None and captured_window(spec) is None:
        return Sought(uri=spec.window.uri or "")
    since, until = evaluation.window_since, evaluation.window_until
    if not folder or since is None or until is None:
        return None
    if asked.history is not None:
        since = min(since, max(until - asked.history, kept.since or _EPOCH))
    return Sought(uri=folder, since=since, until=until)
