"""What a ``DriftMonitor`` does when drift begins, and what became of it."""

from typing import Annotated, Literal

from pydantic import Field

from mooring_operator.api.types import Note, StatusModel, Time

Action = Literal["Rollback", "Pause", "Abort"]
MOST_ACTIONS = 3


class ActionTaken(StatusModel):
    """The last thing that an action of spec.actions came to, and why."""

    action: Annotated[Action, Field(description="Which one.")]
    state: Annotated[
        Literal["Asked", "Rehearsed", "Skipped", "CoolingDown"],
        Field(description="What became of it: asked for, or not, and message says why."),
    ]
    revision: Annotated[str, Field(description="Revision that it was about.")] = ""
    at: Annotated[Time, Field(description="When.")]
    asked_at: Annotated[Time | None, Field(description="When it was last asked for.")] = None
    message: Annotated[Note, Field(description="Why, in a sentence.")] = ""
