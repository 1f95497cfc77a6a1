"""What a ``DriftMonitor`` does when something that it watches goes wrong, and what became of it."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue

from mooring_operator.api.types import Note, StatusModel, Time

Action = Literal["Rollback", "Pause", "Abort"]
MOST_ACTIONS = 3
Cause = Literal["Drift", "Performance", "Operation"]
"""What is acted on: condition Drifted, PerformanceDropped or OperationDegraded."""
MOST_CAUSES = 3

_ONE_STOP = "actions has Pause and Abort: name one of them"
A_SET: dict[str, JsonValue] = {"x-kubernetes-list-type": "set"}


def _stops_in_one_way(actions: list[Action]) -> list[Action]:
    if "Pause" in actions and "Abort" in actions:
        raise ValueError(_ONE_STOP)
    return actions


Actions = Annotated[list[Action], AfterValidator(_stops_in_one_way), Field(max_length=MOST_ACTIONS)]
Causes = Annotated[list[Cause], Field(min_length=1, max_length=MOST_CAUSES)]


def one_stop(part: str) -> JsonValue:
    """Give the CRD's rule that `actions` beside it stop rollouts in one way; `part` is what holds them."""
    return {
        "rule": "!has(self.actions) || !('Pause' in self.actions && 'Abort' in self.actions)",
        "message": f"{part}.{_ONE_STOP}",
    }


class ActionTaken(StatusModel):
    """The last thing that an action came to, and why."""

    action: Annotated[Action, Field(description="Which one.")]
    cause: Annotated[Cause, Field(description="What it was for.")] = "Drift"
    state: Annotated[
        Literal["Asked", "Rehearsed", "Skipped", "CoolingDown"],
        Field(description="What became of it: asked for, or not, and message says why."),
    ]
    revision: Annotated[str, Field(description="Revision that it was about.")] = ""
    at: Annotated[Time, Field(description="When.")]
    asked_at: Annotated[Time | None, Field(description="When it was last asked for.")] = None
    message: Annotated[Note, Field(description="Why, in a sentence.")] = ""
