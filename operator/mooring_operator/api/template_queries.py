"""Queries of templates: what is measured again and again, by whom, and what it has to be.

Who measures is a provider: a field of `Query` and its model here or in a file beside, and an adapter behind
`Provider`, which is registered where the operator is put together.
"""

from datetime import timedelta
from typing import Annotated, Literal, get_args

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.checks import TOO_LONG, Container, command_rule
from mooring_operator.api.cloud_watch import CloudWatch
from mooring_operator.api.datadog import Datadog
from mooring_operator.api.measuring_pipeline import MeasuringPipeline
from mooring_operator.api.types import Duration, Model

ProviderName = Literal["query", "webhook", "job", "datadog", "cloudWatch", "pipeline", "agreement"]
PROVIDERS: tuple[ProviderName, ...] = tuple(name for name in get_args(ProviderName) if name != "agreement")
"""Those that a query names; what measures agreements stands in a field of its own."""
OF_THE_CLUSTER: tuple[ProviderName, ...] = ("query", "webhook")
"""The operator itself asks for these: what it may read, and where it calls, is for administrators to say."""
IN_THE_NAMESPACE: tuple[ProviderName, ...] = tuple(
    name for name in get_args(ProviderName) if name not in OF_THE_CLUSTER
)
"""These run in the deployment's namespace, and one measurement takes a while."""
GIVE_JSON: tuple[ProviderName, ...] = ("job", "pipeline")
"""Their result is any JSON, and they succeed or fail by themselves where no condition is said."""


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


class MeasuringJob(Container):
    """A container of the namespace: exit code 0 succeeds, 75 has found nothing out, another fails."""

    timeout: Annotated[Duration, Field(description="How long one measurement may take.")] = timedelta(
        minutes=10
    )


MeasuringJob.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [command_rule(f"a job of spec.queries: {TOO_LONG}")]
}

_ONE = f"a query has one of {', '.join(PROVIDERS)}"
_NO_CONDITION = "a query needs successCondition, failureCondition or both"
_OFTEN = "an interval is 10s at least"
MOST_QUERIES = 6


class Query(Model):
    """A number, or what a Job finds, measured again and again, and what it has to be."""

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
    job: Annotated[
        MeasuringJob | None,
        Field(
            description="A Job in the deployment's namespace: what its container writes to /dev/termination-log, as "
            "JSON, is the result."
        ),
    ] = None
    datadog: Annotated[
        Datadog | None,
        Field(description="A number of Datadog's, which a pod of the deployment's namespace asks for."),
    ] = None
    cloud_watch: Annotated[
        CloudWatch | None,
        Field(description="A number of CloudWatch's, which a pod of the deployment's namespace asks for."),
    ] = None
    pipeline: Annotated[
        MeasuringPipeline | None,
        Field(
            description="A run of Kubeflow Pipelines: the result has passed, metrics and violations of its verdict."
        ),
    ] = None
    success_condition: Annotated[
        str,
        Field(
            description="CEL over result (the number, or JSON) and arguments (texts) that is true where it is "
            "as it should be.",
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

    @property
    def provider(self) -> ProviderName:
        """Who measures."""
        return next(name for name in PROVIDERS if getattr(self, _field(name)) is not None)

    @property
    def texts(self) -> dict[tuple[str | int, ...], str]:
        """What may have places for what a rollout is, beside PromQL: by the fields below."""
        service = self.datadog or self.cloud_watch
        if service is None:
            return {}
        return {(self.provider, *path): text for path, text in service.texts.items()}

    @model_validator(mode="after")
    def _decides(self) -> "Query":
        asked = [name for name in PROVIDERS if getattr(self, _field(name)) is not None]
        if len(asked) != 1:
            raise ValueError(_ONE)
        if not self.conditions and asked[0] not in GIVE_JSON:
            raise ValueError(_NO_CONDITION)
        if self.interval < timedelta(seconds=10):
            raise ValueError(_OFTEN)
        return self


def _field(name: ProviderName) -> str:
    """Give the attribute of a provider's field."""
    return next(field for field, info in Query.model_fields.items() if name in (field, info.alias))


_RULES: list[JsonValue] = [
    {
        "rule": f"[{', '.join(f'has(self.{name})' for name in PROVIDERS)}].filter(is, is).size() == 1",
        "message": _ONE,
    },
    {
        "rule": "has(self.successCondition) && self.successCondition != '' || "
        "has(self.failureCondition) && self.failureCondition != ''"
        + "".join(f" || has(self.{name})" for name in GIVE_JSON),
        "message": _NO_CONDITION,
    },
    {
        "rule": "!has(self.interval) || duration(self.interval) >= duration('10s')",
        "message": f"interval: {_OFTEN}",
    },
]
Query.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}
