"""How requests of a window were answered, and what must hold."""

from typing import Annotated

from pydantic import Field

from mooring_operator.api.drift_actions import A_SET, Actions, one_stop
from mooring_operator.api.types import Model, Note, StatusModel, Time


class Operation(Model):
    """Plain rules about latency, errors and traffic of what the target keeps."""

    latency_ratio: Annotated[
        float,
        Field(gt=1, le=1000, description="How many times the reference's 95th percentile latency may be."),
    ] = 2.0
    error_rate: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Share of requests that may fail. Broken where the lower end of its interval of 95 %, or, "
            "plain, itself is above.",
        ),
    ] = 0.1
    plain: Annotated[
        bool,
        Field(description="Judge the share of requests that failed as it is: often wrong where few came."),
    ] = False
    traffic_ratio: Annotated[
        float | None,
        Field(
            gt=1,
            le=100_000,
            description="How many times as many or as few requests a second as in the reference there may be; any "
            "number when left out.",
        ),
    ] = None
    actions: Annotated[
        Actions,
        Field(
            description="What happens when OperationDegraded becomes True, as in spec.actions.",
            json_schema_extra=A_SET,
        ),
    ] = []


Operation.model_config["json_schema_extra"] = {"x-kubernetes-validations": [one_stop("spec.operation")]}


class OperationReference(StatusModel):
    """The first window of a revision with enough requests, with which later ones are compared."""

    until: Annotated[Time, Field(description="Its end.")]
    p95: Annotated[float, Field(description="Seconds that 95 % of its requests took at most.")]
    per_second: Annotated[float, Field(description="Its requests a second.")]


class OperationStatus(StatusModel):
    """How the requests of the last window were answered."""

    revision: Annotated[str, Field(description="Revision that answered them.")] = ""
    until: Annotated[Time | None, Field(description="End of the window.")] = None
    requests: Annotated[int, Field(description="Requests that were kept.")] = 0
    errors: Annotated[int, Field(description="Those that failed, with a status of 400 or more.")] = 0
    per_second: Annotated[float, Field(description="Requests a second.")] = 0.0
    p50: Annotated[float | None, Field(description="Seconds that half of the others took at most.")] = None
    p95: Annotated[float | None, Field(description="Seconds that 95 % took at most.")] = None
    p99: Annotated[float | None, Field(description="Seconds that 99 % took at most.")] = None
    reference: Annotated[OperationReference | None, Field(description="What it is compared with.")] = None
    broken: Annotated[list[Note], Field(description="Rules that are broken.", max_length=3)] = []
