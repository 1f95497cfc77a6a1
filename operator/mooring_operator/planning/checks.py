"""Checks of a rollout: what is asked about a new revision, and what is known of the answer."""

from dataclasses import dataclass
from datetime import datetime

from mooring_operator.api.checks import Check, Outcome
from mooring_operator.api.rollout_status import Candidate, Revision


@dataclass(frozen=True)
class Question:
    """A check of one revision at one step of its rollout.

    check_id: names whatever runs for it, so that asking twice starts one.
    since: when it was asked for.
    address: where the candidate alone answers; empty where that is not known.
    """

    check_id: str
    check: Check
    candidate: Candidate
    stable: Revision | None
    since: datetime
    address: str = ""


@dataclass(frozen=True)
class CheckState:
    """What is known of a check; without an outcome it goes on, and `message` may say what it waits for."""

    check_id: str
    outcome: Outcome | None = None
    message: str = ""


@dataclass(frozen=True)
class CheckProblem:
    """Why a check could not be started; `final` where waiting does not help."""

    message: str
    final: bool
