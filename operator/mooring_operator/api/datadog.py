"""``datadog`` of a query: a number of Datadog's.

Source: Datadog API reference, v2, "Query scalar data across multiple products"; "Getting started with Datadog sites".
"""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Duration, Model

_ONE = "datadog has query, or queries with a formula"
_LONG = "a window is 1m to 24h"
_Text = Annotated[str, Field(min_length=1, max_length=2048)]


class Datadog(Model):
    """A number that a pod of the namespace asks Datadog for, with the keys of a Secret there."""

    site: Annotated[
        Literal[
            "datadoghq.com",
            "us3.datadoghq.com",
            "us5.datadoghq.com",
            "ap1.datadoghq.com",
            "ap2.datadoghq.com",
            "uk1.datadoghq.com",
            "datadoghq.eu",
            "ddog-gov.com",
            "us2.ddog-gov.com",
        ],
        Field(description="Datadog's site that has the metrics."),
    ] = "datadoghq.com"
    credentials_secret: Annotated[
        str, forms.OBJECT_NAME.field, Field(description="Secret with keys apiKey and appKey.")
    ]
    query: Annotated[
        _Text | None,
        Field(
            description="Metrics query that gives one series. {{namespace}}, {{name}}, {{candidate}}, {{stable}} "
            "and {{arguments.NAME}} stand for what the rollout is."
        ),
    ] = None
    queries: Annotated[
        dict[Annotated[str, forms.QUERY_VARIABLE.field], _Text],
        Field(description="Several queries, by the names that the formula has.", max_length=5),
    ] = {}
    formula: Annotated[
        str | None, Field(description="What is made of queries, like a / b.", min_length=1, max_length=512)
    ] = None
    aggregator: Annotated[
        Literal["avg", "min", "max", "sum", "last"],
        Field(description="What makes one number of the window."),
    ] = "avg"
    window: Annotated[Duration, Field(description="The time before now that is asked about; 1m to 24h.")] = (
        timedelta(minutes=5)
    )
    timeout: Annotated[
        Duration, Field(description="How long one measurement may take, without the start of its pod.")
    ] = timedelta(minutes=1)

    @property
    def texts(self) -> dict[tuple[str | int, ...], str]:
        """What may have places in it, by the fields below."""
        found: dict[tuple[str | int, ...], str] = {
            ("queries", name): query for name, query in self.queries.items()
        }
        return found if self.query is None else {**found, ("query",): self.query}

    @model_validator(mode="after")
    def _asks(self) -> "Datadog":
        if (self.query is None) != (bool(self.queries) and self.formula is not None):
            raise ValueError(_ONE)
        if self.query is not None and (self.queries or self.formula is not None):
            raise ValueError(_ONE)
        if not timedelta(minutes=1) <= self.window <= timedelta(hours=24):
            raise ValueError(_LONG)
        return self


_RULES: list[JsonValue] = [
    {
        "rule": "has(self.query) ? !has(self.formula) && (!has(self.queries) || self.queries.size() == 0) : "
        "has(self.formula) && has(self.queries) && self.queries.size() > 0",
        "message": _ONE,
    },
    {
        "rule": "!has(self.window) || duration(self.window) >= duration('1m') && "
        "duration(self.window) <= duration('24h')",
        "message": f"window: {_LONG}",
    },
]
Datadog.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}
