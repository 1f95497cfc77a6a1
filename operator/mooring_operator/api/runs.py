"""Runs of pipelines: what a status keeps of them."""

from typing import Annotated, Literal

from pydantic import Field

from mooring_operator.api import forms
from mooring_operator.api.types import StatusModel, Time

RunStateName = Literal["Pending", "Running", "Succeeded", "Failed", "Canceled"]


class AbandonedRun(StatusModel):
    """A run of which no answer is taken any more: Mooring terminates it, or it was lost."""

    run_id: Annotated[str, forms.RUN_ID.field, Field(description="Run.")]
    since: Annotated[Time, Field(description="Since when no answer of it is taken.")]
    ended: Annotated[bool, Field(description="Whether it has ended.")] = False
    check: Annotated[bool | None, Field(description="Whether it is a check of a step.")] = None
