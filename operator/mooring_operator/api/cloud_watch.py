"""``cloudWatch`` of a query: a number of Amazon CloudWatch's.

Source: CloudWatch API reference, 2010-08-01, GetMetricData, MetricDataQuery, MetricStat and Metric.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Duration, Model

_ONE = "a query of cloudWatch has metric or expression, and not both"
_PERIOD = "a period is whole minutes, 1m to 24h"
_LONGEST = 60 * 60 * 24
_Text = Annotated[str, Field(min_length=1, max_length=255)]


class CloudWatchMetric(Model):
    """A statistic of one metric."""

    namespace: Annotated[_Text, Field(description="Namespace of the metric, like AWS/ApplicationELB.")]
    name: Annotated[_Text, Field(description="Name of the metric.")]
    dimensions: Annotated[
        dict[Annotated[str, forms.DIMENSION.field], _Text],
        Field(
            description="Dimensions by name; {{namespace}}, {{name}}, {{candidate}}, {{stable}} and "
            "{{arguments.NAME}} stand for what the rollout is.",
            max_length=10,
        ),
    ] = {}
    stat: Annotated[str, forms.STATISTIC.field, Field(description="Statistic, like Sum, Average or p99.")] = (
        "Average"
    )


class CloudWatchQuery(Model):
    """A metric, or what is made of those before it."""

    id: Annotated[str, forms.QUERY_VARIABLE.field, Field(description="Its name in expressions.")]
    metric: Annotated[CloudWatchMetric | None, Field(description="A metric.")] = None
    expression: Annotated[
        str | None,
        Field(
            description="Metric math over other ids, like 100 * m1 / m2, or a Metrics Insights query; the same may "
            "stand in it as in dimensions.",
            min_length=1,
            max_length=2048,
        ),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> "CloudWatchQuery":
        if (self.metric is None) == (self.expression is None):
            raise ValueError(_ONE)
        return self


CloudWatchQuery.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [{"rule": "has(self.metric) != has(self.expression)", "message": _ONE}]
}


class CloudWatch(Model):
    """A number that a pod of the namespace asks CloudWatch for, with keys of a Secret there or its own identity."""

    region: Annotated[str, forms.REGION.field, Field(description="Region that has the metrics.")]
    credentials_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(
            description="Secret with keys accessKeyId and secretAccessKey, and sessionToken where there is one; "
            "without it, the pod's own identity."
        ),
    ] = None
    service_account_name: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="ServiceAccount of the pod, which AWS gives an identity."),
    ] = None
    queries: Annotated[
        list[CloudWatchQuery],
        Field(
            description="What is asked; the last one gives the number.",
            min_length=1,
            max_length=5,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["id"],
            },
        ),
    ]
    period: Annotated[
        Duration, Field(description="The last whole period is what is asked about; whole minutes.")
    ] = timedelta(minutes=5)
    timeout: Annotated[
        Duration, Field(description="How long one measurement may take, without the start of its pod.")
    ] = timedelta(minutes=1)

    @property
    def texts(self) -> dict[tuple[str | int, ...], str]:
        """What may have places in it, by the fields below."""
        found: dict[tuple[str | int, ...], str] = {}
        for index, query in enumerate(self.queries):
            if query.expression is not None:
                found["queries", index, "expression"] = query.expression
            for name, value in query.metric.dimensions.items() if query.metric is not None else ():
                found["queries", index, "metric", "dimensions", name] = value
        return found

    @model_validator(mode="after")
    def _asks(self) -> "CloudWatch":
        ids = [query.id for query in self.queries]
        twice = next((name for name in ids if ids.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"queries: {twice} is there twice")
        seconds = self.period.total_seconds()
        if seconds % 60 or not 60 <= seconds <= _LONGEST:
            raise ValueError(_PERIOD)
        return self


_SECONDS = "duration(self.period).getSeconds()"
_RULES: list[JsonValue] = [
    {
        "rule": f"!has(self.period) || {_SECONDS} % 60 == 0 && {_SECONDS} >= 60 && {_SECONDS} <= {_LONGEST}",
        "message": f"period: {_PERIOD}",
    }
]
CloudWatch.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}
