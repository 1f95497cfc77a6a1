"""Decides who is told that drift or another cause began or ended: once for each change, not more often than wanted.

A receiver is told where what it was told last is not what the condition says. So whoever joins later is told of
drift that lasts, and drift that outlasts a cool-down is told at its end. What is under way stands in status, by an id
that names its Job: told once, also after a crash.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mooring_operator.api import reasons
from mooring_operator.api.drift_actions import Cause
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_notify import Notice, Receiver, Told
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.types import format_time
from mooring_operator.planning import identity
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.checks import CheckState
from mooring_operator.planning.drift import causes

WORDS: Mapping[Cause, tuple[Told, Told]] = {
    "Drift": ("Drifted", "Calm"),
    "Performance": ("PerformanceDropped", "PerformanceHolds"),
    "Operation": ("OperationDegraded", "OperationHolds"),
}
"""What is told when a cause begins, and when it ends."""
LOOK_AGAIN = 3.0
"""Seconds between looks at a receiver that is being told."""
_STARTS = timedelta(minutes=1)
"""For how long the Job may be made: later, one that is not there is gone."""


@dataclass(frozen=True)
class SendNotice:
    """Tell a receiver; telling twice with the same id tells once."""

    notice_id: str
    receiver: Receiver
    told: Told
    since: datetime
    at: datetime
    cause: Cause = "Drift"


@dataclass(frozen=True)
class _Asked:
    """A receiver and what it is told of, by the monitor of a uid."""

    key: str
    receiver: Receiver
    cause: Cause
    uid: str


@dataclass(frozen=True)
class Noticed:
    """What status says of the receivers, what follows, and in how many seconds to look again; None for no need."""

    notices: list[Notice]
    actions: tuple[SendNotice | Notify, ...] = ()
    recheck_after: float | None = None


def follow(
    spec: DriftMonitorSpec,
    status: DriftMonitorStatus,
    uid: str,
    seen: Mapping[str, CheckState | None],
    now: datetime,
) -> Noticed:
    """Give what becomes of the receivers of `spec`.

    Args:
        spec: of the monitor.
        status: as it is going to be written, with what was known of the receivers.
        uid: of the monitor.
        seen: what was found out about those that are being told, by id; None where there is no Job.
        now: the time.
    """
    known = {(notice.receiver, notice.cause): notice for notice in status.notices}
    notices: list[Notice] = []
    actions: list[SendNotice | Notify] = []
    pauses: list[float] = []
    for key, receiver, cause in _wanted(spec):
        notice = known.get((key, cause))
        if notice is not None and notice.state == "Sending":
            notice, followed = _await(notice, receiver, status, seen, now)
            actions += followed
        if notice is None or notice.state != "Sending":
            asked = _Asked(key, receiver, cause, uid)
            notice, followed = _tell(spec, asked, notice, status, now)
            actions += followed
        if notice is not None:
            notices.append(notice)
            pauses += _pause(notice, receiver, now)
    return Noticed(notices, tuple(actions), min(pauses, default=None))


def _wanted(spec: DriftMonitorSpec) -> Iterator[tuple[str, Receiver, Cause]]:
    for key, receiver in by_fingerprint(spec.notify).items():
        for cause in receiver.causes:
            yield key, receiver, cause


def by_fingerprint(receivers: Sequence[Receiver]) -> dict[str, Receiver]:
    """Give receivers by what status calls them; the same one twice is told once."""
    return {identity.fingerprint_of(receiver): receiver for receiver in receivers}


def under_way(notices: Sequence[Notice]) -> list[str]:
    """Give the ids of those that are being told."""
    return [notice.id for notice in notices if notice.state == "Sending"]


def _await(
    notice: Notice,
    receiver: Receiver,
    status: DriftMonitorStatus,
    seen: Mapping[str, CheckState | None],
    now: datetime,
) -> tuple[Notice, list[SendNotice | Notify]]:
    """Say what a receiver that is being told has answered."""
    if notice.id not in seen:
        return notice, []
    state = seen[notice.id]
    if state is None:
        if now - notice.at < _STARTS:
            return notice, [_send(notice, receiver, status)]
        state = CheckState(notice.id, "Insufficient", "its Job is gone: somebody deleted it")
    if state.outcome is None:
        return notice.model_copy(update={"message": state.message}), []
    sent = state.outcome == "Pass"
    changes = {"state": "Sent" if sent else "Failed", "message": state.message}
    why = f": {state.message}" if state.message else ""
    if sent:
        event = Notify("Normal", reasons.NOTIFICATION_SENT, f"{receiver.title} was told: {notice.told}{why}")
    else:
        event = Notify(
            "Warning", reasons.NOTIFICATION_FAILED, f"{receiver.title} was not told {notice.told!r}{why}"
        )
    return notice.model_copy(update=changes), [event]


def _tell(
    spec: DriftMonitorSpec,
    asked: _Asked,
    notice: Notice | None,
    status: DriftMonitorStatus,
    now: datetime,
) -> tuple[Notice | None, list[SendNotice | Notify]]:
    """Begin to tell a receiver what it has not been told."""
    receiver, condition = asked.receiver, causes.condition_of(status, asked.cause)
    if condition is None or condition.status == "Unknown" or spec.suspend:
        return notice, []
    bad, good = WORDS[asked.cause]
    wanted = bad if condition.status == "True" else good
    rehearsed = notice is not None and notice.state == "Rehearsed" and not spec.dry_run
    told = good if notice is None or rehearsed else notice.told
    if wanted == told:
        # A cool-down is over with the drift that it held back.
        cooled = notice is not None and notice.state == "CoolingDown"
        return (
            notice.model_copy(update={"state": "Sent", "message": ""}) if notice and cooled else notice
        ), []
    last = notice.drifted_at if notice is not None and not rehearsed else None
    if wanted == bad and last is not None and now < last + receiver.cooldown:
        assert notice is not None
        message = (
            f"{asked.cause.lower()} again; told after {format_time(last + receiver.cooldown)} if it lasts"
        )
        return notice.model_copy(update={"state": "CoolingDown", "message": message}), []
    begun = Notice(
        receiver=asked.key,
        cause=asked.cause,
        told=wanted,
        state="Rehearsed" if spec.dry_run else "Sending",
        id="" if spec.dry_run else identity.notice_id_of(asked.uid, asked.key, wanted, now),
        message="spec.dryRun is true" if spec.dry_run else "",
        at=now,
        drifted_at=now if wanted == bad else last,
    )
    if spec.dry_run:
        return begun, [Notify("Normal", reasons.DRY_RUN, f"{receiver.title} would be told: {wanted}")]
    return begun, [_send(begun, receiver, status)]


def _send(notice: Notice, receiver: Receiver, status: DriftMonitorStatus) -> SendNotice:
    condition = causes.condition_of(status, notice.cause)
    drifts = condition is not None and condition.status == "True"
    since = condition.last_transition_time if condition is not None and drifts else notice.drifted_at
    return SendNotice(notice.id, receiver, notice.told, since or notice.at, notice.at, notice.cause)


def _pause(notice: Notice, receiver: Receiver, now: datetime) -> list[float]:
    if notice.state == "Sending":
        return [LOOK_AGAIN]
    if notice.state == "CoolingDown" and notice.drifted_at is not None:
        return [max((notice.drifted_at + receiver.cooldown - now).total_seconds(), 0.1)]
    return []
