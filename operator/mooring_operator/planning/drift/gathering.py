"""Follows a window that has fewer rows than it needs: it goes on, a stretch longer at each look."""

from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.drift_arrivals import Gathering
from mooring_operator.api.drift_status import DriftMonitorStatus, EvaluationRun

_GOES_ON = (reasons.GATHERING_WINDOW, reasons.WINDOW_EMPTY)


def goes_on(run: EvaluationRun, reason: str) -> bool:
    """Whether the window of a run that found nothing for a reason goes on."""
    return run.window is not None and run.window.rows is not None and reason in _GOES_ON


def go_on(status: DriftMonitorStatus, run: EvaluationRun, reason: str, message: str) -> DriftMonitorStatus:
    """Keep how far a window was looked at that goes on."""
    assert run.window is not None
    assert run.window.until is not None
    gathered = Gathering(until=run.window.until, revision=run.revision, reason=reason, message=message)
    return status.model_copy(update={"gathering": gathered, "captured_failures": 0})


def looked_until(status: DriftMonitorStatus, revision: str) -> datetime | None:
    """Give up to when rows of a revision were looked at, evaluated or not; None where there were none."""
    gathered, evaluation = status.gathering, status.evaluation
    times = [
        gathered.until if gathered is not None and gathered.revision == revision else None,
        evaluation.window_until if evaluation is not None and evaluation.revision == revision else None,
    ]
    return max((time for time in times if time is not None), default=None)
