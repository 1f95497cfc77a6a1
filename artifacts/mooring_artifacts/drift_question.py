"""What a drift evaluation is asked: the parameter `question` of the pipeline `drift-evaluation`.

    {"baseline": {"uri": URI}, "window": {"uri": URI}, "features": [NAME, ...] | null, "categories": [NAME, ...] | null,
     "minRows": 100, "ks": {"alpha": 0.01} | null, "psi": {"threshold": 0.2, "bins": 10} | null}

Rows of requests that were kept are cut out by time, and some columns are none of what is compared:

    {"uri": URI, "since": "2026-03-01T12:00:00Z", "until": "2026-03-01T13:00:00Z", "without": ["label"],
     "counted": false}

A test without its parameters is not made. Numbers lose the difference between 100 and 100.0 on the way through
Kubeflow Pipelines, so both are taken.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from mooring_artifacts.errors import InputError

LONGEST = timedelta(days=32)
"""Each hour is a folder that is listed."""

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Rows(_Part):
    """Where rows are: a Parquet file, or a folder of them.

    With `since` and `until`, a folder with folders of hours; rows from `since` on, before `until`. A baseline that is
    `counted` is the profile in whose slots the window was counted as it came (`window_states`): no row is read.
    """

    uri: str
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    without: Annotated[list[str], Field(max_length=100)] | None = None
    counted: bool = False

    @model_validator(mode="after")
    def _is_a_span(self) -> Rows:
        if (self.since is None) != (self.until is None):
            raise ValueError("since and until come together")
        if self.since is not None and self.until is not None and not self.since < self.until:
            raise ValueError("since must be before until")
        if self.since is not None and self.until is not None and self.until - self.since > LONGEST:
            raise ValueError(f"at most {LONGEST.days} days are looked at")
        return self


class KolmogorovSmirnov(_Part):
    """The share of wrong ones among what is named."""

    alpha: Annotated[Finite, Field(gt=0, lt=1)]


class PopulationStability(_Part):
    """From where on an index matters, and over how many bins it is taken."""

    threshold: Annotated[Finite, Field(gt=0)]
    bins: Annotated[int, Field(ge=2, le=100)]


class DriftQuestion(_Part):
    """What is compared, and how; no `features` means all that both sides have, `categories` are columns of codes."""

    baseline: Rows
    window: Rows
    features: Annotated[list[str], Field(min_length=1, max_length=2000)] | None = None
    categories: Annotated[list[str], Field(min_length=1, max_length=2000)] | None = None
    min_rows: Annotated[int, Field(ge=1)]
    ks: KolmogorovSmirnov | None = None
    psi: PopulationStability | None = None

    @model_validator(mode="after")
    def _is_of_a_time(self) -> DriftQuestion:
        if self.baseline.counted and self.window.since is None:
            raise ValueError("a counted baseline needs a window with since and until")
        return self


def parse_question(document: Any) -> DriftQuestion:
    """The question in a JSON document.

    Raises:
        InputError: it is none; the message names the first field that is wrong.
    """
    try:
        return DriftQuestion.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(["question", *map(str, first["loc"])])
        raise InputError(
            f"{field:.200} {first['input']!r:.200} is not allowed: {first['msg']:.200}"
        ) from error
