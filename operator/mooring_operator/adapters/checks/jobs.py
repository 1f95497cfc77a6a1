"""Checks that run as Jobs in the namespace of their ModelDeployment: webhooks that are asked, and Jobs of steps."""

from mooring_operator.adapters import jobs
from mooring_operator.adapters.checks import owned_jobs
from mooring_operator.adapters.cluster import Cluster, Manifest
from mooring_operator.planning.checks import CheckState, Question
from mooring_operator.planning.manifests import check_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs import check_states, job_states


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
        await owned_jobs.make(self._cluster, owner, check_jobs.job_of(owner, question, self._pods))

    async def look(self, owner: Owner, question: Question) -> CheckState | None:
        """Say how a check does by its Job, and by the last words of its container once that has ended."""
        job = await self._find(owner, question.check_id)
        if job is None:
            return None
        said = await owned_jobs.last_words(self._cluster, job) if job_states.is_over(job) else ""
        return check_states.state_of(job, question.check_id, question.check.kind, said)

    async def is_there(self, owner: Owner, check_id: str) -> bool:
        """Whether a check's Job has not ended."""
        job = await self._find(owner, check_id)
        return job is not None and not job_states.is_over(job)

    async def stop(self, owner: Owner, check_id: str) -> None:
        """Delete a check's Job, and with it its pod; one that has ended stays for people to look at."""
        await jobs.end(self._cluster, lambda: self._find(owner, check_id))

    async def _find(self, owner: Owner, check_id: str) -> Manifest | None:
        return await owned_jobs.find(self._cluster, owner, check_jobs.name_of(check_id))
