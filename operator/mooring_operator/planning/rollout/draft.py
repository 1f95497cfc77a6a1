"""A decision in the making: the rules of a plan pass it on, until one settles it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal, Self

from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import (
    LARGEST_RETAINED,
    MOST_RETAINED,
    Candidate,
    HistoryEntry,
    ModelDeploymentStatus,
    Phase,
    Retained,
    Revision,
    stored_bytes,
)
from mooring_operator.planning.policies.rules import RuleQuestion
from mooring_operator.planning.rollout.actions import Action
from mooring_operator.planning.rollout.commands import Asked
from mooring_operator.planning.rollout.situation import Observed, Situation
from mooring_operator.planning.strategies import capacity


@dataclass(frozen=True)
class Draft(Situation):
    """The situation, and what has been decided so far: status, actions, conditions beside the phase's.

    `questions` have to be answered before more can be decided.
    """

    status: ModelDeploymentStatus
    requests: tuple[Action, ...] = ()
    questions: tuple[RuleQuestion, ...] = ()
    conditions: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed, now: datetime
    ) -> "Draft":
        """Start from the status as it is."""
        return Draft(spec, status, observed, now, status)

    @property
    def candidate(self) -> Candidate | None:
        """The revision on its way."""
        return self.status.candidate

    @property
    def stable(self) -> Revision | None:
        """The revision that is promoted."""
        return self.status.stable

    def asked(self, command: str, revision: str) -> Asked | None:
        """Give a command that names `revision`, or None when there is none."""
        observed = self.observed
        asked = Asked.parse(observed.commands.get(command, ""), observed.askers.get(command, ""))
        step = self.candidate.step if self.candidate is not None else None
        return asked if asked.revision == revision and asked.is_of_step(step) else None

    def change(self, **changes: Any) -> Self:
        """Go on with other fields in status."""
        return replace(self, status=self.status.model_copy(update=changes))

    def request(self, *actions: Action) -> Self:
        """Go on with more to do."""
        return replace(self, requests=(*self.requests, *actions))

    def ask(self, *questions: RuleQuestion) -> Self:
        """Go on with more to find out."""
        return replace(self, questions=(*self.questions, *questions))

    def with_commands(self, commands: Mapping[str, str]) -> Self:
        """Go on as if only these commands had been given."""
        return replace(self, observed=replace(self.observed, commands=commands))

    def forget_serving(self) -> Self:
        """Go on as if nothing that serves had been found."""
        return replace(self, observed=replace(self.observed, serving=()))

    def set_condition(
        self, condition: str, status: Literal["True", "False", "Unknown"], reason: str, message: str
    ) -> Self:
        """Go on with one more condition, besides those that follow from the phase."""
        return replace(self, conditions={**self.conditions, condition: (status, reason, message)})

    def keep_conditions(self) -> Self:
        """Go on saying what was found of the revision before it was promoted or rejected, for this spec."""
        if self.before.observed_generation != self.observed.owner.generation:
            return self
        kept = {
            known.type: (known.status, known.reason, known.message)
            for known in self.before.conditions
            if known.type in ("Tested", "PoliciesMet", "Analysed")
        }
        return replace(self, conditions={**kept, **self.conditions})

    def record(
        self,
        ended: Revision,
        outcome: Literal["Promoted", "RolledBack", "Failed", "Superseded"],
        reason: str,
        message: str,
    ) -> Self:
        """Write into the history how a revision ended."""
        began = ended.started_at if isinstance(ended, Candidate) else ended.since
        entry = HistoryEntry(
            revision=ended.revision,
            model_uri=ended.model_uri,
            outcome=outcome,
            reason=reason,
            message=message,
            requested_by=ended.requested_by if isinstance(ended, Candidate) else "",
            approved_by=", ".join(ended.approved_by) if isinstance(ended, Candidate) else "",
            started_at=began or self.now,
            finished_at=self.now,
        )
        return self.change(history=[entry, *self.status.history][: self.spec.history_limit])

    def retain(self, left: Revision, *, pods: int, whole: int | None, rejected: bool = False) -> Self:
        """Go on with `left` out of traffic: where the router can keep it, it has its `pods` for a while.

        `whole` pods of the stable revision carry all traffic.
        """
        if not self.observed.router.serves_each:
            return self
        entry = Retained(
            **left.model_dump(include=set(Revision.model_fields)),
            left_at=self.now,
            weight=left.weight if isinstance(left, Candidate) else 0,
            pods=pods,
            stable_pods=whole or 1,
            rejected=rejected,
        )
        return self.change(retained=_storable([entry, *self.forget(left.revision).status.retained]))

    def forget(self, revision: str) -> Self:
        """Go on with a retained revision that is in use again."""
        return self.change(retained=[known for known in self.status.retained if known.revision != revision])

    def leave(self, candidate: Candidate, *, rejected: bool = True) -> Self:
        """Go on with the traffic of `candidate` on its way back to the stable revision."""
        if not candidate.runs or self.stable is None:
            return self
        whole = candidate.stable_pods or 1
        pods = capacity.needed(candidate.weight, whole)
        if self.spec.rollout.strategy == "Recreate":
            # There is room for one of the two alone.
            pods = 0
        return self.retain(candidate, pods=pods, whole=whole, rejected=rejected)

    def supersede(self, message: str, *, reason: str = reasons.SUPERSEDED) -> "Draft":
        """Go on without the revision that was on its way, if there was one."""
        if self.candidate is None:
            return self
        recorded = self.record(self.candidate, "Superseded", reason, message)
        return recorded.leave(self.candidate).without_candidate()

    def with_candidate(self, candidate: Candidate) -> "RolloutDraft":
        """Go on with this revision on its way."""
        return RolloutDraft(**_decided(self.change(candidate=candidate)))

    def without_candidate(self, **changes: Any) -> "Draft":
        """Go on with nothing on its way, and with other fields in status."""
        return Draft(**_decided(self.change(candidate=None, **changes)))

    def settle(
        self,
        phase: Phase,
        reason: str,
        message: str,
        *,
        recheck_after: float | None = None,
        stalled: bool = False,
    ) -> "Settled":
        """Stop here: this is where the deployment stands."""
        settled = self.change(phase=phase, reason=reason, message=message)
        return Settled(**_decided(settled), stalled=stalled, recheck_after=recheck_after)

    def stop(self, reason: str, message: str, *, temporary: bool, soon: float) -> "Settled":
        """Stop at what is in the way: what may pass by itself is looked at again `soon`, the rest once a minute."""
        return self.settle(
            "Pending" if temporary else "Failed",
            reason,
            message,
            recheck_after=soon if temporary else 60.0,
            stalled=not temporary,
        )


@dataclass(frozen=True)
class Settled(Draft):
    """Where the deployment stands, in `recheck_after` seconds at most; `stalled` until a person acts."""

    stalled: bool = False
    recheck_after: float | None = None

    def sooner(self, seconds: float) -> Self:
        """Go on with another look in that time at most."""
        return replace(self, recheck_after=min(self.recheck_after or seconds, seconds))


@dataclass(frozen=True)
class RolloutDraft(Draft):
    """A draft with a revision on its way."""

    @property
    def candidate(self) -> Candidate:
        """The revision on its way."""
        assert self.status.candidate is not None
        return self.status.candidate

    def change_candidate(self, **changes: Any) -> Self:
        """Go on with other fields in the candidate."""
        return self.change(candidate=self.candidate.model_copy(update=changes))

    def reject(self, reason: str, message: str) -> Settled:
        """End the candidate: the stable revision, where there is one, has all traffic again."""
        candidate = self.candidate
        if candidate.restores:
            # The revision that could not come back is no news to the spec: what it asks for stays rejected.
            failed = self.record(candidate, "Failed", reason, message).leave(candidate, rejected=False)
            return failed.without_candidate().settle("Failed", reason, message)
        served = candidate.runs and self.stable is not None
        held = served and self.observed.router.holds_rejected
        phase: Literal["RolledBack", "Failed"] = "RolledBack" if served else "Failed"
        recorded = self.record(candidate, phase, reason, message)
        ended = (
            recorded
            # What was refused when it was to be made would be refused again, were it kept for a while.
            if reason == reasons.SERVICE_REFUSED and not self._is_there(candidate)
            else recorded.leave(candidate)
        ).without_candidate(
            failed_revision=candidate.revision,
            failed_attempt=candidate.attempt,
            failed_content=self.content,
            rejected=candidate.as_revision() if held else self.status.rejected,
        )
        return ended.settle(phase, reason, message)

    def _is_there(self, candidate: Candidate) -> bool:
        """Whether the router has taken the candidate up, as far as anybody can tell."""
        service = self.observed.service
        return service is None or candidate.revision in service.variants


def _storable(entries: list[Retained]) -> list[Retained]:
    """Give the first of them, those that have requests, and as many of the others as there is room for."""
    first, *others = entries
    kept, room = {first.revision}, LARGEST_RETAINED - stored_bytes(first)
    for entry in sorted(others, key=lambda entry: entry.variant is None)[: MOST_RETAINED - 1]:
        room -= stored_bytes(entry)
        if room < 0:
            break
        kept.add(entry.revision)
    return [entry for entry in entries if entry.revision in kept]


def _decided(draft: Draft) -> dict[str, Any]:
    return {part.name: getattr(draft, part.name) for part in fields(Draft)}
