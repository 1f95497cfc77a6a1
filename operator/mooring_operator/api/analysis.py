"""``spec.rollout.analysis``: how a new revision is judged by what it answers."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Duration, Model, Note, StatusModel, Time

MetricName = Literal["errorRate", "rejectedRate", "latency", "firstToken", "tokenTime", "predictionDrift"]
LATENCIES = ("latency", "firstToken", "tokenTime")
"""How long requests take: whole answers, the first token of one, and each token, as a request has them on average."""
SourceName = Literal[
    "Auto", "Mooring", "Triton", "MLServer", "VLLM", "KServe", "Contour", "EnvoyGateway", "Istio", "Knative"
]
VerdictName = Literal["PASS", "FAIL", "INSUFFICIENT"]

_RATIO, _POINTS, _QUANTILE, _SLOWER = 1.2, 0.2, 99.0, 20.0
_DRIFT_POINTS = 5.0


class MetricLimit(Model):
    """What the new revision may be, measured against the stable one; what is left out has a default."""

    metric: Annotated[
        MetricName, Field(description="Answers 5xx or 4xx, how long requests or tokens take, or predictions.")
    ]
    ratio: Annotated[
        float | None, Field(ge=0, le=1000, description="Of rates: times stable's that are allowed; 1.2.")
    ] = None
    points: Annotated[
        float | None, Field(ge=0, lt=100, description="Of rates: percentage points more; 0.2.")
    ] = None
    quantile: Annotated[
        float | None, Field(gt=0, lt=100, description="Of latency: the percentile that is compared; 99.")
    ] = None
    slower: Annotated[
        float | None, Field(gt=0, le=1000, description="Of latency: percent more that are allowed; 20.")
    ] = None

    @property
    def rate_limit(self) -> tuple[float, float]:
        """Times the stable revision's rate, and the share beyond that."""
        if self.metric == "predictionDrift":
            return 1.0, (_DRIFT_POINTS if self.points is None else self.points) / 100
        points = _POINTS if self.points is None else self.points
        return (_RATIO if self.ratio is None else self.ratio, points / 100)

    @property
    def latency_limit(self) -> tuple[float, float]:
        """The quantile as a share, and how many times stable's it may be."""
        return ((self.quantile or _QUANTILE) / 100, 1 + (self.slower or _SLOWER) / 100)

    @model_validator(mode="after")
    def _makes_sense(self) -> "MetricLimit":
        of_rates = self.ratio is not None or self.points is not None
        of_latency = self.quantile is not None or self.slower is not None
        if of_rates if self.metric in LATENCIES else of_latency:
            raise ValueError(_KINDS)
        if self.metric == "predictionDrift" and (self.ratio is not None or self.points == 0):
            raise ValueError(_OF_DRIFT)
        if self.ratio == 0 and self.points == 0:
            raise ValueError(_NOBODY)
        return self


_KINDS = "ratio and points are of rates, quantile and slower of latency"
_OF_DRIFT = "predictionDrift: points above 0, no ratio"
_NOBODY = "ratio and points are both 0: no revision could be within that limit"

MetricLimit.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": f"self.metric in {list(LATENCIES)} ? !has(self.ratio) && !has(self.points) "
            ": !has(self.quantile) && !has(self.slower)",
            "message": _KINDS,
        },
        {
            "rule": "self.metric != 'predictionDrift' || !has(self.ratio) && (!has(self.points) || self.points > 0.0)",
            "message": _OF_DRIFT,
        },
        {
            "rule": "!has(self.ratio) || !has(self.points) || self.ratio > 0.0 || self.points > 0.0",
            "message": _NOBODY,
        },
    ]
}


Metrics = Field(
    max_length=3,
    json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]},
)


class NamedTemplate(Model):
    """A template by name, in the namespace or in the cluster."""

    name: Annotated[str, forms.LABEL.field, Field(description="Its name.")]
    cluster_scope: Annotated[
        bool, Field(description="Whether it is a ClusterAnalysisTemplate, not an AnalysisTemplate.")
    ] = False

    @property
    def kind(self) -> str:
        """The kind of the template."""
        return "ClusterAnalysisTemplate" if self.cluster_scope else "AnalysisTemplate"

    @property
    def key(self) -> tuple[str, str]:
        """Its kind and name."""
        return self.kind, self.name


NamedTemplates = Field(
    json_schema_extra={
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["name", "clusterScope"],
    }
)
MOST_TEMPLATES = 2


class UsedTemplate(NamedTemplate):
    """A template, and what it is told."""

    arguments: Annotated[
        dict[Annotated[str, forms.ARGUMENT.field], Annotated[str, forms.ARGUMENT_VALUE.field]],
        Field(description="What its arguments are, by name.", max_length=8),
    ] = {}


class Analysis(Model):
    """Judges the new revision by evidence, from its first request on: beyond a limit, it is rolled back."""

    templates: Annotated[
        list[UsedTemplate],
        NamedTemplates,
        Field(description="Templates whose metrics are compared too.", max_length=MOST_TEMPLATES),
    ] = []
    metrics: Annotated[
        list[MetricLimit],
        Metrics,
        Field(
            description="What is compared; errorRate where nothing is, and no template is named.",
            min_length=1,
        ),
    ] = []
    source: Annotated[
        SourceName,
        Field(description="Who counts: Auto is the runtime that serves; gateways and Knative count for any."),
    ] = "Auto"
    false_rollback: Annotated[
        str,
        forms.RISK.field,
        Field(description="How probable it is, at most, that a revision within its limits is rolled back."),
    ] = "1%"
    early_promotion: Annotated[
        bool,
        Field(description="Whether a PASS ends pauses, Shadow and ABTest with a duration before it is over."),
    ] = False
    after_promotion: Annotated[
        Duration | None, Field(description="How long it is watched once it is promoted, to go back.")
    ] = None

    @property
    def risk(self) -> float:
        """What `false_rollback` says, as a share."""
        return float(self.false_rollback.removesuffix("%")) / 100

    @model_validator(mode="before")
    @classmethod
    def _compares_something(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "metrics" not in given and not given.get("templates"):
            return {**given, "metrics": [{"metric": "errorRate"}]}
        return given

    @model_validator(mode="after")
    def _compares_each_once(self) -> "Analysis":
        names = [limit.metric for limit in self.metrics]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"metrics: {twice} is there twice")
        if self.after_promotion is not None and not self.templates and set(names) == {"predictionDrift"}:
            raise ValueError(_NOTHING_TO_WATCH)
        keys = [template.key for template in self.templates]
        named_twice = next((name for kind, name in keys if keys.count((kind, name)) > 1), None)
        if named_twice is not None:
            raise ValueError(f"templates: {named_twice} is there twice")
        return self


_NOTHING_TO_WATCH = "afterPromotion: predictionDrift is not watched after the promotion; add another metric"
Analysis.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.afterPromotion) || has(self.templates) && self.templates.size() > 0 || "
            "!has(self.metrics) || self.metrics.size() == 0 || self.metrics.exists(m, m.metric != 'predictionDrift')",
            "message": _NOTHING_TO_WATCH,
        }
    ]
}


class Analyse(Model):
    """Wait until the evidence suffices: PASS goes on, FAIL rolls back."""

    duration: Annotated[Duration, Field(description="How long evidence is waited for.")] = timedelta(
        minutes=30
    )
    on_insufficient: Annotated[
        Literal["Pause", "Pass", "Fail"],
        Field(description="What follows when there is too little: wait for a person, go on, or roll back."),
    ] = "Pause"


NEEDS_ANALYSIS = "a step analyse needs spec.rollout.analysis"
NEEDS_BOTH = "a step analyse stands between weights above 0 and the last one: both revisions must answer"
_TOLD = "self.steps.filter(step, has(step.analyse) || (has(step.setWeight) && step.setWeight > 0))"
RULES: tuple[JsonValue, ...] = (
    {
        "rule": "has(self.analysis) || self.steps.all(step, !has(step.analyse))",
        "message": f"spec.rollout.steps: {NEEDS_ANALYSIS}",
    },
    {
        "rule": f"{_TOLD}.size() == 0 || (has({_TOLD}[{_TOLD}.size() - 1].setWeight) && "
        f"(self.strategy in ['Shadow', 'ABTest'] || has({_TOLD}[0].setWeight)))",
        "message": f"spec.rollout.steps: {NEEDS_BOTH}",
    },
)

GENERATIONS = "^[-a-z0-9@/ ]*$"
EVIDENCE = "^[-A-Za-z0-9+/=. :]*$"
LONGEST_EVIDENCE = 3600
MEASURED = "^[-+A-Za-z0-9,.;:() ]*$"


class AnalysisStatus(StatusModel):
    """How the revision on its way, or just promoted, compares."""

    candidate: Annotated[str, Field(description="Revision that is judged.", max_length=63)]
    stable: Annotated[str, Field(description="Revision that it is compared with.", max_length=63)]
    verdict: Annotated[VerdictName, Field(description="What the evidence says.")] = "INSUFFICIENT"
    message: Annotated[Note, Field(description="Both revisions, the limit, the evidence.")] = ""
    problem: Annotated[Note, Field(description="Why nothing can be counted.")] = ""
    since: Annotated[Time, Field(description="When it began.")]
    until: Annotated[Time, Field(description="Up to when requests have been counted, each once.")]
    templates: Annotated[
        str,
        Field(
            description="Templates that it goes by, with their generations.",
            pattern=GENERATIONS,
            max_length=200,
        ),
    ] = ""
    measured: Annotated[
        str,
        Field(
            description="How the queries of templates do, with their last numbers.",
            pattern=MEASURED,
            max_length=600,
        ),
    ] = ""
    step: Annotated[int, Field(description="Step that a PASS would be of.")] = 0
    promoted_at: Annotated[Time | None, Field(description="Since when it is watched as stable.")] = None
    evidence: Annotated[
        str,
        Field(
            description="Where the bets stand, while it goes on.",
            pattern=EVIDENCE,
            max_length=LONGEST_EVIDENCE,
        ),
    ] = ""
