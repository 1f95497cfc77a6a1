"""``spec.serving.autoscaling``: how the number of replicas follows the load."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from mooring_operator.api import forms
from mooring_operator.api.types import Model


class Prometheus(Model):
    """A Prometheus query that KEDA scales on."""

    address: Annotated[str, forms.WEB_ADDRESS.field, Field(description="Prometheus server's URL.")]
    query: Annotated[str, Field(description="PromQL that yields one number.", min_length=1, max_length=2048)]


Target = Annotated[
    int | None,
    Field(
        ge=1,
        le=1_000_000,
        description="Value to hold per replica: percent for cpu and memory, else a count. KServe's default "
        "when left out.",
    ),
]


class Metric(Model):
    """One of several metrics: the one that asks for most replicas decides."""

    metric: Annotated[
        Literal["cpu", "memory", "prometheus"],
        Field(description="What is measured; prometheus with scaler KEDA only."),
    ]
    target: Target = None
    prometheus: Annotated[Prometheus | None, Field(description="Query for metric prometheus.")] = None


class ScalingPolicy(Model):
    """How much may change in a time."""

    type: Annotated[Literal["Pods", "Percent"], Field(description="What value counts.")]
    value: Annotated[int, Field(ge=1, le=1_000_000, description="Pods, or percent of those that run.")]
    period_seconds: Annotated[int, Field(ge=1, le=1800, description="The time, in seconds.")]


class ScalingRules(Model):
    """How fast replicas come, or go."""

    stabilization_window_seconds: Annotated[
        int | None,
        Field(ge=0, le=3600, description="Seconds that the most careful of past answers holds."),
    ] = None
    select_policy: Annotated[
        Literal["Max", "Min", "Disabled"] | None,
        Field(description="Which policy decides; Max when left out."),
    ] = None
    policies: Annotated[list[ScalingPolicy], Field(description="How much may change.", max_length=8)] = []


class Behavior(Model):
    """How fast replicas come and go, as in a HorizontalPodAutoscaler. KServe hands it to KEDA alone."""

    scale_up: Annotated[ScalingRules | None, Field(description="How fast replicas come.")] = None
    scale_down: Annotated[ScalingRules | None, Field(description="How fast replicas go.")] = None


class Autoscaling(Model):
    """How the number of replicas follows the load."""

    scaler: Annotated[
        Literal["HPA", "KEDA", "None"] | None,
        Field(
            description="Who scales in Standard mode: HPA (default), KEDA, or None for a fixed count. Leave it out in "
            "Knative mode."
        ),
    ] = None
    metric: Annotated[
        Literal["cpu", "memory", "concurrency", "rps", "prometheus"] | None,
        Field(
            description="What is measured. Standard with HPA: cpu, memory. Standard with KEDA: cpu, memory, "
            "prometheus. Knative: concurrency, rps, cpu, memory. Default: cpu in Standard, concurrency in Knative."
        ),
    ] = None
    target: Target = None
    prometheus: Annotated[
        Prometheus | None, Field(description="Query for metric prometheus (scaler KEDA only).")
    ] = None
    metrics: Annotated[
        list[Metric],
        Field(description="Several metrics at once, instead of metric; mode Standard.", max_length=8),
    ] = []
    behavior: Annotated[
        Behavior | None, Field(description="How fast replicas come and go (scaler KEDA only).")
    ] = None


def _rule(rule: str, message: str) -> JsonValue:
    return {"rule": rule, "messageExpression": message}


_HERE = "spec.serving.autoscaling"
_KEDA = "has(self.scaler) && self.scaler == 'KEDA'"


def _query_fits(part: str, says: str) -> list[JsonValue]:
    """Give the rules that a query is there for metric prometheus and no other, with a target."""
    is_asked = "has(self.metric) && self.metric == 'prometheus'"
    return [
        _rule(
            f"has(self.prometheus) == ({is_asked})",
            f"'{part}.prometheus goes with metric prometheus: {says}'",
        ),
        _rule(
            "!has(self.prometheus) || has(self.target)",
            f"'{part}.target is needed with metric prometheus'",
        ),
    ]


_METRICS = f"{_HERE}.metrics"
Metric.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": _query_fits(_METRICS, "set both or neither")
}
Autoscaling.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        *_query_fits(_HERE, "set both or neither"),
        _rule(
            "!has(self.metrics) || self.metrics.size() == 0 "
            "|| (!has(self.metric) && !has(self.target) && !has(self.prometheus))",
            f"'{_METRICS} stands instead of metric, target and prometheus: leave those out'",
        ),
        _rule(
            f"!has(self.metrics) || ({_KEDA}) || !self.metrics.exists(m, m.metric == 'prometheus')",
            f"'{_METRICS}: metric prometheus needs scaler KEDA'",
        ),
        _rule(
            f"!has(self.behavior) || ({_KEDA})",
            f"'{_HERE}.behavior needs scaler KEDA: KServe gives an HPA of its own none'",
        ),
    ]
}
