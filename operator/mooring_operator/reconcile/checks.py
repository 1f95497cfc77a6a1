"""Starts, watches and stops the checks of steps, each kind by what carries it out."""

from collections.abc import Mapping
from contextlib import suppress

from mooring_operator.adapters.checks import Checker
from mooring_operator.adapters.cluster import ClusterError
from mooring_operator.api.checks import Check, CheckKind
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.checks import CheckState, Question
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.abandoned_runs import unended
from mooring_operator.planning.runs.run import RunState
from mooring_operator.planning.strategies.course import course_of


class Checks:
    """The checks of all kinds: a new kind is one more of `checkers`."""

    def __init__(self, checkers: Mapping[CheckKind, Checker]) -> None:
        self._checkers = checkers

    async def start(self, owner: Owner, question: Question) -> None:
        """Have a check carried out, exactly once."""
        await self._checkers[question.check.kind].start(owner, question)

    async def look(
        self, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
    ) -> CheckState | None:
        """Say how the candidate's check does; None where it has none, or nothing of it is there."""
        question = _question(spec, status)
        return None if question is None else await self._checkers[question.check.kind].look(owner, question)

    async def abandoned(self, owner: Owner, status: ModelDeploymentStatus) -> dict[str, RunState | None]:
        """Look up the checks that were told to stop; one that cannot be asked about holds nothing up."""
        found: dict[str, RunState | None] = {}
        for check_id in unended(status.abandoned_runs, checks=True):
            with suppress(ClusterError):
                there = await self._is_there(owner, check_id)
                found[check_id] = RunState(check_id, "Running") if there else None
        return found

    async def stop(self, owner: Owner, check_id: str) -> None:
        """End whatever carries out a check."""
        for checker in self._distinct():
            await checker.stop(owner, check_id)

    async def _is_there(self, owner: Owner, check_id: str) -> bool:
        return any([await checker.is_there(owner, check_id) for checker in self._distinct()])

    def _distinct(self) -> list[Checker]:
        return list({id(checker): checker for checker in self._checkers.values()}.values())


def _question(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> Question | None:
    """Give what is asked by the check that a status waits for; None where it waits for none of this spec's."""
    candidate = status.candidate
    known = candidate.check if candidate is not None else None
    course = course_of(spec.rollout)
    if candidate is None or known is None or known.outcome is not None or known.step >= len(course):
        return None
    check = course[known.step]
    if not isinstance(check, Check) or check.kind != known.kind:
        return None
    return Question(known.id, check, candidate, status.stable, known.started_at)
