"""What receivers are posted when drift, or another cause, begins or ends.

Sources: Slack, "Sending messages using incoming webhooks" and "Formatting text for app surfaces"; Alertmanager 0.28,
API v2, postableAlerts.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from mooring_operator.api.drift_actions import Cause
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.drift_target import FOREIGN, FOREIGN_FIELD, Target
from mooring_operator.api.types import format_time
from mooring_operator.planning.drift import causes
from mooring_operator.planning.drift.notices import WORDS, SendNotice
from mooring_operator.planning.objects.owner import Owner

ALERT_LASTS = timedelta(days=7)
"""An alert is posted once: without an end of its own Alertmanager would take it for over after minutes."""


_SAID: Mapping[Cause, tuple[str, str, str]] = {
    "Drift": ("Traffic", "drifts", "is calm again"),
    "Performance": ("Performance", "has dropped", "holds again"),
    "Operation": ("Operation", "has degraded", "holds again"),
}
_ALERTS: Mapping[Cause, str] = {
    "Drift": "MooringDrift",
    "Performance": "MooringPerformanceDropped",
    "Operation": "MooringOperationDegraded",
}


def body_of(owner: Owner, target: Target | None, status: DriftMonitorStatus, notice: SendNotice) -> Any:
    """Give what is posted to a receiver, as JSON; `target` is what the monitor watches."""
    match notice.receiver.format:
        case "Slack":
            return {"text": _slack(owner, target, status, notice)}
        case "Alertmanager":
            return [_alert(owner, target, status, notice)]
        case "Generic":
            return _generic(owner, target, status, notice)


def _named(target: Target | None, deployment: str, service: str) -> dict[str, str]:
    """Give the target's name under one of two keys, by its kind; none of two data sets."""
    if target is None:
        return {}
    return {deployment if target.kind == "ModelDeployment" else service: target.name}


def _name(owner: Owner, target: Target | None) -> str:
    return owner.name if target is None else target.name


def _is_over(notice: SendNotice) -> bool:
    return notice.told == WORDS[notice.cause][1]


def _message(status: DriftMonitorStatus, notice: SendNotice) -> str:
    """Give what was found of the cause; of drift what status says first."""
    condition = None if notice.cause == "Drift" else causes.condition_of(status, notice.cause)
    return status.message if condition is None else condition.message


def _generic(
    owner: Owner, target: Target | None, status: DriftMonitorStatus, notice: SendNotice
) -> dict[str, Any]:
    evaluation = status.evaluation
    features = evaluation.drifted_names if evaluation else []
    if notice.cause != "Drift":
        features = []
    return {
        "event": notice.told,
        "id": notice.notice_id,
        "time": format_time(notice.at),
        "since": format_time(notice.since),
        "namespace": owner.namespace,
        "monitor": owner.name,
        **_named(target, "deployment", FOREIGN_FIELD),
        "revision": evaluation.revision if evaluation else "",
        "message": _message(status, notice),
        "features": features,
        "reportUrl": evaluation.report_url if evaluation else "",
    }


def _slack(owner: Owner, target: Target | None, status: DriftMonitorStatus, notice: SendNotice) -> str:
    of, begins, ends = _SAID[notice.cause]
    what = ends if _is_over(notice) else begins
    message = _message(status, notice)
    text = f"{of} of {owner.namespace}/{_name(owner, target)} {what} (DriftMonitor {owner.name}): {message}"
    if status.evaluation is not None and status.evaluation.report_url:
        text += f"\n{status.evaluation.report_url}"
    # Of a message no more is markup than what these three begin.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _alert(
    owner: Owner, target: Target | None, status: DriftMonitorStatus, notice: SendNotice
) -> dict[str, Any]:
    over, (of, begins, _) = _is_over(notice), _SAID[notice.cause]
    annotations = {
        "summary": f"{of} of {_name(owner, target)} {begins}",
        "description": _message(status, notice),
    }
    if status.evaluation is not None and status.evaluation.report_url:
        annotations["report"] = status.evaluation.report_url
    return {
        # The same when it ends, or it is another alert.
        "labels": {
            "alertname": _ALERTS[notice.cause],
            "severity": "warning",
            "namespace": owner.namespace,
            "driftmonitor": owner.name,
            **_named(target, "modeldeployment", FOREIGN.lower()),
        },
        "annotations": annotations,
        "startsAt": format_time(notice.since),
        "endsAt": format_time(notice.at if over else notice.at + ALERT_LASTS),
    }
