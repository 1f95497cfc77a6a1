"""A status as the API carries it."""

from typing import Any

from pydantic import BaseModel


def to_wire(status: BaseModel) -> dict[str, Any]:
    """Give `status` in camelCase, without what is unset or empty."""
    wire: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: value for key, value in wire.items() if value not in ("", [], {})}
