"""A status as the API carries it."""

from typing import Any

from pydantic import BaseModel

from mooring_operator.adapters.cluster import Cluster, Manifest
from mooring_operator.adapters.notifier import Notifier
from mooring_operator.api import reasons
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.status.reading import Status, Unreadable, read_status
from mooring_operator.reconcile.failures import StatusUnreadable


async def status_of(resource: Manifest, model: type[Status], notifier: Notifier) -> Status:
    """Give what can be read of the status of `resource`, and tell people what cannot.

    Raises:
        StatusUnreadable: it lacks what cannot be found out again.
    """
    status, lost = _read(resource, model)
    if lost:
        message = f"what could not be read is found out again: {'; '.join(lost)}"
        await notifier.notify(resource, Notify("Warning", reasons.STATUS_REPAIRED, message))
    return status


def peek_status(resource: Manifest, model: type[Status]) -> Status:
    """Give what can be read of the status of `resource`.

    Raises:
        StatusUnreadable: it lacks what cannot be found out again.
    """
    return _read(resource, model)[0]


def _read(resource: Manifest, model: type[Status]) -> tuple[Status, tuple[str, ...]]:
    try:
        read = read_status(model, resource.get("status"))
    except Unreadable as error:
        raise StatusUnreadable(str(error)) from error
    return read.status, read.lost


def to_wire(status: BaseModel) -> dict[str, Any]:
    """Give `status` in camelCase, without what is unset or empty."""
    wire: dict[str, Any] = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return _without_empty(wire)


async def write_status(cluster: Cluster, resource: Manifest, status: BaseModel) -> Manifest:
    """Have `resource` carry `status`; give it as it is then. What it carries already is not written.

    Raises:
        Conflict: somebody has written the object since it was read.
    """
    wanted = to_wire(status)
    if wanted == resource.get("status"):
        return resource
    return await cluster.write_status(resource, wanted)


def _without_empty(wire: dict[str, Any]) -> dict[str, Any]:
    kept = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in wire.items()}
    return {key: value for key, value in kept.items() if value not in ("", [], {})}
