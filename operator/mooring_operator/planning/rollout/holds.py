"""What holds up a rollout that could go on: its time, evidence that is missing, a freeze, others' turns.

What goes back is held up by none of it: neither what was promoted before, nor an abort, nor a rollback.
"""

from datetime import timedelta

from mooring_operator.api import reasons
from mooring_operator.api.freezes import Freeze
from mooring_operator.api.rollout import Requirement
from mooring_operator.api.rollout_status import Phase
from mooring_operator.api.types import format_time
from mooring_operator.planning.freezes import NoThaw, expect_some_time, in_zone, thaw_of
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.rollout.progress import (
    LOOK_AGAIN,
    is_being_taken_up,
    settle_waiting,
    until_deadline,
)
from mooring_operator.planning.status.wording import keeps_serving

_SETTLES = timedelta(seconds=2)
"""How long one waits at least for its turn, so that all who join the queue at the same time see each other."""
_MOST_NAMED = 3
_UNSEEN = 60.0
"""Seconds between looks at another namespace: an operator of some namespaces is not told of what happens there."""


def begin_when_it_may(draft: RolloutDraft) -> RolloutDraft | Settled:
    """A revision begins at its time, when others have promoted its model, and in no freeze."""
    if draft.candidate.runs or _brings_back(draft):
        return draft
    for hold in (_wait_until_its_time, _wait_for_evidence, _wait_for_the_thaw):
        held = hold(draft)
        if held is not None:
            return held
    return draft


def hold_forward(draft: RolloutDraft) -> Settled | None:
    """Stop before what would go forward, while a window holds or, where nothing runs yet, others have their turn."""
    if _brings_back(draft):
        return None
    for hold in (_wait_for_templates, _hold_in_a_freeze, wait_for_its_turn, _wait_for_what_decides):
        if (held := hold(draft)) is not None:
            return held
    return None


def _wait_for_templates(draft: RolloutDraft) -> Settled | None:
    """Nothing more is given while it is not known what it is to be judged by."""
    standards, candidate = draft.observed.standards, draft.candidate
    if not standards.problem or draft.stable is None:
        return None
    stays = f"stays at {candidate.weight}% of traffic" if candidate.runs else "waits"
    message = f"revision {candidate.revision} {stays}: {standards.problem}{keeps_serving(draft.stable)}"
    phase: Phase = "Canary" if candidate.runs else "Pending"
    return draft.settle(phase, standards.reason, message, recheck_after=until_deadline(draft) or _UNSEEN)


def _wait_for_what_decides(draft: RolloutDraft) -> Settled | None:
    """No more is given while nobody can tell what is in effect: another Gateway than the one that is asked may take it.

    Revisions that one Service cannot have together are no such thing: they take over at once.
    """
    service, router = draft.observed.service, draft.observed.router
    if service is None or not service.problem or not draft.candidate.runs or router.weighs_by_pods:
        return None
    if is_being_taken_up(draft):
        message = f"giving revision {draft.candidate.revision} its part of the traffic: {service.problem}"
        return draft.settle("Canary", reasons.SETTING_WEIGHT, message, recheck_after=LOOK_AGAIN)
    return settle_waiting(draft, "Canary", reasons.WAITING, service.problem)


def wait_for_its_turn(draft: RolloutDraft) -> Settled | None:
    """A revision starts its first pod when few enough others of the namespace roll out."""
    most, before, owner = draft.spec.rollout.max_concurrent, draft.before, draft.observed.owner
    if most is None or draft.candidate.runs:
        return None
    joined = before.candidate is not None and before.candidate.revision == draft.candidate.revision
    if joined and before.reason == reasons.RECREATING:
        # Its turn has come: it was said that the stable revision stops.
        return None
    if not joined or before.reason != reasons.QUEUED:
        draft = draft.change_candidate(step_started_at=draft.now)
    since = format_time(draft.candidate.started_at)
    ahead = [other.name for other in draft.observed.others if other.is_before(since, owner.name)]
    left = (_SETTLES - draft.elapsed(draft.candidate.step_started_at)).total_seconds()
    if left <= 0 and len(ahead) < most:
        return None
    message = f"revision {draft.candidate.revision} waits for its turn"
    if len(ahead) >= most:
        more = f" and {len(ahead) - _MOST_NAMED} more" if len(ahead) > _MOST_NAMED else ""
        message += f" behind {', '.join(ahead[:_MOST_NAMED])}{more}: spec.rollout.maxConcurrent is {most}"
    return draft.settle("Pending", reasons.QUEUED, message, recheck_after=left if left > 0 else None)


def _hold_in_a_freeze(draft: RolloutDraft) -> Settled | None:
    windows = _windows(draft)
    candidate, deadline = draft.candidate, until_deadline(draft)
    stays = f"stays at {candidate.weight}% of traffic" if candidate.runs else "waits"
    name = f"revision {candidate.revision} {stays}"
    try:
        thaw = thaw_of([window for _, window in windows], draft.now)
    except NoThaw as problem:
        message = f"{name}: {windows[problem.index][0]}{problem.why}{keeps_serving(draft.stable)}"
        return draft.settle("Paused", reasons.FREEZE_INVALID, message, recheck_after=deadline, stalled=True)
    if thaw is None:
        return None
    message = f"{name}: frozen until {thaw} ({windows[thaw.index][0]}){keeps_serving(draft.stable)}"
    left = (thaw.at - draft.now).total_seconds()
    return draft.settle("Paused", reasons.FROZEN, message, recheck_after=min(left, deadline or left))


def _brings_back(draft: RolloutDraft) -> bool:
    """Whether the candidate was promoted before: the spec has gone back to it."""
    previous = draft.status.previous
    return draft.candidate.returns or (previous is not None and previous.revision == draft.candidate.revision)


def why_frozen_for_ever(draft: Draft) -> str:
    """Say which window leaves no time together with the others, or has no known zone; nothing where time is left.

    It is known before anything has to wait for it.
    """
    windows = _windows(draft)
    try:
        expect_some_time([window for _, window in windows], draft.now)
    except NoThaw as problem:
        return f"{windows[problem.index][0]}{problem.why}"
    return ""


def _windows(draft: Draft) -> list[tuple[str, Freeze]]:
    """Give the windows that hold for the deployment, with the fields that they are in."""
    own = [(f"spec.rollout.freeze[{index}]", one) for index, one in enumerate(draft.spec.rollout.freeze)]
    theirs = [
        (f"ClusterModelPolicy {name}, spec.freeze[{index}]", one)
        for name, policy in draft.observed.cluster_policies.items()
        if policy is not None
        for index, one in enumerate(policy.freeze)
    ]
    return [*own, *theirs]


def _wait_until_its_time(draft: RolloutDraft) -> Settled | None:
    begins = draft.spec.rollout.not_before
    if begins is None or begins <= draft.now:
        return None
    message = (
        f"revision {draft.candidate.revision} begins at {in_zone(begins, 'UTC')} (spec.rollout.notBefore)"
        f"{keeps_serving(draft.stable)}"
    )
    left = (begins - draft.now).total_seconds()
    return draft.settle("Paused", reasons.NOT_BEFORE, message, recheck_after=left)


def _wait_for_the_thaw(draft: RolloutDraft) -> Settled | None:
    """A first revision takes nothing from anybody: what a cluster is built anew from has to come up in a freeze too."""
    return _hold_in_a_freeze(draft) if draft.stable is not None else None


def _wait_for_evidence(draft: RolloutDraft) -> Settled | None:
    for index, required in enumerate(draft.spec.rollout.requires):
        missing, hopeless = _missing(draft, required)
        if missing:
            message = (
                f"revision {draft.candidate.revision} waits: spec.rollout.requires[{index}]: {missing}"
                f"{keeps_serving(draft.stable)}"
            )
            elsewhere = required.namespace not in (None, draft.observed.owner.namespace)
            recheck = _UNSEEN if elsewhere and not hopeless else None
            return draft.settle(
                "Pending", reasons.REQUIREMENT_UNMET, message, stalled=hopeless, recheck_after=recheck
            )
    return None


def _missing(draft: RolloutDraft, required: Requirement) -> tuple[str, bool]:
    """Say what is missing, nothing where the model is promoted there; and whether only an edit helps."""
    owner, digest = draft.observed.owner, draft.candidate.content_digest
    namespace = required.namespace or owner.namespace
    name = f"ModelDeployment {namespace}/{required.name}"
    if (namespace, required.name) == (owner.namespace, owner.name):
        return f"{name} is this one; name another", True
    if digest is None:
        return (
            "digests are compared, and the revision has none; write spec.model.digest, or have spec.ci test it",
            True,
        )
    promoted = draft.observed.evidence.get((namespace, required.name))
    if promoted is None and namespace != owner.namespace:
        # Whether it exists is for those to know whom it names.
        return (
            f"{name} does not exist, or its annotation mooring.dev/evidence-for does not name namespace "
            f"{owner.namespace}, or the operator may not read there"
        ), False
    if promoted is None:
        return f"{name} does not exist", False
    return ("" if promoted == digest else f"{name} has not promoted {digest}"), False
