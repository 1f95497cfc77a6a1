"""What rows should look like: a data schema, as a spec or a file has it, in YAML or JSON."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from mooring_artifacts.errors import InputError
from mooring_artifacts.safe_yaml import load_yaml
from mooring_artifacts.uris import LONGEST

_ADDRESS = re.compile("[a-z][a-z0-9+.-]*:/")
# Between steps Kubeflow Pipelines would replace it.
_PLACEHOLDER = "{{$"

Type = Literal["integer", "number", "string", "boolean", "timestamp"]
LONGEST_NAME = 1000
Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
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


class TrainingData(_Part):
    """Rows that a model was trained on, of which the rows may repeat no more than a share.

    columns: what makes two rows the same; empty: all columns of the schema.
    """

    uri: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    columns: Annotated[list[Name], Field(max_length=10_000)] = []
    repeated: Annotated[float, Field(ge=0, le=1)] = 0.0


class DataSchema(_Part):
    """What rows should look like."""

    columns: Annotated[list[Column], Field(min_length=1, max_length=10_000)]
    extra_columns: Literal["Allow", "Refuse"] = "Refuse"
    min_rows: Annotated[int, Field(ge=0)] = 1
    max_rows: Annotated[int, Field(ge=0)] | None = None
    freshness: Freshness | None = None
    training_data: TrainingData | None = None

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        names = [column.name for column in self.columns]
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise ValueError(f"column {twice} is there twice")
        types = {column.name: column.type for column in self.columns}
        if self.freshness is not None and types.get(self.freshness.column) != "timestamp":
            raise ValueError(f"freshness needs column {self.freshness.column} of type timestamp")
        if self.training_data is not None:
            for name in self.training_data.columns:
                if name not in types:
                    raise ValueError(f"trainingData.columns names {name}, which is no column of the schema")
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


def is_address(text: str) -> bool:
    """Whether a text is the address of a schema rather than one itself."""
    return _ADDRESS.match(text) is not None


def parse_schema_text(text: str | bytes, field: str = "schema") -> DataSchema:
    """The schema in a text of YAML or JSON.

    Raises:
        InputError: it is none; the message names the first field that is wrong.
    """
    content = text.encode() if isinstance(text, str) else text
    if _PLACEHOLDER.encode() in content:
        raise InputError(f"{field} holds {_PLACEHOLDER!r}, which Kubeflow Pipelines would replace")
    try:
        document = load_yaml(content)
    except InputError as error:
        raise InputError(f"{field}: {error}") from None
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise InputError(f"{field} is no object: write columns: [{{name: age, type: integer}}]")
    return parse_schema(document, field)


def render_schema(schema: DataSchema) -> str:
    """The schema as YAML, one column a line; `parse_schema_text` reads it."""
    document = schema.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    lines = ["columns:", *(f"- {_flow(_whole(column))}" for column in document.pop("columns"))]
    return "\n".join([*lines, *(f"{name}: {_flow(value)}" for name, value in document.items())]) + "\n"


def _whole(column: dict[str, Any]) -> dict[str, Any]:
    """Limits of whole numbers as such."""
    limits = {name: column[name] for name in ("min", "max") if name in column}
    return {**column, **{name: int(value) for name, value in limits.items() if value.is_integer()}}


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=1 << 30)
    return text.removesuffix("...\n").rstrip("\n")
