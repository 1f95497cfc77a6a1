"""Whether our own API takes what was read of somebody else's."""

from typing import Any

from pydantic import ValidationError

from mooring_operator.api.types import Model


def takes(kind: type[Model], value: dict[str, Any]) -> bool:
    """Whether a value is one of `kind`, as specs have it."""
    try:
        kind.model_validate(value)
    except ValidationError:
        return False
    return True
