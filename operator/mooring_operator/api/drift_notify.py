"""Whom a DriftMonitor tells that something has begun or ended, and what became of it."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.drift_actions import A_SET, Cause, Causes
from mooring_operator.api.types import Duration, Model, Note, StatusModel, Time

MOST_RECEIVERS = 5
Told = Literal[
    "Drifted", "Calm", "PerformanceDropped", "PerformanceHolds", "OperationDegraded", "OperationHolds"
]

_ONE_ADDRESS = "a receiver of spec.notify needs url or urlSecret, and not both"


class SecretKey(Model):
    """A key of a Secret of this namespace."""

    name: Annotated[str, forms.OBJECT_NAME.field, Field(description="Secret.")]
    key: Annotated[str, forms.CONFIG_KEY.field, Field(description="Its key.")]


class Receiver(Model):
    """Somebody who is told, by a pod in this namespace that posts JSON to an address."""

    format: Annotated[
        Literal["Generic", "Slack", "Alertmanager"],
        Field(
            description="What is posted: an object with all that is known, a message for Slack's incoming webhooks, or "
            "an alert for /api/v2/alerts of Alertmanager."
        ),
    ] = "Generic"
    url: Annotated[str | None, forms.HOOK.field, Field(description="Address that it is posted to.")] = None
    url_secret: Annotated[
        SecretKey | None, Field(description="Where that address is, if it is a password like Slack's.")
    ] = None
    headers_secret: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="Secret whose keys become headers, such as Authorization."),
    ] = None
    cooldown: Annotated[
        Duration,
        Field(
            description="How long no other beginning is told after the last one that was; what lasts until then is."
        ),
    ] = timedelta(hours=1)
    on: Annotated[
        Causes | None,
        Field(
            description="What it is told of: Drift, Performance (PerformanceDropped), Operation (OperationDegraded); "
            "Drift alone when left out.",
            json_schema_extra=A_SET,
        ),
    ] = None

    @property
    def causes(self) -> list[Cause]:
        """What it is told of."""
        return ["Drift"] if self.on is None else self.on

    @property
    def title(self) -> str:
        """What it is called in messages, without anything that may be a key."""
        if self.url_secret is not None:
            return f"{self.format} receiver of Secret {self.url_secret.name}"
        return f"{self.format} receiver {(self.url or '').partition('?')[0][:128]}"

    @model_validator(mode="after")
    def _has_one_address(self) -> "Receiver":
        if (self.url is None) == (self.url_secret is None):
            raise ValueError(_ONE_ADDRESS)
        return self


_RULES: list[JsonValue] = [{"rule": "has(self.url) != has(self.urlSecret)", "message": _ONE_ADDRESS}]
Receiver.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}


class Notice(StatusModel):
    """The last thing that one receiver was told of one cause."""

    receiver: Annotated[str, Field(description="Which one of spec.notify, by a fingerprint.", max_length=16)]
    cause: Annotated[Cause, Field(description="What it is told of.")] = "Drift"
    told: Annotated[Told, Field(description="What it was told last; at first that all is well.")] = "Calm"
    state: Annotated[
        Literal["Sending", "Sent", "Failed", "Rehearsed", "CoolingDown"],
        Field(description="What became of it."),
    ]
    id: Annotated[
        str, Field(description="Names the Job that tells it, mooring-notice-ID.", max_length=64)
    ] = ""
    message: Annotated[Note, Field(description="Why, in a sentence.")] = ""
    at: Annotated[Time, Field(description="When that began.")]
    drifted_at: Annotated[Time | None, Field(description="When it was last told that it began.")] = None
