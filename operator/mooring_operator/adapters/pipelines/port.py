"""What the operator asks of a pipeline backend, whichever it is."""

from __future__ import annotations

from typing import Protocol

from mooring_operator.planning.runs.run import RunRequest, RunState


class PipelinesUnavailable(Exception):
    """The backend did not answer, or failed: nothing is known, try again later."""


class LaunchUncertain(PipelinesUnavailable):
    """The backend was asked for a run, and failed or fell silent: work may have begun without a run.

    Asking without end would begin it without end, so the caller counts these.
    """


class PipelinesRefused(Exception):
    """The backend refused: a person has to change something; the message says what.

    name_taken: what stands in the way is an object of somebody else's.
    """

    def __init__(self, message: str, *, name_taken: bool = False) -> None:
        super().__init__(message)
        self.name_taken = name_taken


class Pipelines(Protocol):
    """Launch, follow and terminate runs, each in the namespace of the resource that it is made for.

    Every method but `url` raises PipelinesUnavailable or PipelinesRefused.
    """

    @property
    def narrow(self) -> bool:
        """Whether the texts among parameters have no characters beyond U+FFFF."""

    async def launch(self, run: RunRequest) -> None:
        """Make the run exist, exactly once: calling again with the same run id changes nothing.

        Raises:
            LaunchUncertain: it may or may not have been launched; `get` tells, later.
        """

    async def get(self, namespace: str, run_id: str) -> RunState | None:
        """Give the state of a run; None when the backend does not know it."""

    async def terminate(self, namespace: str, run_id: str) -> None:
        """Ask a run to stop; one that is unknown or finished stays as it is.

        A backend may take several requests: repeat until the run has ended or is unknown.
        """

    def url(self, namespace: str, run_id: str) -> str:
        """Give the page where a person watches the run; empty where there is none."""
