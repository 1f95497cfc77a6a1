"""Judges how requests were answered: by the share that failed, and by the first window of the revision."""

import math
from collections.abc import Iterator
from datetime import datetime

from mooring_operator.api import reasons
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_operation import Operation, OperationReference, OperationStatus
from mooring_operator.api.drift_status import DriftMonitorStatus, EvaluationRun
from mooring_operator.api.types import Condition
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.status import conditions

CONDITION = "OperationDegraded"

_Z = 1.959963984540054


def take(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    run: EvaluationRun,
    found: OperationStatus | None,
) -> DriftMonitorStatus:
    """Keep how the requests of a run's window were answered, judged by the rules."""
    asked, window = spec.operation, run.window
    if asked is None or found is None or window is None or window.until is None:
        return status
    known = status.operation
    reference = known.reference if known is not None and known.revision == run.revision else None
    enough = found.requests >= spec.min_rows
    about = {"revision": run.revision, "until": window.until, "reference": reference}
    now = found.model_copy(update=about)
    if enough and reference is None and found.p95 is not None:
        first = OperationReference(until=window.until, p95=found.p95, per_second=found.per_second)
        now = now.model_copy(update={"reference": first})
    broken = list(_broken(asked, now, reference)) if enough else []
    return status.model_copy(update={"operation": now.model_copy(update={"broken": broken})})


def _broken(asked: Operation, now: OperationStatus, reference: OperationReference | None) -> Iterator[str]:
    share, says = least_share(now.errors, now.requests), "at least "
    if asked.plain:
        share, says = now.errors / max(now.requests, 1), ""
    if share > asked.error_rate:
        yield (
            f"{now.errors} of {now.requests} requests failed, {says}{share:.1%}; {asked.error_rate:.1%} may fail"
        )
    if reference is None:
        return
    if now.p95 is not None and now.p95 > asked.latency_ratio * reference.p95:
        yield (
            f"95 % of requests took up to {now.p95 * 1000:.3g} ms and had taken {reference.p95 * 1000:.3g} ms; "
            f"{asked.latency_ratio:g} times as long is allowed"
        )
    ratio = asked.traffic_ratio
    if ratio is None:
        return
    if not reference.per_second / ratio <= now.per_second <= reference.per_second * ratio:
        yield (
            f"{now.per_second:.3g} requests a second were {reference.per_second:.3g}; {ratio:g} times as many or as "
            "few are allowed"
        )


def least_share(hits: int, total: int) -> float:
    """Give the lower end of Wilson's interval of 95 % (1927) for `hits` of `total`; 0 where there is nothing."""
    if not total:
        return 0.0
    p, z2 = hits / total, _Z * _Z
    half = _Z * math.sqrt(p * (1 - p) / total + z2 / (4 * total * total))
    return max(0.0, (p + z2 / (2 * total) - half) / (1 + z2 / total))


def judge_operation(
    spec: DriftMonitorSpec,
    before: DriftMonitorStatus,
    status: DriftMonitorStatus,
    target: Target | None,
    generation: int,
    now: datetime,
) -> tuple[DriftMonitorStatus, tuple[Notify, ...]]:
    """Give the status with the condition, and an Event where it becomes True and where that is over.

    `before` is the status that was read, whose condition it takes up.
    """
    known = conditions.find(before.conditions, CONDITION)
    others = [each for each in status.conditions if each.type != CONDITION]
    if spec.operation is None:
        return status.model_copy(update={"conditions": others, "operation": None}), ()
    if target is None or spec.suspend:
        return status.model_copy(update={"conditions": [*others, *([known] if known else [])]}), ()
    found = status.operation
    if found is not None and found.revision != target.stable:
        found = None
    [condition] = conditions.merge(
        [known] if known else [], {CONDITION: _judge(spec, found)}, generation, now
    )
    return status.model_copy(update={"conditions": [*others, condition]}), _events(known, condition)


def _events(known: Condition | None, found: Condition) -> tuple[Notify, ...]:
    was = known is not None and known.status == "True"
    if found.status == "True" and not was:
        return (Notify("Warning", found.reason, found.message),)
    if found.status == "False" and was:
        return (Notify("Normal", found.reason, found.message),)
    return ()


def _judge(spec: DriftMonitorSpec, found: OperationStatus | None) -> tuple[str, str, str]:
    if found is None:
        return "Unknown", reasons.AWAITING_WINDOW, "no window of this revision was looked at yet"
    if found.requests < spec.min_rows:
        message = f"the window has {found.requests} requests; spec.minRows wants {spec.min_rows}"
        return "Unknown", reasons.INSUFFICIENT_DATA, message
    if found.broken:
        return "True", reasons.RULE_BROKEN, "; ".join(found.broken)
    took = "" if found.p95 is None else f"; 95 % took up to {found.p95 * 1000:.3g} ms"
    return "False", reasons.RULES_HOLD, f"{found.errors} of {found.requests} requests failed{took}"
