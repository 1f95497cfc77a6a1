"""What is recorded of decisions: what people are told of, with whom it was asked by and what it rests on."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from mooring_artifacts.audit.records import Entry, Subject

from mooring_operator.api import reasons
from mooring_operator.api.model_policy import PolicyStatus
from mooring_operator.api.names import FIELD_MANAGER, askers_of
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.rollout.decision import Decision

RULES_SET = "RulesSet"
"""A policy or a template is new, or was changed."""

_COMMANDS = {
    reasons.ABORTED: ("abort", "promote"),
    reasons.APPROVAL_REFUSED: ("approve",),
    reasons.APPROVED: ("approve",),
    reasons.NOTHING_TO_ROLL_BACK_TO: ("rollback",),
    reasons.PAUSED_BY_COMMAND: ("pause",),
    reasons.PROMOTION_REQUESTED: ("promote",),
    reasons.RETRY_REQUESTED: ("retry",),
    reasons.ROLLING_BACK: ("rollback", "promote"),
}
"""Reasons of what is done because somebody asked, and the commands that ask for it."""

Evidence = Mapping[str, str]
"""Fields of an entry: revision, model, model_digest, run_id, verdict."""


def of_deployment(
    resource: Manifest, before: ModelDeploymentStatus, decision: Decision, now: datetime
) -> tuple[Entry, ...]:
    """Give what a decision about a ModelDeployment, as it is stored, has to be recorded as."""
    evidence = _evidence(before, decision.status)
    return tuple(
        entry
        for notice in decision.actions
        if isinstance(notice, Notify)
        for entry in of_notices(
            resource, [notice], now, actor=_actor(resource, before, notice), evidence=evidence
        )
    )


def may_wait(decision: Decision) -> bool:
    """Whether a decision may wait until it is recorded: going back to what served before may not."""
    candidate = decision.status.candidate
    return decision.status.phase != "RolledBack" and not (candidate is not None and candidate.restores)


def of_notices(
    resource: Manifest,
    notices: Iterable[Notify],
    now: datetime,
    *,
    actor: str = FIELD_MANAGER,
    evidence: Evidence | None = None,
) -> tuple[Entry, ...]:
    """Give an entry for each thing that people are told about an object."""
    return tuple(
        Entry(
            id=_id_of(resource, notice),
            time=now,
            actor=actor,
            action=notice.reason,
            message=notice.message,
            subject=_subject(resource),
            **(evidence or {}),
        )
        for notice in notices
    )


def of_rules(resource: Manifest, seen: int, judged: PolicyStatus, now: datetime) -> tuple[Entry, ...]:
    """Give the entry of a policy or a template that is new or was changed since generation `seen`.

    The digest is of what it says, so that what it said then can be recognised.
    """
    if resource["metadata"].get("generation", 0) == seen:
        return ()
    said = hashlib.sha256(json.dumps(resource["spec"], sort_keys=True).encode()).hexdigest()
    ready = next((known.message for known in judged.conditions if known.type == "Ready"), "")
    notice = Notify("Normal", RULES_SET, f"{ready}; its spec is sha256:{said}".removeprefix("; "))
    return of_notices(resource, [notice], now)


def _actor(resource: Manifest, before: ModelDeploymentStatus, notice: Notify) -> str:
    """Give the user who asked for what a notice tells; the operator's own name where nobody did, or nobody is named."""
    candidate = before.candidate
    if notice.reason == reasons.ROLLBACK_REQUESTED and candidate is not None and candidate.restores:
        return candidate.requested_by or FIELD_MANAGER
    askers = askers_of(resource["metadata"].get("annotations") or {})
    commands = _COMMANDS.get(notice.reason, ())
    return next((askers[name] for name in commands if name in askers), FIELD_MANAGER)


def _evidence(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Evidence:
    about = after.candidate or before.candidate or after.stable
    if about is None:
        return {}
    found = {
        "revision": about.revision,
        "model": about.model_uri,
        "model_digest": about.content_digest or "",
    }
    tests = (after.ci, before.ci, about.tested)
    tested = next((test for test in tests if test is not None and test.revision == about.revision), None)
    if tested is not None:
        found |= {"run_id": tested.run_id, "verdict": tested.verdict or ""}
    return found


def _subject(resource: Mapping[str, Any]) -> Subject:
    metadata = resource["metadata"]
    return Subject(
        kind=resource["kind"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
    )


def _id_of(resource: Mapping[str, Any], notice: Notify) -> str:
    """The same when it is decided again from the same object: after a crash, before the status says it."""
    metadata = resource["metadata"]
    known = [metadata["uid"], metadata.get("resourceVersion", ""), notice.reason, notice.message]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()
