"""What the operator asks of whatever carries out the checks of steps."""

from typing import Protocol

from mooring_operator.planning.checks import CheckProblem, CheckState, Question
from mooring_operator.planning.objects.owner import Owner


class CheckNotStarted(Exception):
    """A check could not be started; `problem` says why, and whether waiting helps."""

    def __init__(self, problem: CheckProblem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Checker(Protocol):
    """Carries out checks; all but `start` raise ClusterError where nobody answers."""

    async def start(self, owner: Owner, question: Question) -> None:
        """Have a check carried out, exactly once: asking again with the same check id changes nothing.

        Raises:
            CheckNotStarted: it was refused, or has to be tried again.
        """
        ...

    async def look(self, owner: Owner, question: Question) -> CheckState | None:
        """Say how a check does; None where nothing of it is there."""
        ...

    async def is_there(self, owner: Owner, check_id: str) -> bool:
        """Whether something of a check still goes on."""
        ...

    async def stop(self, owner: Owner, check_id: str) -> None:
        """End what carries out a check; nothing where nothing does."""
        ...
