"""The alias in a registry that follows the promoted revision: there on promotion, back on a rollback.

It is moved once for each revision that becomes stable, and left alone then: who moves it by hand has the say until the
next promotion. What is in the way of it is told, and keeps no request from any revision.
"""

from dataclasses import dataclass
from typing import TypeVar

from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import AliasStatus, ModelDeploymentStatus
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.actions import MoveAlias
from mooring_operator.planning.rollout.draft import Settled
from mooring_operator.planning.rollout.situation import AliasSeen
from mooring_operator.planning.status.wording import because

# Seconds until it is seen whether it has moved.
_SOON = 1.0
_ON_THEIR_WAY = ("Deploying", "Promoting")
SettledT = TypeVar("SettledT", bound=Settled)


@dataclass(frozen=True)
class AliasSought:
    """Where an alias is to point: to a version, as NAME/VERSION."""

    alias: str
    version: str

    @property
    def name(self) -> str:
        """The registered model."""
        return self.version.rpartition("/")[0]

    @property
    def number(self) -> str:
        """The version's number."""
        return self.version.rpartition("/")[2]


def sought(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> AliasSought | None:
    """Say where the alias is to point, while it is not known to have come there."""
    alias, stable = spec.model.promote_alias, status.stable
    if alias is None or stable is None or stable.registered is None:
        return None
    if status.alias == AliasStatus(name=alias, version=stable.registered):
        return None
    return AliasSought(alias, stable.registered)


def follow_alias(draft: SettledT) -> SettledT:
    """Have the alias point to what is promoted, and note when it was seen to."""
    alias, stable = draft.spec.model.promote_alias, draft.stable
    if alias is None:
        return draft.change(alias=None)
    if stable is None or draft.status.phase in _ON_THEIR_WAY:
        return draft
    if stable.registered is None:
        return _say(
            draft, f"alias {alias} is not moved, for revision {stable.revision} is no version in a registry"
        )
    wanted, seen = sought(draft.spec, draft.status), draft.observed.alias
    if wanted is None:
        return draft
    if seen is None:
        # What is stable has just become it: the next look finds out where the alias is.
        return draft.sooner(_SOON)
    if seen.problem:
        return _tell(draft, f"alias {alias} is not moved to {wanted.version}{because(seen.problem)}", seen)
    if seen.at == wanted.version:
        told = f"alias {alias} is at {wanted.version}: revision {stable.revision} is promoted"
        moved = draft.change(alias=AliasStatus(name=alias, version=wanted.version))
        return moved.request(Notify("Normal", reasons.ALIAS_MOVED, told))
    if _is_ahead(draft, wanted, seen):
        return _say(draft, f"alias {alias} is at {seen.at}, which spec.model.uri follows, and stays there")
    return draft.request(MoveAlias(wanted.name, alias, wanted.number)).sooner(_SOON)


def _is_ahead(draft: Settled, wanted: AliasSought, seen: AliasSeen) -> bool:
    """Whether somebody has moved it to what is to be rolled out next: then it is no output alone."""
    if draft.spec.model.uri != f"models:/{wanted.name}@{wanted.alias}" or seen.at is None:
        return False
    known = draft.status.alias
    return known is None or known.version != seen.at


def _tell(draft: SettledT, message: str, seen: AliasSeen) -> SettledT:
    if seen.is_news:
        draft = draft.request(Notify("Warning", reasons.ALIAS_NOT_MOVED, message))
    return _say(draft, message).sooner(seen.retry_in or _SOON)


def _say(draft: SettledT, message: str) -> SettledT:
    """Add to the message, where that is said anew each time."""
    status = draft.status
    if status.phase != "Promoted" or status.reason != reasons.PROMOTED:
        return draft
    return draft.change(message=f"{status.message}; {message}")
