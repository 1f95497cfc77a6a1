"""``freeze`` of rollouts and of ClusterModelPolicies: windows of time in which nothing moves forward."""

from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, WithJsonSchema, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Model

Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
WEEKDAYS: tuple[Weekday, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

LONGEST_DAYS = 366
"""How long a window between two dates may be."""
MOST_WINDOWS = 8
_TIME, _WEEKLY, _DATE = len("18:00"), len("Fri 18:00"), len("2026-12-20")

ONE_KIND = "both are times (18:00), weekdays with times (Fri 18:00), or dates (2026-12-20)"
DAYS_OF_TIMES = "days go with times, like 18:00"
NEVER_ENDS = "it never ends; end it earlier, or name its days"
WITHIN_A_YEAR = f"it must end after it starts, by {LONGEST_DAYS} days at most"


def _is_somewhere(zone: str) -> str:
    if zone == "Local":
        raise ValueError("must be an IANA name, like Europe/Berlin")
    return zone


ZONE_RULE = "self != 'Local' && timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0"
"""What the API server judges a zone by: where it knows none of the name, that is an error that says so."""

Zone = Annotated[
    str,
    forms.TIME_ZONE.field,
    AfterValidator(_is_somewhere),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": forms.TIME_ZONE.longest,
            "pattern": forms.TIME_ZONE.pattern,
            "x-kubernetes-validations": [
                {"rule": ZONE_RULE, "message": "must be an IANA name, like Europe/Berlin"}
            ],
        }
    ),
]


class Freeze(Model):
    """A window of time, by the clocks of a time zone."""

    time_zone: Annotated[Zone, Field(description="IANA name, such as Europe/Berlin.")] = "UTC"
    start: Annotated[
        str,
        forms.FREEZE.field,
        Field(description="18:00, Fri 18:00, 2026-12-20, 2026-12-20T18:00."),
    ]
    end: Annotated[
        str,
        forms.FREEZE.field,
        Field(
            description="Of the same kind; the next day's where it is not later. A date ends when it is over."
        ),
    ]
    days: Annotated[
        list[Weekday],
        Field(
            description="On which times start; all when left out.",
            max_length=6,
            # The model takes none for all of them, as it writes them itself.
            json_schema_extra={"minItems": 1, "x-kubernetes-list-type": "set"},
        ),
    ] = []

    @property
    def is_dated(self) -> bool:
        """Whether it is between two dates, and comes once."""
        return len(self.start) >= _DATE

    @property
    def is_weekly(self) -> bool:
        """Whether it is between two weekdays."""
        return len(self.start) == _WEEKLY

    @model_validator(mode="after")
    def _makes_sense(self) -> "Freeze":
        said = f"{self.start} to {self.end}"
        if len(self.start) != len(self.end) and not min(len(self.start), len(self.end)) >= _DATE:
            raise ValueError(f"{said}: {ONE_KIND}")
        if self.days and len(self.start) != _TIME:
            raise ValueError(f"{said}: {DAYS_OF_TIMES}")
        if self.start == self.end and not self.is_dated and not self.days:
            raise ValueError(f"{said}: {NEVER_ENDS}")
        if self.is_dated:
            first, last = self.dates
            if not first < last or _day(self.end) - _day(self.start) > timedelta(days=LONGEST_DAYS):
                raise ValueError(f"{said}: {WITHIN_A_YEAR}")
        return self

    @property
    def dates(self) -> tuple[datetime, datetime]:
        """When a window between two dates begins and ends, by the clocks of its zone."""
        return _moment(self.start), _moment(self.end, over=True)


def _moment(text: str, *, over: bool = False) -> datetime:
    """Read a date, with a time or without: its beginning, or the end of it."""
    moment = datetime.fromisoformat(text)
    return moment + timedelta(days=1) if over and len(text) == _DATE else moment


def _day(text: str) -> date:
    return datetime.fromisoformat(text).date()


def _said(message: str) -> str:
    return f"self.start + ' to ' + self.end + ': {message}'"


_RULES: list[JsonValue] = [
    {
        "rule": "self.start.size() == self.end.size() || (self.start.size() > 9 && self.end.size() > 9)",
        "messageExpression": _said(ONE_KIND),
    },
    {"rule": "!has(self.days) || self.start.size() == 5", "messageExpression": _said(DAYS_OF_TIMES)},
    {
        "rule": "self.start != self.end || self.start.size() > 9 || has(self.days)",
        "messageExpression": _said(NEVER_ENDS),
    },
    {
        "rule": "self.start.size() < 10 || self.end.size() < 10 || "
        # One letter more than is taken: some readers of CEL take no text to its end.
        "((self.start + 'T00:00Z').substring(0, 16) < (self.end + 'T24:00Z').substring(0, 16) && "
        # By the first of the month: a day that it does not have is refused by the pattern, and is no error here.
        "[[self.start, self.end].map(d, int(timestamp(d.substring(0, 8) + '01T00:00:00Z')) / 86400 + "
        f"int((d + 'T').substring(8, 10)))].all(d, d[1] - d[0] <= {LONGEST_DAYS}))",
        "messageExpression": _said(WITHIN_A_YEAR),
    },
]
Freeze.model_config["json_schema_extra"] = {"x-kubernetes-validations": _RULES}

Freezes = Annotated[
    list[Freeze],
    Field(
        description="When nothing is promoted or gets more traffic; what goes back does.",
        max_length=MOST_WINDOWS,
    ),
]
