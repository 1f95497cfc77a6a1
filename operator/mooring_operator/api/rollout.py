"""``spec.rollout``: how traffic moves from the stable revision to a new one."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import analysis as analyses
from mooring_operator.api import forms
from mooring_operator.api.analysis import Analyse, Analysis
from mooring_operator.api.checks import MOST_CHECKS, Check, Job, Webhook
from mooring_operator.api.freezes import Freezes
from mooring_operator.api.routers import Gateway, Host, Router
from mooring_operator.api.strategies import ABTest, BlueGreen, Shadow, StrategyName
from mooring_operator.api.types import Duration, Instant, Model, Share


class Pause(Model):
    """Wait: for a duration, or without one until a person approves."""

    duration: Annotated[
        Duration | None, Field(description="How long to wait; until approved when left out.")
    ] = None


class Approve(Model):
    """Wait until a person approves."""

    message: Annotated[
        str, Field(description="What the person should look at; shown in status.", max_length=200)
    ] = ""
    by: Annotated[
        Literal["Anyone", "SomeoneElse"],
        Field(
            description="Whose approval counts. SomeoneElse: not that of who asked for the revision, by annotation "
            "mooring.dev/requested-by."
        ),
    ] = "Anyone"


_FIELDS = ("setWeight", "setReplicas", "pause", "approve", "analyse", "webhook", "job")
_KINDS = ", ".join(_FIELDS)
_AT_ONCE = "strategies BlueGreen, ABTest and Recreate take setWeight 100 alone, and no setReplicas"
_CHECKS = f"at most {MOST_CHECKS} steps are webhooks or jobs"


class Step(Model):
    """One step of a rollout: exactly one of its fields."""

    set_weight: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            description="Percent of traffic that the new revision gets from here on; 0 brings it up unexposed.",
        ),
    ] = None
    set_replicas: Annotated[
        Share | None,
        Field(
            description="Fewest pods of the new revision from here on, as a number or a percentage of the stable "
            "one's; its weight may ask for more."
        ),
    ] = None
    pause: Annotated[Pause | None, Field(description="Wait with the traffic as it is.")] = None
    approve: Annotated[Approve | None, Field(description="Wait until a person approves.")] = None
    analyse: Annotated[
        Analyse | None, Field(description="Wait for the verdict of spec.rollout.analysis.")
    ] = None
    webhook: Annotated[Webhook | None, Field(description="Ask an address, and wait for its yes.")] = None
    job: Annotated[Job | None, Field(description="Run a Job, and wait until it has passed.")] = None

    @property
    def check(self) -> Check | None:
        """What is found out by this step, where it is one of those."""
        return self.webhook or self.job

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        if sum(getattr(self, name) is not None for name in Step.model_fields) != 1:
            raise ValueError(f"a step has exactly one of {_KINDS}")
        return self


Step.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": f"[{', '.join(f'has(self.{name})' for name in _FIELDS)}].filter(kind, kind).size() == 1",
            "message": f"a step of spec.rollout.steps has exactly one of {_KINDS}",
        }
    ]
}


MOST_CONCURRENT = 16


class Requirement(Model):
    """A ModelDeployment that has promoted the same model before this one begins."""

    name: Annotated[str, forms.DEPLOYMENT_NAME.field, Field(description="Its name.")]
    namespace: Annotated[
        str | None,
        forms.LABEL.field,
        Field(
            description="This one when left out; another one's agrees: annotation mooring.dev/evidence-for."
        ),
    ] = None


class RolloutSpec(Model):
    """How a new revision takes over from the stable one. The first revision has nothing to share traffic with."""

    strategy: Annotated[
        StrategyName,
        Field(
            description="Canary: by steps. BlueGreen: at once, after a preview. Shadow: by steps, after answering "
            "copies of requests. ABTest: side by side, until decided. Recreate: the stable revision stops first, and "
            "nothing answers until the new one is ready."
        ),
    ] = "Canary"
    blue_green: Annotated[BlueGreen | None, Field(description="Of strategy BlueGreen.")] = None
    shadow: Annotated[Shadow | None, Field(description="Of strategy Shadow.")] = None
    ab_test: Annotated[ABTest | None, Field(description="Of strategy ABTest.")] = None
    steps: Annotated[
        list[Step],
        Field(
            description="Steps in order. The weights of setWeight ascend and end at 100; BlueGreen, ABTest and "
            "Recreate have 100 alone.",
            min_length=1,
            max_length=30,
        ),
    ] = [Step(set_weight=100)]
    analysis: Annotated[Analysis | None, Field(description="How it is judged by what it answers.")] = None
    progress_deadline: Annotated[
        Duration,
        Field(description="How long a revision may stay unready before it is rolled back."),
    ] = timedelta(minutes=10)
    scale_down_delay: Annotated[
        Duration,
        Field(
            description="How long a revision that has lost its traffic keeps its pods, to go back to; where the "
            "router serves each revision by itself."
        ),
    ] = timedelta(seconds=30)
    max_surge: Annotated[
        Share | None,
        Field(
            description="Most pods beyond those that the stable revision has, as a number or a percentage of them: it "
            "leaves pods as the new one takes over. Unlimited when left out; where the router serves each revision "
            "by itself."
        ),
    ] = None
    freeze: Freezes = []
    not_before: Annotated[
        Instant | None, Field(description="When a rollout begins at the earliest; tests do before.")
    ] = None
    requires: Annotated[
        list[Requirement],
        Field(description="ModelDeployments that have to have promoted the same model first.", max_length=4),
    ] = []
    max_concurrent: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_CONCURRENT,
            description="How many deployments of the namespace may roll out at once for it to begin.",
        ),
    ] = None
    router: Router = "Auto"
    gateway: Gateway = None
    host: Host = None

    @model_validator(mode="after")
    def _settings_are_of_the_strategy(self) -> "RolloutSpec":
        for strategy, field, value in (
            ("BlueGreen", "blueGreen", self.blue_green),
            ("Shadow", "shadow", self.shadow),
            ("ABTest", "abTest", self.ab_test),
        ):
            if value is not None and self.strategy != strategy:
                raise ValueError(f"{field} is of strategy {strategy}, and strategy is {self.strategy}")
        if self.strategy == "ABTest" and self.ab_test is None:
            raise ValueError("strategy ABTest needs abTest")
        if self.ab_test is not None and self.ab_test.variants and self.max_surge is not None:
            raise ValueError(_NO_SURGE.partition(": ")[2])
        if self.strategy == "Recreate" and self.max_surge is not None:
            raise ValueError(_NONE_BESIDE.partition(": ")[2])
        return self

    @model_validator(mode="after")
    def _steps_make_sense(self) -> "RolloutSpec":
        weights = [step.set_weight for step in self.steps if step.set_weight is not None]
        if self.analysis is None and any(step.analyse is not None for step in self.steps):
            raise ValueError(f"steps: {analyses.NEEDS_ANALYSIS}")
        told = [step.analyse is None for step in self.steps if step.analyse is not None or step.set_weight]
        if told and not (told[-1] and (told[0] or self.strategy in ("Shadow", "ABTest"))):
            raise ValueError(f"steps: {analyses.NEEDS_BOTH}")
        if not weights or weights[-1] != 100 or weights != sorted(set(weights)):
            raise ValueError(f"steps: weights must ascend and end at 100, got {weights}")
        replicas = any(step.set_replicas is not None for step in self.steps)
        if self.strategy not in ("Canary", "Shadow") and (replicas or weights != [100]):
            raise ValueError(f"steps: {_AT_ONCE}")
        return self

    @model_validator(mode="after")
    def _checks_are_few(self) -> "RolloutSpec":
        if (checks := sum(step.check is not None for step in self.steps)) > MOST_CHECKS:
            raise ValueError(f"steps: {_CHECKS}, got {checks}")
        return self


_NO_SURGE = "spec.rollout: maxSurge counts no pods of variants; leave it out, or the variants"
_NONE_BESIDE = (
    "spec.rollout: maxSurge bounds pods beside each other, and with Recreate there are none; leave it out"
)
_WEIGHTS = "self.steps.filter(step, has(step.setWeight)).map(step, step.setWeight)"


def _is_of(strategy: str, field: str) -> JsonValue:
    return {
        "rule": f"!has(self.{field}) || self.strategy == '{strategy}'",
        "messageExpression": f"'spec.rollout: {field} is of strategy {strategy}, and strategy is ' + self.strategy",
    }


RULES: list[JsonValue] = [
    {
        "rule": f"{_WEIGHTS}.size() > 0 && {_WEIGHTS}.exists_one(weight, weight == 100) && "
        f"{_WEIGHTS}.isSorted() && {_WEIGHTS}.all(weight, {_WEIGHTS}.exists_one(other, other == weight))",
        # Not string(...): the API server cannot bound the length of a number's digits, and counts it too dear.
        "messageExpression": "'spec.rollout.steps: the weights must ascend and end at 100, got %s'"
        f".format([{_WEIGHTS}])",
    },
    {
        "rule": f"self.steps.filter(step, has(step.webhook) || has(step.job)).size() <= {MOST_CHECKS}",
        "message": f"spec.rollout.steps: {_CHECKS}",
    },
    {
        "rule": "self.strategy in ['Canary', 'Shadow'] || self.steps.all(step, !has(step.setReplicas) && "
        "(!has(step.setWeight) || step.setWeight == 100))",
        "message": f"spec.rollout.steps: {_AT_ONCE}",
    },
    _is_of("BlueGreen", "blueGreen"),
    _is_of("Shadow", "shadow"),
    _is_of("ABTest", "abTest"),
    {
        "rule": "self.strategy != 'ABTest' || has(self.abTest)",
        "message": "spec.rollout: strategy ABTest needs abTest",
    },
    {
        "rule": "!has(self.maxSurge) || !has(self.abTest) || !has(self.abTest.variants) || "
        "self.abTest.variants.size() == 0",
        "message": _NO_SURGE,
    },
    {"rule": "!has(self.maxSurge) || self.strategy != 'Recreate'", "message": _NONE_BESIDE},
    {
        # Not of the model: what an older definition let pass goes on, and its condition RouterReady says so.
        "rule": "self.router in ['Auto', 'Gateway'] || !has(self.gateway) && !has(self.host)",
        "message": "spec.rollout: gateway and host are for router Gateway; leave them out, or write Gateway or Auto",
    },
    *analyses.RULES,
]

RolloutSpec.model_config["json_schema_extra"] = {"x-kubernetes-validations": [*RULES]}
