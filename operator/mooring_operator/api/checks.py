"""Steps that find something out about a new revision before its rollout goes on, and what status says of them."""

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Duration, Model, Note, Quantity, StatusModel, Time

CheckKind = Literal["webhook", "job"]
"""The field of a step that says what is checked."""
Outcome = Literal["Pass", "Fail", "Insufficient"]
"""Insufficient: nothing was found out, neither good nor bad."""
IN_WORDS: dict[Outcome, str] = {"Pass": "passed", "Fail": "failed", "Insufficient": "found nothing out"}
Consequence = Literal["RollBack", "Pause"]

MOST_CHECKS = 5
"""How many steps of a rollout may be webhooks or Jobs."""
LARGEST_COMMAND = 1024
"""Characters that command and args of a Job have together at most."""

_Word = Annotated[str, Field(max_length=LARGEST_COMMAND)]


class Check(Model):
    """Something that is started once, and whose outcome decides whether the rollout goes on."""

    kind: ClassVar[CheckKind]

    timeout: Annotated[Duration, Field(description="How long it may take.")] = timedelta(minutes=10)
    on_failure: Annotated[
        Consequence,
        Field(description="What follows where it does not pass: Pause waits for a person."),
    ] = "RollBack"

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return self.kind

    def consequence_of(self, outcome: Literal["Fail", "Insufficient"]) -> Consequence:
        """What follows from an outcome that is no pass."""
        return self.on_failure


class Webhook(Check):
    """Ask an address until it says yes or no, from a pod in this namespace."""

    kind = "webhook"

    url: Annotated[str, forms.HOOK.field, Field(description="Address that the question is posted to.")]
    headers_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="Secret whose keys become headers, such as Authorization."),
    ] = None

    @property
    def title(self) -> str:
        """Without a query: it may hold a key."""
        return f"webhook {self.url.partition('?')[0][:128]}"


class Container(Model):
    """A container of an author's own, in a pod of its own in this namespace."""

    image: Annotated[str, forms.IMAGE.field, Field(description="Container's image.")]
    command: Annotated[
        list[_Word], Field(description="What is run instead of the image's.", max_length=16)
    ] = []
    args: Annotated[
        list[_Word], Field(description="Arguments, passed as they are written.", max_length=16)
    ] = []
    service_account_name: Annotated[
        str | None, forms.OBJECT_NAME.field, Field(description="ServiceAccount of the pod.")
    ] = None
    credentials_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="Secret whose keys become environment variables."),
    ] = None
    cpu: Annotated[Quantity, Field(description="CPU of the container, asked for and at most.")] = "1"
    memory: Annotated[Quantity, Field(description="Memory, likewise.")] = "1Gi"
    backoff_limit: Annotated[
        int, Field(ge=0, le=5, description="How often it is tried again before it has failed.")
    ] = 0

    @model_validator(mode="after")
    def _fits(self) -> "Container":
        length = sum(map(len, (*self.command, *self.args)))
        if length > LARGEST_COMMAND:
            raise ValueError(f"{TOO_LONG}, got {length}")
        return self


class Job(Container, Check):
    """Run a container in this namespace: exit code 0 passes, 75 has found nothing out, another fails."""

    kind = "job"

    @property
    def title(self) -> str:
        """Name the image: digests and long names are cut."""
        return f"job of {self.image.partition('@')[0][:128]}"


TOO_LONG = f"command and args have at most {LARGEST_COMMAND} characters together"
_LENGTHS = " + ".join(
    f"(has(self.{name}) ? self.{name}.map(word, word.size()).sum() : 0)" for name in ("command", "args")
)


def command_rule(message: str) -> dict[str, JsonValue]:
    """Give the rule of a CRD for the length of a container's command."""
    return {"rule": f"{_LENGTHS} <= {LARGEST_COMMAND}", "message": message}


_RULES: list[JsonValue] = [command_rule(f"a job of spec.rollout.steps: {TOO_LONG}")]
Job.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}


class CheckStatus(StatusModel):
    """The check of the current step, or the last one."""

    id: Annotated[str, forms.RUN_ID.field, Field(description="Names it, and the Job that runs it.")]
    kind: Annotated[str, Field(description="Field of the step.", max_length=16)]
    step: Annotated[int, Field(description="Index of the step.")]
    outcome: Annotated[
        Outcome | None, Field(description="Pass, Fail or Insufficient; none until it has ended.")
    ] = None
    message: Annotated[Note, Field(description="Why, in a sentence.")] = ""
    started_at: Annotated[Time, Field(description="When it was asked for.")]
    seen_at: Annotated[Time | None, Field(description="When it was first seen to go on.")] = None
    ended_at: Annotated[Time | None, Field(description="When its outcome was known.")] = None
