"""A decision in the making: the rules of a plan pass it on, the last one settles it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import (
    Candidate,
    HistoryEntry,
    ModelDeploymentStatus,
    Phase,
    Revision,
)
from mooring_operator.planning import conditions, identity
from mooring_operator.planning.situation import (
    Action,
    CleanUp,
    Decision,
    DropCommand,
    LaunchRun,
    Notify,
    Observed,
    Reject,
    RemoveService,
    Resolved,
    Serve,
    Split,
    TerminateRun,
)
from mooring_operator.planning.workloads import follow_stable


@dataclass(frozen=True)
class Draft:
    """What is known (spec, before, observed, now) and what has been decided so far (the rest)."""

    spec: ModelDeploymentSpec
    before: ModelDeploymentStatus
    observed: Observed
    now: datetime
    status: ModelDeploymentStatus
    settled: bool = False
    stalled: bool = False
    recheck_after: float | None = None
    requests: tuple[Action, ...] = ()
    aspects: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    @classmethod
    def begin(
        cls, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed, now: datetime
    ) -> "Draft":
        """Start from the status as it is."""
        return cls(spec, status, observed, now, status)

    # --- what is known --------------------------------------------------------------------------

    @cached_property
    def resolved(self) -> Resolved:
        """What the model points to; only for rules behind the one that waits for it."""
        assert isinstance(self.observed.model, Resolved)
        return self.observed.model

    @cached_property
    def target(self) -> str:
        """The revision that the spec asks for."""
        return identity.revision_of(self.spec.model, self.resolved, self.spec.serving)

    @property
    def candidate(self) -> Candidate | None:
        """The revision on its way."""
        return self.status.candidate

    @property
    def stable(self) -> Revision | None:
        """The revision that is promoted."""
        return self.status.stable

    def asked(self, command: str, revision: str | None) -> str | None:
        """Give the note of a command that names `revision`, or None when there is none.

        A command reads ``REVISION``, ``REVISION/STEP`` or either with a note behind a blank.
        """
        named, _, note = self.observed.commands.get(command, "").partition(" ")
        named, _, step = named.partition("/")
        candidate = self.candidate
        if (
            revision is None
            or named != revision
            or (step and (candidate is None or step != str(candidate.step)))
        ):
            return None
        return note.strip()

    def elapsed(self, since: datetime) -> timedelta:
        """Time since then, by the clock that was passed in."""
        return self.now - since

    # --- deciding -------------------------------------------------------------------------------

    def change(self, **fields: Any) -> "Draft":
        """Go on with other fields in status."""
        return replace(self, status=self.status.model_copy(update=fields))

    def change_candidate(self, **fields: Any) -> "Draft":
        """Go on with other fields in the candidate."""
        assert self.candidate is not None
        return self.change(candidate=self.candidate.model_copy(update=fields))

    def request(self, *actions: Action) -> "Draft":
        """Go on with more to do."""
        return replace(self, requests=(*self.requests, *actions))

    def with_commands(self, commands: Mapping[str, str]) -> "Draft":
        """Go on as if only these commands had been given."""
        return replace(self, observed=replace(self.observed, commands=commands))

    def aspect(
        self, condition: str, status: Literal["True", "False", "Unknown"], reason: str, message: str
    ) -> "Draft":
        """Go on with one more condition, besides those that follow from the phase."""
        return replace(self, aspects={**self.aspects, condition: (status, reason, message)})

    def keep_aspects(self) -> "Draft":
        """Go on saying what was found of the revision before it was promoted or rejected, for this spec."""
        if self.before.observed_generation != self.observed.owner.generation:
            return self
        kept = {
            known.type: (known.status, known.reason, known.message)
            for known in self.before.conditions
            if known.type in ("Tested", "PoliciesMet")
        }
        return replace(self, aspects={**kept, **self.aspects})

    def settle(
        self,
        phase: Phase,
        reason: str,
        message: str,
        *,
        recheck_after: float | None = None,
        stalled: bool = False,
    ) -> "Draft":
        """Stop here: this is where the deployment stands."""
        settled = self.change(phase=phase, reason=reason, message=message)
        return replace(settled, settled=True, stalled=stalled, recheck_after=recheck_after)

    def record(
        self,
        outcome: Literal["Promoted", "RolledBack", "Failed", "Superseded"],
        reason: str,
        message: str,
        *,
        ended: Revision | None = None,
    ) -> "Draft":
        """Write into the history how a revision ended: the candidate, unless another is given."""
        ended = ended or self.candidate
        assert ended is not None
        began = ended.started_at if isinstance(ended, Candidate) else ended.since
        entry = HistoryEntry(
            revision=ended.revision,
            model_uri=ended.model_uri,
            outcome=outcome,
            reason=reason,
            message=message,
            started_at=began or self.now,
            finished_at=self.now,
        )
        return self.change(history=[entry, *self.status.history][: self.spec.history_limit])

    def reject(self, reason: str, message: str) -> "Draft":
        """End the candidate: the stable revision, where there is one, has all traffic again."""
        candidate = self.candidate
        assert candidate is not None
        if candidate.restores:
            # The revision that could not come back is no news to the spec: what it asks for stays rejected.
            return (
                self.record("Failed", reason, message)
                .change(candidate=None)
                .settle("Failed", reason, message)
            )
        served = candidate.weight > 0 and self.stable is not None
        knative = candidate.serving_spec.mode == "Knative"
        phase: Literal["RolledBack", "Failed"] = "RolledBack" if served else "Failed"
        ended = self.record(phase, reason, message).change(
            candidate=None,
            failed_revision=candidate.revision,
            failed_attempt=candidate.attempt,
            rejected=candidate.as_revision() if served and knative else self.status.rejected,
        )
        return ended.settle(phase, reason, message)

    # --- the decision ---------------------------------------------------------------------------

    def decide(self) -> Decision:
        """Give the next status, and the actions that follow from it."""
        return follow_stable(self)._decide()

    def _decide(self) -> Decision:
        status = self._with_conditions()
        if status.model_dump() == self.before.model_dump():
            status = self.before
        actions = (
            *self._run_actions(),
            *self._traffic_actions(),
            *self._dropped_commands(),
            *self._notices(status),
        )
        return Decision(status, actions, self.recheck_after)

    def _with_conditions(self) -> ModelDeploymentStatus:
        status, service = self.status, self.observed.service
        wanted = {
            **conditions.for_phase(status.phase, status.reason, status.message, stalled=self.stalled),
            **self.aspects,
        }
        url = service.url if service is not None and service.url else status.url
        return conditions.report(status, wanted, self.observed.owner.generation, self.now, url=url)

    def _run_actions(self) -> tuple[Action, ...]:
        """Stop the run that is no longer the one being waited for."""
        old, new = self.before.ci, self.status.ci
        waited_for = new is not None and new.verdict is None and self.candidate is not None
        superseded = (
            old is not None
            and old.verdict is None
            and old.state in ("Pending", "Running")
            and not (waited_for and new is not None and new.run_id == old.run_id)
        )
        stops = (TerminateRun(old.run_id),) if superseded and old is not None else ()
        launches = tuple(request for request in self.requests if isinstance(request, LaunchRun))
        return (*stops, *launches)

    def _traffic_actions(self) -> tuple[Action, ...]:
        stable, candidate = self.stable, self.candidate
        actions: tuple[Action, ...]
        if stable is None:
            if candidate is not None and candidate.weight > 0:
                actions = (Serve(candidate),)
            else:
                actions = (RemoveService(),) if self.observed.service is not None else ()
        elif candidate is not None and candidate.weight > 0:
            actions = (Split(stable, candidate),)
        elif self.status.rejected is not None:
            actions = (Reject(stable, self.status.rejected),)
        else:
            actions = (Serve(stable),)
        ended = self.before.phase != self.status.phase or self.status.phase == "Promoting"
        shared = self.status.previous is not None or self.before.candidate is not None
        if stable is not None and self.before.stable is not None and candidate is None and ended and shared:
            actions = (*actions, CleanUp(stable))
        return (*actions, *(r for r in self.requests if not isinstance(r, LaunchRun | Notify)))

    def _dropped_commands(self) -> tuple[Action, ...]:
        """Remove the commands that fit nothing in the status as it was: they are done, or wrong."""
        stale = {
            name: value
            for name, value in self.observed.commands.items()
            if not _fits(name, value, self.before)
        }
        return tuple(DropCommand(name, value) for name, value in stale.items())

    def _notices(self, status: ModelDeploymentStatus) -> tuple[Action, ...]:
        asked = tuple(request for request in self.requests if isinstance(request, Notify))
        if (status.phase, status.reason) == (self.before.phase, self.before.reason):
            return asked
        warning = self.stalled or status.phase in ("RolledBack", "Failed")
        return (*asked, Notify("Warning" if warning else "Normal", status.reason, status.message))


def _fits(command: str, value: str, status: ModelDeploymentStatus) -> bool:
    """Whether a command still has something to act on."""
    revision, _, step = value.partition(" ")[0].partition("/")
    if command == "retry":
        return revision == status.failed_revision
    stable, candidate = status.stable, status.candidate
    if command == "rollback":
        under_way = candidate is not None and candidate.restores
        return (
            stable is not None
            and revision == stable.revision
            and status.previous is not None
            and not under_way
        )
    return candidate is not None and revision == candidate.revision and step in ("", str(candidate.step))
