"""What decisions about any kind may ask for: every action may be repeated without harm."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TerminateRun:
    """Stop a run that nobody waits for any more."""

    run_id: str


@dataclass(frozen=True)
class Notify:
    """Tell people about a transition: a Kubernetes Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
