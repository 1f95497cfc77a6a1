"""``AnalysisTemplate`` and ``ClusterAnalysisTemplate``: standards of judging that several deployments share."""

from datetime import timedelta
from typing import Annotated, ClassVar, get_args

from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.analysis import MetricLimit, MetricName, Metrics
from mooring_operator.api.model_policy import RULES_BY_NAME, PolicyStatus
from mooring_operator.api.types import Condition, Duration, Model


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


class NumberWebhook(Model):
    """An address that the operator asks for a number."""

    url: Annotated[
        str,
        forms.HOOK.field,
        Field(
            description="The operator posts namespace, name, candidate, stable, query and arguments as JSON; the "
            'answer is {"value": NUMBER}.'
        ),
    ]


_NO_QUERY = "a query has query or webhook, and not both"
_NO_CONDITION = "a query needs successCondition, failureCondition or both"
_OFTEN = "an interval is 10s at least"
MOST_QUERIES = 6


class Query(Model):
    """A number, of PromQL or a webhook, measured again and again, and what it has to be."""

    name: Annotated[str, forms.QUERY.field, Field(description="Its name, unique in the template.")]
    query: Annotated[
        str | None,
        Field(
            description="PromQL that gives one number. In the values of labels' matchers stand {{namespace}}, "
            "{{name}}, {{candidate}}, {{stable}} (revisions) and {{arguments.NAME}}, and nowhere else.",
            min_length=1,
            max_length=4096,
        ),
    ] = None
    webhook: Annotated[
        NumberWebhook | None, Field(description="An address that knows the number, in place of query.")
    ] = None
    success_condition: Annotated[
        str,
        Field(
            description="CEL over result (the number) and arguments (texts) that is true where it is as it should be.",
            max_length=1024,
        ),
    ] = ""
    failure_condition: Annotated[
        str,
        Field(
            description="CEL that is true where it is not. With both, what is neither tells nothing; with one, what it "
            "is not is the other.",
            max_length=1024,
        ),
    ] = ""
    interval: Annotated[Duration, Field(description="Time between two measurements; 10s at least.")] = (
        timedelta(minutes=1)
    )
    initial_delay: Annotated[
        Duration | None, Field(description="How long after the first request of a revision it begins.")
    ] = None
    count: Annotated[
        int,
        Field(ge=1, le=1000, description="Measurements of a step that a PASS takes; it goes on after them."),
    ] = 1
    failure_limit: Annotated[
        int, Field(ge=0, le=1000, description="How many may fail in a whole rollout; one more rolls back.")
    ] = 0
    inconclusive_limit: Annotated[
        int,
        Field(ge=0, le=1000, description="How many may tell nothing for a PASS; one more takes a person."),
    ] = 0
    consecutive_error_limit: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="How many in a row may come to no number; one more is said, and there is no PASS before the "
            "next number.",
        ),
    ] = 4
    dry_run: Annotated[bool, Field(description="Whether it is measured and told, and decides nothing.")] = (
        False
    )

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those that there are: of success first."""
        return tuple(filter(None, (self.success_condition, self.failure_condition)))

    @model_validator(mode="after")
    def _decides(self) -> "Query":
        if (self.query is None) == (self.webhook is None):
            raise ValueError(_NO_QUERY)
        if not self.conditions:
            raise ValueError(_NO_CONDITION)
        if self.interval < timedelta(seconds=10):
            raise ValueError(_OFTEN)
        return self


Query.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {"rule": "has(self.query) != has(self.webhook)", "message": _NO_QUERY},
        {
            "rule": "has(self.successCondition) && self.successCondition != '' || "
            "has(self.failureCondition) && self.failureCondition != ''",
            "message": _NO_CONDITION,
        },
        {
            "rule": "!has(self.interval) || duration(self.interval) >= duration('10s')",
            "message": f"interval: {_OFTEN}",
        },
    ]
}


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

_NOTHING = "a template has metrics, rates or both"


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

    nothing: ClassVar[str] = _NOTHING

    @property
    def judges(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.metrics or self.rates)

    @model_validator(mode="after")
    def _says_each_once(self) -> "AnalysisTemplateSpec":
        if not self.judges:
            raise ValueError(self.nothing)
        for field, names in (
            ("arguments", [argument.name for argument in self.arguments]),
            ("metrics", [str(metric.metric) for metric in self.metrics]),
            ("rates", [rate.name for rate in self.rates]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{field}: {twice} is there twice")
        return self


AnalysisTemplateSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "has(self.metrics) && self.metrics.size() > 0 || has(self.rates) && self.rates.size() > 0",
            "message": f"spec: {_NOTHING}",
        }
    ]
}
_NOTHING_AT_ALL = "a template has metrics, rates or queries"


class ClusterAnalysisTemplateSpec(AnalysisTemplateSpec):
    """What is judged, for deployments of any namespace that name it with clusterScope."""

    nothing: ClassVar[str] = _NOTHING_AT_ALL
    queries: Annotated[
        list[Query],
        Field(
            description="Numbers: of any series of the operator's Prometheus, also of other namespaces; of webhooks.",
            min_length=1,
            max_length=MOST_QUERIES,
            json_schema_extra=RULES_BY_NAME,
        ),
    ] = []

    @property
    def judges(self) -> bool:
        """Whether there is anything in it."""
        return bool(self.metrics or self.rates or self.queries)

    @model_validator(mode="after")
    def _asks_each_once(self) -> "ClusterAnalysisTemplateSpec":
        names = [*(query.name for query in self.queries), *(rate.name for rate in self.rates)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"queries: {twice} is there twice")
        return self


ClusterAnalysisTemplateSpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": " || ".join(
                f"has(self.{field}) && self.{field}.size() > 0" for field in ("metrics", "rates", "queries")
            ),
            "message": f"spec: {_NOTHING_AT_ALL}",
        }
    ]
}


def queries_in(spec: AnalysisTemplateSpec) -> list[Query]:
    """Give the queries of a template; those of a namespace have none."""
    return spec.queries if isinstance(spec, ClusterAnalysisTemplateSpec) else []


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
