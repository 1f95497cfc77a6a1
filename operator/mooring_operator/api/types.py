"""Field types that several resources share."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from mooring_operator.api import forms, schedules

_NEVER = re.compile(schedules.NEVER)
_DURATION = re.compile("(?:([1-9][0-9]{0,4})h)?(?:([1-9][0-9]{0,4})m)?(?:([1-9][0-9]{0,4})s)?")


class Model(BaseModel):
    """A part of a resource: camelCase on the wire, no unknown fields, never changed in place."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=False,
    )


class StatusModel(Model):
    """A part of a status: fields of a newer version are dropped rather than refused."""

    model_config = ConfigDict(extra="ignore")


def parse_duration(value: Any) -> timedelta:
    """Read ``1h30m``, ``10m`` or ``45s``.

    Raises:
        ValueError: for anything else: the empty string, zero, more than five digits.
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"{value!r} is not {forms.DURATION.allowed}")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Write a duration the way `parse_duration` reads it."""
    seconds = int(value.total_seconds())
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{seconds}s" if seconds else ""]
    return "".join(parts) or "0s"


def format_time(value: datetime) -> str:
    """Write a point in time as Kubernetes does: RFC 3339, UTC, whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": forms.DURATION.pattern,
            "minLength": 2,
            "maxLength": forms.DURATION.longest,
        }
    ),
]


def _comes_about(schedule: str) -> str:
    if (found := schedules.backward_range(schedule)) is not None:
        raise ValueError(f"the range {found} is not upwards; must be {schedules.ALLOWED}")
    if _NEVER.search(schedule) or schedules.never_comes(schedule):
        raise ValueError(f"{schedule} {schedules.WHY_NEVER}")
    return schedule


Schedule = Annotated[
    str,
    forms.CRON.field,
    AfterValidator(_comes_about),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": forms.CRON.longest,
            "x-kubernetes-validations": [*schedules.RULES],
        }
    ),
]

Time = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _written_as(form: forms.Form) -> BeforeValidator:
    """Hold what somebody writes to a form; what is a point in time already passes."""

    def check(value: Any) -> Any:
        if isinstance(value, str) and not form.fits(value):
            raise ValueError(f"{value!r} is not {form.allowed}")
        return value

    return BeforeValidator(check)


def _time_schema(form: forms.Form) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "format": "date-time", "pattern": form.pattern, "maxLength": form.longest}
    )


Moment = Annotated[
    datetime,
    _written_as(forms.TIME),
    PlainSerializer(format_time, return_type=str),
    _time_schema(forms.TIME),
]
"""A point in time that somebody writes into a spec."""


Instant = Annotated[
    datetime,
    _written_as(forms.INSTANT),
    PlainSerializer(format_time, return_type=str),
    _time_schema(forms.INSTANT),
]
"""The same, with the offset of a zone; written in UTC."""

Quantity = Annotated[
    str,
    # The API's integers have 64 bits.
    BeforeValidator(lambda value: str(value) if isinstance(value, int) and not abs(value) >> 63 else value),
    forms.QUANTITY.field,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "pattern": forms.QUANTITY.pattern,
            "maxLength": forms.QUANTITY.longest,
        }
    ),
]

Share = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    forms.SHARE.field,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 1,
            "maximum": 9999,
            "pattern": forms.SHARE.pattern,
            "maxLength": forms.SHARE.longest,
        }
    ),
]

OpenObject = Annotated[
    dict[str, Any],
    WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
]


def _cut(longest: int) -> BeforeValidator:
    def cut(value: Any) -> Any:
        return value[: longest - 1] + "…" if isinstance(value, str) and len(value) > longest else value

    return BeforeValidator(cut)


Message = Annotated[str, _cut(1024), Field(max_length=1024)]
"""What a status or a condition says; cut at its length."""
Note = Annotated[str, _cut(256), Field(max_length=256)]
"""What one of many things says; cut at its length."""
UserName = Annotated[str, _cut(512), Field(max_length=512)]
"""Who did something, by the API server's name; those of service accounts have up to 339 characters."""


class Condition(StatusModel):
    """One aspect of the resource's state, as in ``metav1.Condition``."""

    type: Annotated[str, Field(description="Aspect that this condition reports.", max_length=63)]
    status: Annotated[str, Field(description="True, False or Unknown.", pattern="^(True|False|Unknown)$")]
    reason: Annotated[str, Field(description="One CamelCase word for programs.", max_length=128)]
    message: Annotated[Message, Field(description="Sentence for people: what is, and what to do.")] = ""
    last_transition_time: Annotated[Time, Field(description="When the status last changed.")]
    observed_generation: Annotated[int, Field(description="Generation of the spec this was seen for.")] = 0
