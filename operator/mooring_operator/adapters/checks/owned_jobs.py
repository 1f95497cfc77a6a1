"""Jobs of one pod that a resource controls: made once, found again, and what they said last."""

from datetime import datetime
from typing import Any

from mooring_artifacts.uris import hide_queries

from mooring_operator.adapters.checks.port import CheckNotStarted
from mooring_operator.adapters.cluster import Cluster, ClusterError, Conflict, Kind, Manifest, Ref, Refused
from mooring_operator.planning.checks import CheckProblem
from mooring_operator.planning.manifests.check_pods import CONTAINER
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Owner

JOB = Kind("batch/v1", "Job", "jobs")
POD = Kind("v1", "Pod", "pods")
_OF_JOB = "batch.kubernetes.io/job-name"
# What time, or somebody else, may mend.
_SURROUNDINGS = ("exceeded quota", "is being terminated", "failed calling webhook", " not found")


async def make(cluster: Cluster, owner: Owner, job: Manifest) -> None:
    """Make a Job, exactly once: its name says what it is for.

    Raises:
        CheckNotStarted: the API server does not take it, or somebody else has the name.
    """
    name = job["metadata"]["name"]
    try:
        await cluster.create(job)
    except Conflict as error:
        if await find(cluster, owner, name) is None:
            raise CheckNotStarted(CheckProblem(f"Job {name} is in the way", final=False)) from error
    except Refused as error:
        final = not any(word in str(error) for word in _SURROUNDINGS)
        raise CheckNotStarted(CheckProblem(f"its Job was refused: {error}", final)) from error
    except ClusterError as error:
        raise CheckNotStarted(CheckProblem(str(error), final=False)) from error


async def find(cluster: Cluster, owner: Owner, name: str) -> Manifest | None:
    """Read a Job; None where there is none, or a namesake that the owner does not control."""
    job = await cluster.get(Ref(JOB, owner.namespace, name))
    return job if job is not None and ownership.is_controlled_by(job, owner.uid) else None


async def last_words(cluster: Cluster, job: Manifest) -> str:
    """Give the last line of what the container of a Job's last pod said when it ended."""
    return last_line(await said(cluster, job))


async def said(cluster: Cluster, job: Manifest) -> str:
    """Give what the container of a Job's last pod said when it ended."""
    metadata, last = job["metadata"], (datetime.min.isoformat(), "")
    pages = cluster.pages(POD, namespace=metadata["namespace"], labels={_OF_JOB: metadata["name"]})
    async for page in pages:
        for pod in page:
            if ownership.is_controlled_by(pod, metadata["uid"]):
                last = max(last, _ended(pod))
    return last[1]


def last_line(text: str) -> str:
    """Give the last line that says something, without what addresses in it may hide."""
    lines = [line for line in text.splitlines() if line.strip()]
    return hide_queries(lines[-1]) if lines else ""


def _ended(pod: dict[str, Any]) -> tuple[str, str]:
    """Give when a pod's container ended, and what it said; times of Kubernetes sort as text."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    own = next((status for status in statuses if status.get("name") == CONTAINER), None)
    ended = ((own or {}).get("state") or {}).get("terminated") or {}
    return str(ended.get("finishedAt") or ""), str(ended.get("message") or "")
