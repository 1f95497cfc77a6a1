"""Weighs windows that follow each other: quiet ones alarm once in a stated number of windows at most.

Each feature has an e-detector, R = e (R + 1), e being what a window says against "nothing has drifted" and at most 1
on average where nothing has (Shiryaev-Roberts; Shin, Ramdas & Rinaldo 2023). The mean over the features is one, too,
however they depend on each other: in quiet windows it takes A of them on average, or more, to reach A. A feature whose
evidence is forgotten begins again at 0, which makes alarms later and never more frequent, so only the `MOST_FEATURES`
with most evidence are kept.
"""

from collections.abc import Sequence
from datetime import datetime

from mooring_artifacts.drift_slices import title_of

from mooring_operator.api.drift_findings import (
    MOST_PAST,
    Evaluation,
    Evidence,
    FeatureDrift,
    FeatureEvidence,
    PastWindow,
)
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus

LIMITS = {"low": 10_000.0, "normal": 1000.0, "high": 100.0}
"""The mean evidence that alarms: quiet windows from one false alarm to the next, on average at least."""

MOST_FEATURES = 20

# How far beyond the limit evidence is kept: drift that has ended is left behind within a few quiet windows.
_CEILING = 10


def weigh(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    features: Sequence[FeatureDrift],
    digest: str,
    generation: int,
    now: datetime,
    revision: str = "",
) -> Evidence | None:
    """Add a window to the evidence; None where windows are judged one by one.

    A window that has been weighed already says nothing new. Another spec begins anew, and so does another `revision`,
    where the windows are of one.
    """
    if spec.sensitivity is None:
        return None
    limit = LIMITS[spec.sensitivity]
    before = status.evidence
    if before is not None and (before.generation, before.revision) != (generation, revision):
        before = None
    if not features or (before is not None and before.window_digest == digest):
        return before
    known = {(e.name, e.slice): e.value for e in before.features} if before is not None else {}
    most = _CEILING * limit * len(features)
    grown = {
        (f.name, f.slice): min(most, (f.e_value or 0.0) * (known.get((f.name, f.slice), 0.0) + 1))
        for f in features
    }
    kept = sorted(grown.items(), key=lambda item: (-item[1], item[0]))[:MOST_FEATURES]
    return Evidence(
        value=round(min(sum(grown.values()) / len(features), _CEILING * limit), 3),
        limit=limit,
        windows=1 + (before.windows if before is not None else 0),
        since=before.since if before is not None else now,
        window_digest=digest,
        generation=generation,
        revision=revision,
        features=[
            FeatureEvidence(name=name, slice=part, value=round(value, 3))
            for (name, part), value in kept
            if value > 0
        ],
    )


def remember(
    past: Sequence[PastWindow], evaluation: Evaluation, weighed: Evidence | None
) -> list[PastWindow]:
    """Add a window to the last ones, the oldest first; what was evaluated again stands there once."""
    last = PastWindow(
        time=evaluation.window_until or evaluation.time,
        tested=evaluation.features_tested,
        drifted=evaluation.features_drifted,
        evidence=None if weighed is None else weighed.value,
    )
    return [*(one for one in past if one.time < last.time), last][-MOST_PAST:]


def describe(evidence: Evidence) -> str:
    """Say how much there is in one clause."""
    windows = f"{evidence.windows} windows" if evidence.windows > 1 else "1 window"
    return f"evidence {amount(evidence)} in {windows}"


def amount(evidence: Evidence) -> str:
    """Say how much there is of how much."""
    value = evidence.value
    return f"{value:.0f} of {evidence.limit:.0f}" if value >= 100 else f"{value:.3g} of {evidence.limit:.0f}"


def names(evidence: Evidence) -> list[str]:
    """Name the features with so much evidence that they alone would alarm."""
    return [title_of(one.name, one.slice) for one in evidence.features if one.value >= evidence.limit]
