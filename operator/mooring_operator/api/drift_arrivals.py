"""How rows of what a ModelDeployment keeps come to its DriftMonitor."""

from typing import Annotated

from pydantic import Field

from mooring_operator.api.types import Message, StatusModel, Time


class Arrivals(StatusModel):
    """What came when, of what the revision that serves keeps."""

    revision: Annotated[str, Field(description="Revision whose rows they are.")] = ""
    until: Annotated[
        Time | None,
        Field(description="End of the last window looked at: earlier rows that come now are late."),
    ] = None
    newest: Annotated[
        float,
        Field(
            description="When the newest file was written by then: seconds since 1970, by its store's clock."
        ),
    ] = 0.0
    late: Annotated[
        int, Field(description="Rows that came after their window was evaluated: they are in no window.")
    ] = 0
    came_late: Annotated[int, Field(description="Those of them that came since the evaluation before.")] = 0
    repeated: Annotated[
        int, Field(description="Rows of the last window that were kept twice, and count once.")
    ] = 0
    ahead: Annotated[
        float, Field(description="Seconds by which times of its rows are after those of their files.")
    ] = 0.0


class Gathering(StatusModel):
    """A window that has too few rows yet, and goes on."""

    until: Annotated[Time, Field(description="End of the last look at it.")]
    revision: Annotated[str, Field(description="Revision whose rows they are.")] = ""
    reason: Annotated[str, Field(description="GatheringWindow, or WindowEmpty where it has none.")]
    message: Annotated[Message, Field(description="How many rows it has, of how many.")] = ""
