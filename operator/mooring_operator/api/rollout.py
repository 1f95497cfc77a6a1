"""``spec.rollout``: how traffic moves from the stable revision to a new one."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api.routers import Gateway, Host, Router
from mooring_operator.api.types import Duration, Model, Share


class Pause(Model):
    """Wait: for a duration, or without one until a person approves."""

    duration: Annotated[
        Duration | None, Field(description="How long to wait; until approved when left out.")
    ] = None


class Approve(Model):
    """Wait until a person approves."""

    message: Annotated[
        str, Field(description="What the person should look at; shown in status.", max_length=512)
    ] = ""
    by: Annotated[
        Literal["Anyone", "SomeoneElse"],
        Field(
            description="Who counts among those who may approve. SomeoneElse: not who asked for the revision, "
            "by annotation mooring.dev/requested-by."
        ),
    ] = "Anyone"


class Step(Model):
    """One step of a rollout: exactly one of its fields."""

    set_weight: Annotated[
        int | None,
        Field(ge=1, le=100, description="Percent of traffic that the new revision gets from here on."),
    ] = None
    pause: Annotated[Pause | None, Field(description="Wait with the traffic as it is.")] = None
    approve: Annotated[Approve | None, Field(description="Wait until a person approves.")] = None

    @model_validator(mode="after")
    def _one_kind(self) -> "Step":
        if sum(kind is not None for kind in (self.set_weight, self.pause, self.approve)) != 1:
            raise ValueError("a step has exactly one of setWeight, pause, approve")
        return self


Step.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "[has(self.setWeight), has(self.pause), has(self.approve)].filter(kind, kind).size() == 1",
            "message": "a step of spec.rollout.steps has exactly one of setWeight, pause, approve",
        }
    ]
}


class RolloutSpec(Model):
    """How a new revision takes over from the stable one. The first revision has nothing to share traffic with."""

    steps: Annotated[
        list[Step],
        Field(
            description="Steps in order. The weights of setWeight ascend and end at 100.",
            min_length=1,
            max_length=30,
        ),
    ] = [Step(set_weight=100)]
    progress_deadline: Annotated[
        Duration,
        Field(description="How long a revision may stay unready before it is rolled back."),
    ] = timedelta(minutes=10)
    scale_down_delay: Annotated[
        Duration,
        Field(
            description="How long a revision that has lost its traffic keeps its pods, so that going back finds them; "
            "where the router serves each revision by itself."
        ),
    ] = timedelta(seconds=30)
    max_surge: Annotated[
        Share | None,
        Field(
            description="How many pods there are at most beyond those that the stable revision has, as a number or a "
            "percentage of them: the stable revision leaves pods as the new one takes over. Unlimited when left out; "
            "where the router serves each revision by itself."
        ),
    ] = None
    router: Router = "Auto"
    gateway: Gateway = None
    host: Host = None

    @model_validator(mode="after")
    def _weights_ascend_to_100(self) -> "RolloutSpec":
        weights = [step.set_weight for step in self.steps if step.set_weight is not None]
        if not weights or weights[-1] != 100 or weights != sorted(set(weights)):
            raise ValueError(f"steps: weights must ascend and end at 100, got {weights}")
        return self


_WEIGHTS = "self.steps.filter(step, has(step.setWeight)).map(step, step.setWeight)"

RULES: list[JsonValue] = [
    {
        "rule": f"{_WEIGHTS}.size() > 0 && {_WEIGHTS}.exists_one(weight, weight == 100) && "
        f"{_WEIGHTS}.isSorted() && {_WEIGHTS}.all(weight, {_WEIGHTS}.exists_one(other, other == weight))",
        # Not string(...): the API server cannot bound the length of a number's digits, and counts it too dear.
        "messageExpression": "'spec.rollout.steps: the weights must ascend and end at 100, got %s'"
        f".format([{_WEIGHTS}])",
    }
]

RolloutSpec.model_config["json_schema_extra"] = {"x-kubernetes-validations": [*RULES]}
