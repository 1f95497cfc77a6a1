"""Conditions by kstatus: Ready, and Reconciling or Stalled, never both True.

Source: kubernetes-sigs/cli-utils, pkg/kstatus.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from mooring_operator.api.analysis_template import TemplateStatus
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.model_policy import PolicyStatus
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.api.types import Condition

RECONCILED = "Reconciled"
"""False where a reconcile failed for a reason that its plan knows nothing of; absent otherwise."""

Status = TypeVar("Status", ModelDeploymentStatus, DriftMonitorStatus, PolicyStatus, TemplateStatus)

_PROGRESSING = frozenset(
    {"Pending", "Testing", "Deploying", "Canary", "AwaitingApproval", "Paused", "Promoting"}
)


def for_phase(
    phase: str, reason: str, message: str, *, stalled: bool = False
) -> dict[str, tuple[str, str, str]]:
    """Give (status, reason, message) per condition type for a rollout's phase."""
    if phase == "Promoted":
        return {"Ready": ("True", reason, message)}
    if stalled or phase not in _PROGRESSING:
        return {"Ready": ("False", reason, message), "Stalled": ("True", reason, message)}
    return {"Ready": ("Unknown", reason, message), "Reconciling": ("True", reason, message)}


def find(known: Iterable[Condition], kind: str) -> Condition | None:
    """Give the condition of a type; None where there is none."""
    return next((condition for condition in known if condition.type == kind), None)


def merge(
    old: Iterable[Condition], new: Mapping[str, tuple[str, str, str]], generation: int, now: datetime
) -> list[Condition]:
    """Give the conditions of `new`; the transition time moves only when the status does."""
    before = {condition.type: condition for condition in old}
    merged = []
    for kind, (status, reason, message) in new.items():
        known = before.get(kind)
        since = known.last_transition_time if known is not None and known.status == status else now
        merged.append(
            Condition(
                type=kind,
                status=status,
                reason=reason,
                message=message,
                last_transition_time=since,
                observed_generation=generation,
            )
        )
    return merged


def report(
    status: Status,
    wanted: Mapping[str, tuple[str, str, str]],
    generation: int,
    now: datetime,
    *,
    read: Status | None = None,
    **fields: Any,
) -> Status:
    """Give `status` as it is for this generation of the spec: the conditions `wanted`, and other fields.

    Texts are as long as they may be. What comes out as it was `read` is given as that.
    """
    merged = merge(status.conditions, wanted, generation, now)
    changed = status.model_copy(update={**fields, "observed_generation": generation, "conditions": merged})
    if changed == read:
        return read
    # A copy is not validated, and it is validation that cuts texts; what was read has been.
    same = {} if read is None else {name: known for name, known in read if known == getattr(changed, name)}
    return type(status).model_validate({**same, **changed.model_dump(exclude=set(same))})
