"""Runs of which no answer is taken any more, kept in status until they have ended, and a while longer.

Until they have ended, for one request to stop may get lost: Kubeflow Pipelines notes it before it tells the
workflow. And longer, for the same question asked again is another run: the old one says that it was stopped,
and nothing about the model.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count

from mooring_operator.api.runs import AbandonedRun
from mooring_operator.planning.runs.run import RunState

LOOK_AGAIN = 15.0
"""Seconds between two requests to stop."""
_GIVE_UP = timedelta(hours=1)
_MOST = 20


def abandon(
    known: Sequence[AbandonedRun], run_id: str, now: datetime, *, ended: bool = False, check: bool = False
) -> list[AbandonedRun]:
    """Give the list with one more run, or one more check of a step, the newest first."""
    others = [run for run in known if run.run_id != run_id]
    return [AbandonedRun(run_id=run_id, since=now, ended=ended, check=check or None), *others][:_MOST]


def unended(known: Sequence[AbandonedRun], *, checks: bool = False) -> list[str]:
    """Give the runs, or else the checks, that have to be looked at."""
    return [run.run_id for run in known if not run.ended and bool(run.check) == checks]


def follow(
    known: Sequence[AbandonedRun], seen: Mapping[str, RunState | None], now: datetime
) -> list[AbandonedRun]:
    """Give the list as it is after a look at those that had not ended; one that stays for an hour is left alone."""

    def ended(run: AbandonedRun) -> bool:
        if run.ended or now - run.since > _GIVE_UP:
            return True
        if run.run_id not in seen:
            return False
        state = seen[run.run_id]
        return state is None or state.phase not in ("Pending", "Running")

    return [run.model_copy(update={"ended": True}) if ended(run) else run for run in known]


def first_free(known: Sequence[AbandonedRun], run_id_of: Callable[[int], str]) -> str:
    """Give the id of the first round that was not abandoned; `run_id_of` tells a round's."""
    taken = {run.run_id for run in known}
    return next(run_id for round_ in count() if (run_id := run_id_of(round_)) not in taken)
