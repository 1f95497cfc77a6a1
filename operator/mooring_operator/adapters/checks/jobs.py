"""Checks that run as Jobs in the namespace of their ModelDeployment: webhooks that are asked, and Jobs of steps."""

from datetime import datetime
from typing import Any

from mooring_artifacts.uris import hide_queries

from mooring_operator.adapters import jobs
from mooring_operator.adapters.checks.port import CheckNotStarted
from mooring_operator.adapters.cluster import Cluster, ClusterError, Conflict, Kind, Manifest, Ref, Refused
from mooring_operator.planning.checks import CheckProblem, CheckState, Question
from mooring_operator.planning.manifests import check_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs import check_states, job_states

JOB = Kind("batch/v1", "Job", "jobs")
POD = Kind("v1", "Pod", "pods")
_OF_JOB = "batch.kubernetes.io/job-name"
# What time, or somebody else, may mend.
_SURROUNDINGS = ("exceeded quota", "is being terminated", "failed calling webhook", " not found")


class CheckJobs:
    """Implements `Checker` with Jobs; `pods` is what the administrator says of them."""

    def __init__(self, cluster: Cluster, pods: RunPods) -> None:
        self._cluster = cluster
        self._pods = pods

    async def start(self, owner: Owner, question: Question) -> None:
        """Make the check's Job, exactly once: its name is the check's.

        Raises:
            CheckNotStarted: the API server does not take it, or somebody else has the name.
        """
        try:
            await self._cluster.create(check_jobs.job_of(owner, question, self._pods))
        except Conflict as error:
            if await self._find(owner, question.check_id) is None:
                problem = CheckProblem(
                    f"Job {check_jobs.name_of(question.check_id)} is in the way", final=False
                )
                raise CheckNotStarted(problem) from error
        except Refused as error:
            final = not any(word in str(error) for word in _SURROUNDINGS)
            raise CheckNotStarted(CheckProblem(f"its Job was refused: {error}", final)) from error
        except ClusterError as error:
            raise CheckNotStarted(CheckProblem(str(error), final=False)) from error

    async def look(self, owner: Owner, question: Question) -> CheckState | None:
        """Say how a check does by its Job, and by the last words of its container once that has ended."""
        job = await self._find(owner, question.check_id)
        if job is None:
            return None
        said = await self._last_words(job) if job_states.is_over(job) else ""
        return check_states.state_of(job, question.check_id, question.check.kind, said)

    async def is_there(self, owner: Owner, check_id: str) -> bool:
        """Whether a check's Job has not ended."""
        job = await self._find(owner, check_id)
        return job is not None and not job_states.is_over(job)

    async def stop(self, owner: Owner, check_id: str) -> None:
        """Delete a check's Job, and with it its pod; one that has ended stays for people to look at."""
        await jobs.end(self._cluster, lambda: self._find(owner, check_id))

    async def _find(self, owner: Owner, check_id: str) -> Manifest | None:
        """Read a check's Job; None where there is none, or a namesake that the ModelDeployment does not control."""
        job = await self._cluster.get(Ref(JOB, owner.namespace, check_jobs.name_of(check_id)))
        return job if job is not None and ownership.is_controlled_by(job, owner.uid) else None

    async def _last_words(self, job: Manifest) -> str:
        """Give the last line of what the container of a Job's last pod said when it ended."""
        metadata, last = job["metadata"], (datetime.min.isoformat(), "")
        pages = self._cluster.pages(POD, namespace=metadata["namespace"], labels={_OF_JOB: metadata["name"]})
        async for page in pages:
            for pod in page:
                if ownership.is_controlled_by(pod, metadata["uid"]):
                    last = max(last, _ended(pod))
        lines = [line for line in last[1].splitlines() if line.strip()]
        return hide_queries(lines[-1]) if lines else ""


def _ended(pod: dict[str, Any]) -> tuple[str, str]:
    """Give when a pod's container ended, and what it said; times of Kubernetes sort as text."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    own = next((status for status in statuses if status.get("name") == check_jobs.CONTAINER), None)
    ended = ((own or {}).get("state") or {}).get("terminated") or {}
    return str(ended.get("finishedAt") or ""), str(ended.get("message") or "")
