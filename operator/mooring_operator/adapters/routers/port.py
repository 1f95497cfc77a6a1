"""The port to what routes traffic: who gets how much of it."""

from collections.abc import Sequence
from typing import Protocol

from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import Running, Service, Traits
from mooring_operator.planning.routing import Routing


class ServiceNameTaken(Exception):
    """An object of somebody else has the name that is needed; `leaving`: it is about to be gone."""

    def __init__(self, message: str, *, leaving: bool = False) -> None:
        super().__init__(message)
        self.leaving = leaving


class Traffic(Protocol):
    """Serves revisions. Every call may be repeated; one that changes nothing costs nothing."""

    traits: Traits

    async def observe(self, owner: Owner, revisions: Sequence[Revision]) -> Service | None:
        """Say how these revisions do, the first of which is stable or the first ever; None when nothing is served yet.

        Raises:
            ServiceNameTaken: what is served under the name is somebody else's. Nothing may be changed then.
        """
        ...

    async def serving(self, owner: Owner, seen: Service) -> Sequence[Running]:
        """Say which revisions get requests, by what is there alone: where no status tells it. The stable one is first.

        One that cannot be told, or was not made here, has no name.
        """
        ...

    async def route(self, owner: Owner, routing: Routing, seen: Service | None) -> None:
        """Have the revisions run and get the traffic that `routing` says.

        It asks for nothing that the router's traits rule out.
        """
        ...

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Stop serving."""
        ...
