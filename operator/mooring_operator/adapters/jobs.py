"""Ending a Job that its controller writes to at the same time."""

from collections.abc import Awaitable, Callable

from mooring_operator.adapters.cluster import Cluster, Conflict, Manifest
from mooring_operator.planning.runs import job_states

# A Job's status changes a few times while it starts, and then hardly ever.
_TRIES = 5


async def end(cluster: Cluster, find: Callable[[], Awaitable[Manifest | None]]) -> None:
    """Delete the Job that `find` reads, and with it its pods; one that has ended stays for people to look at.

    It is read again whenever it changed meanwhile, since it may have ended by that.

    Raises:
        Conflict: it changes as fast as it is read.
        ClusterError: what `find` and the API server say.
    """
    for attempt in range(_TRIES):
        job = await find()
        if job is None or job_states.is_over(job):
            return
        try:
            await cluster.delete(job)
        except Conflict:
            if attempt == _TRIES - 1:
                raise
        else:
            return
