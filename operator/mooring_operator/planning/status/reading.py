"""Reads a status that somebody has edited, or that another version of the operator has written.

What cannot be read is left out, for it is found out again: a rollout starts anew, a run is looked up by its id.
Only what users are served with must not be guessed at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.status.conditions import RECONCILED

Status = TypeVar("Status", ModelDeploymentStatus, DriftMonitorStatus)

_ESSENTIAL = "stable"


class Unreadable(ValueError):
    """A status lacks what cannot be done without."""


@dataclass(frozen=True)
class Read(Generic[Status]):
    """A status as far as it could be read; `lost` names what could not, and why."""

    status: Status
    lost: tuple[str, ...] = ()


def read_status(model: type[Status], found: Any) -> Read[Status]:
    """Read `found`, the ``status`` of a resource, but for what it says of a reconcile that failed.

    Raises:
        Unreadable: the stable revision cannot be read.
    """
    if found is not None and not isinstance(found, Mapping):
        return Read(model(), (f"status: must be a mapping, is {type(found).__name__}",))
    fields: dict[str, Any] = dict(found or {})
    lost: list[str] = []
    while True:
        try:
            status = model.model_validate(fields)
            break
        except ValidationError as error:
            problems = error.errors(include_url=False, include_input=False)
            left = _without(fields, problems)
            if left == fields:
                raise Unreadable(_describe(problems[0])) from None
            lost += [_describe(problem) for problem in problems]
            fields = left
    kept = [condition for condition in status.conditions if condition.type != RECONCILED]
    return Read(status.model_copy(update={"conditions": kept}), tuple(lost))


def _without(fields: dict[str, Any], problems: Sequence[ErrorDetails]) -> dict[str, Any]:
    """Give the fields without those, or without those items of lists, that could not be read."""
    bad: dict[str, set[int | str]] = {}
    for problem in problems:
        name, item = (*problem["loc"], "", "")[:2]
        if name == _ESSENTIAL:
            raise Unreadable(
                f"{_describe(problem)}; what is served stays as it is. Put status.{_ESSENTIAL} back, or remove "
                "it: then the revision that serves is stable again where the spec asks for it"
            )
        bad.setdefault(str(name), set()).add(item)
    kept = {name: value for name, value in fields.items() if name not in bad}
    for name, items in bad.items():
        if isinstance(fields.get(name), list) and all(isinstance(item, int) for item in items):
            kept[name] = [item for index, item in enumerate(fields[name]) if index not in items]
    return kept


def _describe(problem: ErrorDetails) -> str:
    path = ".".join(map(str, problem["loc"]))
    return f"status.{path}: {problem['msg'].removeprefix('Value error, ')}"
