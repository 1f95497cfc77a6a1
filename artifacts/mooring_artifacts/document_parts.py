"""What documents of runs are made of: strict objects, with few fields and texts of bounded lengths."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

# Each key too many is an error of about a KiB; a few of them are enough to name the first.
_MOST_UNKNOWN = 16

Name = Annotated[str, Field(max_length=1000)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """An object of a document."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True
    )

    @model_validator(mode="before")
    @classmethod
    def _has_few_fields(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + _MOST_UNKNOWN:
            raise ValueError(f"{len(value)} fields; {len(cls.model_fields)} are allowed")
        return value
