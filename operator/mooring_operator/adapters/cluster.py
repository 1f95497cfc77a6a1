"""The port to the Kubernetes API: plain dicts in, plain dicts out."""

import builtins
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Manifest = dict[str, Any]


class ClusterError(Exception):
    """A call to the API server did not do what was asked."""


class Conflict(ClusterError):
    """The object has changed since it was read; read it again."""


class Unavailable(ClusterError):
    """The API server does not answer, or asks for patience; try again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Forbidden(Unavailable):
    """The operator lacks a permission, and may get it."""


class Refused(ClusterError):
    """The API server or an admission webhook says no; the message says why."""


class InvalidName(Refused):
    """A name that no object can have, and that would address something else: nothing was sent."""


@dataclass(frozen=True)
class Kind:
    """A kind of object, as the API server addresses it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True


@dataclass(frozen=True)
class Ref:
    """The address of one object; its namespace is empty where the kind has none."""

    kind: Kind
    namespace: str
    name: str


@dataclass(frozen=True)
class Event:
    """Something to tell people about one object."""

    about_api_version: str
    about_kind: str
    namespace: str
    name: str
    uid: str
    type: str
    reason: str
    message: str

    @classmethod
    def about(cls, resource: Manifest, type: str, reason: str, message: str) -> "Event":
        """Make an Event about `resource`; type is Normal or Warning."""
        metadata = resource["metadata"]
        return cls(
            about_api_version=resource["apiVersion"],
            about_kind=resource["kind"],
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            uid=metadata["uid"],
            type=type,
            reason=reason,
            message=message,
        )


class Cluster(Protocol):
    """The calls that Mooring makes. All raise `ClusterError`.

    Whatever changes or removes an object takes the object as it was read: an object of the same name that took its
    place meanwhile is never touched.
    """

    async def get(self, ref: Ref, *, recent: bool = False) -> Manifest | None:
        """Read one object; None where there is none, or no such kind.

        recent: it may be as it was a moment ago. Not for what gives somebody a right, or takes it.
        """
        ...

    async def list(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> list[Manifest]:
        """Read all objects of a kind, page by page; in every namespace when none is named.

        `fields` are of those that the API server selects objects of the kind by.
        """
        ...

    def pages(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> AsyncIterator[builtins.list[Manifest]]:
        """Yield what `list` gives, a few objects at a time.

        An object may have a megabyte, and a tenant as many as they like: keep of each no more than is needed.
        """
        ...

    async def read_pod(
        self, namespace: str, name: str, port: int, largest: int, *, tls: bool = False
    ) -> tuple[int, bytes]:
        """Read what a pod shows at ``/metrics`` of a port: status code and text.

        largest: bytes that are read; status code 413 stands for more, 415 for what is compressed.
        """
        ...

    async def create(self, manifest: Manifest) -> Manifest:
        """Make an object.

        Raises:
            Conflict: there is one of that name already; it is left as it is.
        """
        ...

    async def apply(self, manifest: Manifest, seen: Manifest) -> Manifest:
        """Make the object that was read as `seen` say what `manifest` says.

        Server-side apply, forced, by field manager mooring.

        Raises:
            Conflict: another object has the name by now, or another controller has taken the object.
        """
        ...

    async def change(self, seen: Manifest, fields: Manifest) -> Manifest:
        """Change some fields of the object that was read as `seen`, and leave the others; null removes one.

        Raises:
            Conflict: another object has the name by now.
        """
        ...

    async def scale(self, seen: Manifest, replicas: int) -> None:
        """Say how many pods the workload that was read as `seen` should have, and leave all else of it alone.

        Raises:
            Conflict: another object has the name by now.
        """
        ...

    async def delete(self, seen: Manifest) -> None:
        """Delete the object that was read as `seen`, and what it controls; one that is gone is a success.

        Raises:
            Conflict: it has changed since it was read.
        """
        ...

    async def write_status(self, resource: Manifest, status: Manifest) -> Manifest:
        """Replace the status of `resource` as it was read.

        Raises:
            Conflict: somebody has written the object since.
        """
        ...

    async def set_annotations(self, seen: Manifest, annotations: Mapping[str, str]) -> None:
        """Set annotations of the object that was read as `seen`, whatever their values were.

        Raises:
            Conflict: another object has the name by now.
        """
        ...

    async def remove_annotation(
        self, resource: Manifest, name: str, value: str, *, along: Iterable[str] = ()
    ) -> None:
        """Remove an annotation and those `along` with it, if it still has `value`; else leave all alone."""
        ...

    async def user(self) -> str:
        """Give the name that the API server knows us by; empty where it does not say."""
        ...

    async def emit(self, event: Event) -> None:
        """Record an Event."""
        ...
