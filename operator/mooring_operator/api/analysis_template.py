"""``AnalysisTemplate`` and ``ClusterAnalysisTemplate``: standards of judging that several deployments share."""

from typing import Annotated, get_args

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.agreements import MOST_AGREEMENTS, Agreement
from mooring_operator.api.analysis import MetricLimit, MetricName, Metrics
from mooring_operator.api.model_policy import RULES_BY_NAME, PolicyStatus
from mooring_operator.api.template_queries import MOST_QUERIES, OF_THE_CLUSTER, Query
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


class Counted(Model):
    """Series of a counter, of the deployment's namespace."""

    counter: Annotated[str, forms.COUNTER.field, Field(description="Name of the counter.")]
    labels: Annotated[
        dict[
            Annotated[str, forms.SERIES_LABEL.field],
            Annotated[str, forms.SERIES_VALUE.field],
        ],
        Field(
            description="What its labels are; {{name}} is the deployment's, {{arguments.NAME}} what it says.",
            max_length=8,
        ),
    ] = {}


_GOOD_OR_BAD = "a rate has good or bad, and not both"
_RESERVED = "namespace and the label of the revision are set by the operator"
_TAKEN = tuple(get_args(MetricName))
_NAME_TAKEN = f"a rate is not called {', '.join(_TAKEN)}"
_NO_RATE = "ratio and points are both 0: no revision could be within that limit"
MOST_RATES = 2


class CountedRate(Model):
    """A share of what is counted of each revision, compared between the two as errorRate is."""

    name: Annotated[str, forms.QUERY.field, Field(description="Its name, unique in the template.")]
    total: Annotated[Counted, Field(description="All that is counted.")]
    good: Annotated[
        Counted | None,
        Field(description="What of it is as it should be; all else is what the limit is about."),
    ] = None
    bad: Annotated[Counted | None, Field(description="What of it is not, in place of good.")] = None
    revision_label: Annotated[
        str, forms.SERIES_LABEL.field, Field(description="The label that has the revision.")
    ] = "revision"
    ratio: Annotated[
        float, Field(ge=0, le=1000, description="Times stable's bad share that the new revision's may be.")
    ] = 1.2
    points: Annotated[float, Field(ge=0, lt=100, description="Percentage points more.")] = 0.2

    @property
    def events(self) -> Counted:
        """The counter that is part of the total."""
        found = self.good or self.bad
        assert found is not None
        return found

    @model_validator(mode="after")
    def _makes_sense(self) -> "CountedRate":
        if (self.good is None) == (self.bad is None):
            raise ValueError(_GOOD_OR_BAD)
        if self.name in _TAKEN:
            raise ValueError(_NAME_TAKEN)
        for counted in (self.total, self.events):
            if {"namespace", self.revision_label} & set(counted.labels):
                raise ValueError(_RESERVED)
        if self.revision_label == "namespace":
            raise ValueError(_RESERVED)
        if self.ratio == 0 and self.points == 0:
            raise ValueError(_NO_RATE)
        return self


_LABEL_OF_RATE = "(has(self.revisionLabel) ? self.revisionLabel : 'revision')"
_OWN_LABELS = "!('namespace' in self.{0}.labels) && !(" + _LABEL_OF_RATE + " in self.{0}.labels)"
CountedRate.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {"rule": "has(self.good) != has(self.bad)", "message": _GOOD_OR_BAD},
        {"rule": f"!(self.name in {list(_TAKEN)})", "message": _NAME_TAKEN},
        {
            "rule": " && ".join(
                [
                    f"{_LABEL_OF_RATE} != 'namespace'",
                    *(
                        f"(!has(self.{part}) || !has(self.{part}.labels) || {_OWN_LABELS.format(part)})"
                        for part in ("total", "good", "bad")
                    ),
                ]
            ),
            "message": _RESERVED,
        },
        {
            "rule": "!has(self.ratio) || !has(self.points) || self.ratio > 0.0 || self.points > 0.0",
            "message": _NO_RATE,
        },
    ]
}

_NOTHING = "a template has metrics, rates, agreements or queries"


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
    ] = []
    rates: Annotated[
        list[CountedRate],
        Field(
            description="Shares of counters of yours that are compared, as accuracy by labels that come late.",
            min_length=1,
            max_length=MOST_RATES,
            json_schema_extra=RULES_BY_NAME,
        ),
    ] = []
    agreements: Annotated[
        list[Agreement],
        Field(
            description="On how many requests and their copies the new revision answers otherwise, as a Shadow gets "
            "them.",
            min_length=1,
            max_length=MOST_AGREEMENTS,
            json_schema_extra=RULES_BY_NAME,
        ),
    ] = []
    queries: Annotated[
        list[Query],
        Field(
            description="What is measured in the deployment's namespace, and what it has to be.",
            min_length=1,
            max_length=MOST_QUERIES,
            json_schema_extra=RULES_BY_NAME,
        ),
    ] = []

    @model_validator(mode="after")
    def _says_each_once(self) -> "AnalysisTemplateSpec":
        if not (self.metrics or self.rates or self.agreements or self.queries):
            raise ValueError(_NOTHING)
        compared = [*(rate.name for rate in self.rates), *(each.name for each in self.agreements)]
        for field, names in (
            ("arguments", [argument.name for argument in self.arguments]),
            ("metrics", [str(metric.metric) for metric in self.metrics]),
            ("rates", [rate.name for rate in self.rates]),
            ("agreements", compared),
            ("queries", [*(query.name for query in self.queries), *compared]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{field}: {twice} is there twice")
        return self

    @model_validator(mode="after")
    def _asks_where_it_may(self) -> "AnalysisTemplateSpec":
        for index, query in enumerate(self.queries if type(self) is AnalysisTemplateSpec else []):
            if query.provider in OF_THE_CLUSTER:
                raise ValueError(f"queries[{index}]: {_OF_ADMINISTRATORS}")
        return self


_OF_ADMINISTRATORS = f"{' and '.join(OF_THE_CLUSTER)} stand in ClusterAnalysisTemplates alone"
_SOMETHING: dict[str, JsonValue] = {
    "rule": " || ".join(
        f"has(self.{field}) && self.{field}.size() > 0"
        for field in ("metrics", "rates", "agreements", "queries")
    ),
    "message": f"spec: {_NOTHING}",
}
_EACH_ONCE: list[JsonValue] = [
    {
        "rule": f"!has(self.{one}) || !has(self.{other}) || "
        f"self.{other}.all(q, !self.{one}.exists(r, r.name == q.name))",
        "message": f"spec.{other}: a name of spec.{one} is there twice",
    }
    for one, other in (("rates", "queries"), ("rates", "agreements"), ("agreements", "queries"))
]
AnalysisTemplateSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        _SOMETHING,
        *_EACH_ONCE,
        {
            "rule": "!has(self.queries) || self.queries.all(q, "
            + " && ".join(f"!has(q.{provider})" for provider in OF_THE_CLUSTER)
            + ")",
            "message": f"spec.queries: {_OF_ADMINISTRATORS}",
        },
    ]
}


class ClusterAnalysisTemplateSpec(AnalysisTemplateSpec):
    """What is judged, for deployments of any namespace that name it with clusterScope."""

    queries: Annotated[
        list[Query],
        Field(
            description="Numbers: of any series of the operator's Prometheus, also of other namespaces; of webhooks; "
            "and what is measured in the deployment's namespace.",
            min_length=1,
            max_length=MOST_QUERIES,
            json_schema_extra=RULES_BY_NAME,
        ),
    ] = []


ClusterAnalysisTemplateSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [_SOMETHING, *_EACH_ONCE]
}


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
