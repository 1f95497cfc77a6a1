"""What the evidence of a ``DriftMonitor`` supports; nothing is done about it that the spec does not list."""

from typing import Annotated

from mooring_artifacts.drift_pointers import Action, At
from pydantic import Field

from mooring_operator.api.types import Message, StatusModel

MOST_SUGGESTIONS = 2


class Suggestion(StatusModel):
    """Where the evidence points, and what it supports."""

    points_at: Annotated[At, Field(description="What the evidence is about.")]
    action: Annotated[Action, Field(description="What it supports.")]
    listed: Annotated[
        bool, Field(description="Whether the spec has it done; else it is for a person to do.")
    ] = False
    message: Annotated[Message, Field(description="Why.")] = ""
