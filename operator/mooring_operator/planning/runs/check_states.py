"""Checks that run as Jobs: what the status of one says.

Source: batch/v1, podFailurePolicy (Kubernetes 1.31), whose condition has the exit code in words.
"""

import re

from mooring_artifacts.webhooks import INSUFFICIENT, NO

from mooring_operator.api.checks import CheckKind, Outcome
from mooring_operator.planning.checks import CheckState
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.runs import job_states
from mooring_operator.planning.runs.run import RunState
from mooring_operator.planning.status.wording import one_line

_LONGEST = 250
_EXIT_CODE = re.compile(r"\bexit code ([0-9]{1,3})\b")


def state_of(job: Manifest, check_id: str, kind: CheckKind, said: str = "") -> CheckState | None:
    """Give the state of a check by its Job; None where that is being deleted.

    said: the last words of its container.
    """
    run = job_states.state_of(job, check_id)
    if run is None:
        return None
    match run.phase:
        case "Succeeded":
            return CheckState(check_id, "Pass", one_line(said, _LONGEST))
        case "Failed":
            why = f"{said} ({run.message})" if said and kind == "job" else said or run.message
            return CheckState(check_id, _outcome(job, run, kind), one_line(why, _LONGEST))
        case _:
            return CheckState(check_id, None, one_line(run.message, _LONGEST))


def _outcome(job: Manifest, run: RunState, kind: CheckKind) -> Outcome:
    code = _exit_code(job)
    if kind == "webhook":
        # Any other end of our own program is no answer.
        return "Fail" if code == NO else "Insufficient"
    return "Insufficient" if run.timed_out or code == INSUFFICIENT else "Fail"


def _exit_code(job: Manifest) -> int | None:
    """Give the exit code that ended a Job by its podFailurePolicy."""
    conditions = (job.get("status") or {}).get("conditions") or []
    failed = (c for c in conditions if c.get("type") == "Failed" and c.get("reason") == "PodFailurePolicy")
    found = next((_EXIT_CODE.search(str(condition.get("message", ""))) for condition in failed), None)
    return int(found.group(1)) if found is not None else None
