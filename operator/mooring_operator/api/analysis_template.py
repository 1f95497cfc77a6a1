"""``AnalysisTemplate`` and ``ClusterAnalysisTemplate``: standards of judging that several deployments share."""

from typing import Annotated

from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.analysis import MetricLimit, Metrics
from mooring_operator.api.model_policy import RULES_BY_NAME, PolicyStatus
from mooring_operator.api.types import Condition, Model


class Argument(Model):
    """Something that whoever names the template may say, or has to."""

    name: Annotated[str, forms.ARGUMENT.field, Field(description="Its name, unique in the template.")]
    value: Annotated[
        str | None,
        forms.ARGUMENT_VALUE.field,
        Field(description="What it is where nobody says; without it, everybody has to."),
    ] = None
    description: Annotated[str, Field(description="What it is for.", max_length=256)] = ""


class FromArguments(Model):
    """Which arguments say the bounds of a metric; each has the form of a number."""

    ratio: Annotated[str | None, forms.ARGUMENT.field, Field(description="Argument that is the ratio.")] = (
        None
    )
    points: Annotated[str | None, forms.ARGUMENT.field, Field(description="Argument that is the points.")] = (
        None
    )
    quantile: Annotated[
        str | None, forms.ARGUMENT.field, Field(description="Argument that is the quantile.")
    ] = None
    slower: Annotated[
        str | None, forms.ARGUMENT.field, Field(description="Argument that is how much slower.")
    ] = None

    @property
    def by_field(self) -> dict[str, str]:
        """The names of arguments, by the field that they say."""
        named = {name: getattr(self, name) for name in FromArguments.model_fields}
        return {name: argument for name, argument in named.items() if argument is not None}


class TemplateMetric(MetricLimit):
    """A metric of a template: its bounds are numbers here, or what arguments say."""

    from_arguments: Annotated[
        FromArguments, Field(description="Bounds that arguments say in place of numbers here.")
    ] = FromArguments()


class AnalysisTemplateSpec(Model):
    """What is judged, for deployments that name it in spec.rollout.analysis.templates."""

    arguments: Annotated[
        list[Argument],
        Field(description="What deployments may say.", max_length=8, json_schema_extra=RULES_BY_NAME),
    ] = []
    metrics: Annotated[
        list[TemplateMetric],
        Metrics,
        Field(description="What is compared, as in spec.rollout.analysis.metrics.", min_length=1),
    ]

    @model_validator(mode="after")
    def _says_each_once(self) -> "AnalysisTemplateSpec":
        for field, names in (
            ("arguments", [argument.name for argument in self.arguments]),
            ("metrics", [str(metric.metric) for metric in self.metrics]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{field}: {twice} is there twice")
        return self


class ClusterAnalysisTemplateSpec(AnalysisTemplateSpec):
    """What is judged, for deployments of any namespace that name it with clusterScope."""


class TemplateStatus(PolicyStatus):
    """What the operator has found about a template; it has one writer."""

    conditions: Annotated[
        list[Condition],
        Field(
            description="Ready: whether deployments can be judged by it; Stalled where they cannot.",
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
