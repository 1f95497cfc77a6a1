"""What the operator asks of a pipeline backend, whichever it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
Phase: TypeAlias = Literal["Pending", "Running", "Succeeded", "Failed", "Canceled"]


class PipelinesUnavailable(Exception):
    """The backend did not answer, or failed: nothing is known, try again later."""


class PipelinesRefused(Exception):
    """The backend refused: a person has to change something; the message says what."""


@dataclass(frozen=True)
class RunRequest:
    """A run to launch: `run_id` a UUID chosen by the caller, `pipeline` the name of a shipped one."""

    run_id: str
    name: str
    pipeline: str
    parameters: Mapping[str, JsonValue]
    namespace: str


@dataclass(frozen=True)
class RunState:
    """Where a run is; `message` says why it failed, or is empty."""

    run_id: str
    phase: Phase
    message: str


class Pipelines(Protocol):
    """Launch, follow and terminate runs.

    Every method but `url` raises PipelinesUnavailable or PipelinesRefused.
    """

    async def launch(self, run: RunRequest) -> None:
        """Make the run exist, exactly once: calling again with the same run id changes nothing."""

    async def get(self, run_id: str) -> RunState | None:
        """The state of a run; None when the backend does not know it."""

    async def terminate(self, run_id: str) -> None:
        """Stop a run; one that is unknown or finished stays as it is."""

    def url(self, run_id: str) -> str:
        """Where a person watches the run."""
