"""What a drift evaluation is asked: the parameter `question` of the pipeline `drift-evaluation`.

    {"baseline": {"uri": URI}, "window": {"uri": URI}, "features": [NAME, ...] | null, "categories": [NAME, ...] | null,
     "minRows": 100, "ks": {"alpha": 0.01} | null, "psi": {"threshold": 0.2, "bins": 10} | null}

A test without its parameters is not made. Numbers lose the difference between 100 and 100.0 on the way through
Kubeflow Pipelines, so both are taken.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from mooring_artifacts.errors import InputError

Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Rows(_Part):
    """Where rows are: a Parquet file, or a folder of them."""

    uri: str


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
