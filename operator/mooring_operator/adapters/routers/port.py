"""The port to what routes traffic: who gets how much of it."""

from typing import Protocol

from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import Service, Traits


class ServiceNameTaken(Exception):
    """An object of somebody else has the name that is needed; `leaving`: it is about to be gone."""

    def __init__(self, message: str, *, leaving: bool = False) -> None:
        super().__init__(message)
        self.leaving = leaving


class Traffic(Protocol):
    """Serves revisions. Every call may be repeated; one that changes nothing costs nothing."""

    traits: Traits

    async def observe(
        self, owner: Owner, stable: Revision | None, candidate: Candidate | None
    ) -> Service | None:
        """Say how the two revisions do; None when nothing is served yet.

        Raises:
            ServiceNameTaken: what is served under the name is somebody else's. Nothing may be changed then.
        """
        ...

    async def reconcile(self, owner: Owner, stable: Revision, seen: Service | None) -> None:
        """Give all traffic to one revision."""
        ...

    async def split(self, owner: Owner, stable: Revision, candidate: Candidate, seen: Service | None) -> None:
        """Give the candidate its weight, and the stable revision the rest."""
        ...

    async def reject(self, owner: Owner, stable: Revision, rejected: Revision, seen: Service | None) -> None:
        """Take all traffic from a revision that was rejected, at once."""
        ...

    async def finalize(self, owner: Owner, stable: Revision, seen: Service | None) -> None:
        """Remove what is left of workloads that are gone."""
        ...

    async def remove(self, owner: Owner, seen: Service | None) -> None:
        """Stop serving."""
        ...
