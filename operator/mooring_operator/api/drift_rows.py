"""Rows that a ``DriftMonitor`` compares: those of files, or those that its target keeps of its requests."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Duration, Model, StatusModel, Time

LONGEST_BASELINE = timedelta(days=31)
DEFAULT_BASELINE = timedelta(hours=24)
"""How much of what is kept after a promotion is a baseline, where nothing else is: a day has its own rhythm."""

_ONE_WINDOW = "needs uri or capture, and not both"
_ONE_BASELINE = "needs one of uri, afterPromotion and profile"
_LONG_BASELINE = "afterPromotion has 31 days (744h) at most"


DEFAULT_GRACE = timedelta(minutes=2)
LONGEST_WINDOW = timedelta(days=31)
_ONE_SIZE = "has length or rows, and not both"
_LONG_WINDOW = "length has 31 days (744h) at most"


class Captured(Model):
    """What the target keeps of its requests, by spec.serving.capture."""

    grace: Annotated[
        Duration,
        Field(
            description="How long after its end a window waits for rows: they are in a file a minute after the "
            "answer, and later where the store was away. What comes later still belongs to no window."
        ),
    ] = DEFAULT_GRACE
    length: Annotated[
        Duration | None,
        Field(
            description="How long each window is, where windows overlap: one ends with each stretch of spec.interval. "
            "31 days at most; spec.interval when left out."
        ),
    ] = None
    rows: Annotated[
        int | None,
        Field(
            ge=20,
            le=10_000_000,
            description="Rows that a window has at least: it takes as many stretches of spec.interval as it needs, 31 "
            "days, or what is kept, at most.",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_one_size(self) -> "Captured":
        if self.length is not None and self.rows is not None:
            raise ValueError(_ONE_SIZE)
        if self.length is not None and self.length > LONGEST_WINDOW:
            raise ValueError(_LONG_WINDOW)
        return self


class Window(Model):
    """Rows in files, or what the target keeps of its requests."""

    uri: Annotated[
        str | None,
        forms.ADDRESS.field,
        Field(description="Parquet file, or a folder of them, read anew at every evaluation."),
    ] = None
    capture: Annotated[
        Captured | None,
        Field(
            description="What the target keeps: each stretch of spec.interval is a window, or ends one; each is "
            "evaluated once."
        ),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> "Window":
        if (self.uri is None) == (self.capture is None):
            raise ValueError(_ONE_WINDOW)
        return self


class Profile(Model):
    """Of the model, nothing has to be said of it."""


class Baseline(Model):
    """Rows in files, or the first ones that the target keeps."""

    uri: Annotated[
        str | None,
        forms.ADDRESS.field,
        Field(description="Parquet file, or a folder of them: s3://, gs://, az:// or file://."),
    ] = None
    after_promotion: Annotated[
        Duration | None,
        Field(
            description="What the target keeps in so much time after the revision that serves was promoted, 31 days at "
            "most. Nothing is evaluated before that has passed."
        ),
    ] = None
    profile: Annotated[
        Profile | None,
        Field(
            description="What profile.bin beside the model says of its training: the runtime counts requests in its "
            "slots, minute by minute, and an evaluation adds the counts up and reads no row. With a window of what is "
            "captured, and an interval of whole minutes."
        ),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> "Baseline":
        if [self.uri, self.after_promotion, self.profile].count(None) != 2:
            raise ValueError(_ONE_BASELINE)
        if self.after_promotion is not None and self.after_promotion > LONGEST_BASELINE:
            raise ValueError(_LONG_BASELINE)
        return self


def _rule(rule: str, message: str) -> dict[str, JsonValue]:
    return {"rule": rule, "message": message}


Captured.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        _rule("!has(self.length) || !has(self.rows)", f"spec.window.capture {_ONE_SIZE}"),
        _rule(
            "!has(self.length) || duration(self.length) <= duration('744h')",
            f"spec.window.capture.{_LONG_WINDOW}",
        ),
    ]
}
Window.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [_rule("has(self.uri) != has(self.capture)", f"spec.window {_ONE_WINDOW}")]
}
Baseline.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        _rule(
            "[has(self.uri), has(self.afterPromotion), has(self.profile)].exists_one(b, b)",
            f"spec.baseline {_ONE_BASELINE}",
        ),
        _rule(
            "!has(self.afterPromotion) || duration(self.afterPromotion) <= duration('744h')",
            f"spec.baseline.{_LONG_BASELINE}",
        ),
    ]
}


class Sought(StatusModel):
    """Rows of a run: an address, and the part of it from one time to another."""

    uri: Annotated[str, Field(description="File or folder.", max_length=2048)]
    since: Annotated[Time | None, Field(description="Time of its first rows; all where there is none.")] = (
        None
    )
    until: Annotated[Time | None, Field(description="Time before which its last rows are.")] = None
    counted: Annotated[
        bool | None, Field(description="Whether it is the profile that the window was counted by.")
    ] = None
    without: Annotated[str, Field(description="Column that is not compared.", max_length=253)] = ""
    rows: Annotated[
        int | None, Field(description="Rows below which it is not evaluated yet, but looked at again later.")
    ] = None
