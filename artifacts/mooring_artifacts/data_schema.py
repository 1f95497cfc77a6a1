"""What rows should look like: a data schema, as a spec, a ConfigMap or a file has it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from mooring_artifacts.errors import InputError

Type = Literal["integer", "number", "string", "boolean", "timestamp"]
Name = Annotated[str, Field(min_length=1, max_length=1000)]
Value = bool | int | float | str


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class Column(_Part):
    """What the values of a column must be.

    nulls: the share of values that may be missing; NaN is not missing, but no number either.
    values: the only ones that are allowed. unique: no value twice.
    """

    name: Name
    type: Type
    required: bool = True
    nulls: Annotated[float, Field(ge=0, le=1)] = 0.0
    nan: bool = False
    min: Annotated[float, Field(allow_inf_nan=False)] | None = None
    max: Annotated[float, Field(allow_inf_nan=False)] | None = None
    values: Annotated[list[Value], Field(max_length=10_000)] = []
    unique: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.min is not None or self.max is not None) and self.type not in ("integer", "number"):
            raise ValueError(f"column {self.name} of type {self.type} has min or max, which are for numbers")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"column {self.name} has min {self.min:g} above max {self.max:g}")
        allowed: dict[str, tuple[type, ...]] = {
            "integer": (int,),
            "number": (int, float),
            "string": (str,),
            "boolean": (bool,),
        }
        for value in self.values:
            fits = allowed.get(self.type, ())
            if not isinstance(value, fits) or (isinstance(value, bool) and self.type != "boolean"):
                raise ValueError(
                    f"column {self.name} of type {self.type} cannot have the value {value!r:.100}"
                )
        return self


class Freshness(_Part):
    """How old the newest row may be, in seconds, by a column of timestamps."""

    column: Name
    within: Annotated[float, Field(gt=0)]


class DataSchema(_Part):
    """What rows should look like."""

    columns: Annotated[list[Column], Field(min_length=1, max_length=10_000)]
    extra_columns: Literal["Allow", "Refuse"] = "Refuse"
    min_rows: Annotated[int, Field(ge=0)] = 1
    max_rows: Annotated[int, Field(ge=0)] | None = None
    freshness: Freshness | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [column.name for column in self.columns]
        if twice := sorted({name for name in names if names.count(name) > 1} if len(names) < 2000 else ()):
            raise ValueError(f"column {twice[0]} is there twice")
        types = {column.name: column.type for column in self.columns}
        if self.freshness is not None and types.get(self.freshness.column) != "timestamp":
            raise ValueError(f"freshness needs column {self.freshness.column} of type timestamp")
        return self

    @property
    def age(self) -> timedelta | None:
        """How old the newest row may be."""
        return None if self.freshness is None else timedelta(seconds=self.freshness.within)


def parse_schema(document: Mapping[str, Any], field: str = "schema") -> DataSchema:
    """The schema of a JSON object.

    Raises:
        InputError: it has another form; the message names the first field that is wrong.
    """
    try:
        return DataSchema.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([field, *map(str, first["loc"])])
        if first["type"] == "value_error":
            raise InputError(f"{where}: {first['ctx']['error']}") from error
        raise InputError(f"{where} {first['input']!r:.200} is not allowed: {first['msg']}") from error
