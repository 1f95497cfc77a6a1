"""Notices that run as Jobs in the namespace of their DriftMonitor."""

from typing import Any

from mooring_operator.adapters.checks import owned_jobs
from mooring_operator.adapters.cluster import Cluster
from mooring_operator.api.drift_notify import Receiver
from mooring_operator.planning.checks import CheckState
from mooring_operator.planning.manifests import notice_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs import check_states, job_states


class NoticeJobs:
    """Tells receivers by Jobs; `pods` is what the administrator says of them."""

    def __init__(self, cluster: Cluster, pods: RunPods) -> None:
        self._cluster = cluster
        self._pods = pods

    async def start(self, owner: Owner, notice_id: str, receiver: Receiver, body: Any) -> None:
        """Make the notice's Job, exactly once: its name is the notice's.

        Raises:
            CheckNotStarted: the API server does not take it, or somebody else has the name.
        """
        job = notice_jobs.job_of(owner, notice_id, receiver, body, self._pods)
        await owned_jobs.make(self._cluster, owner, job)

    async def look(self, owner: Owner, notice_id: str) -> CheckState | None:
        """Say how a notice does by its Job; None where there is none.

        Raises:
            ClusterError: nobody answers.
        """
        job = await owned_jobs.find(self._cluster, owner, notice_jobs.name_of(notice_id))
        if job is None:
            return None
        said = await owned_jobs.last_words(self._cluster, job) if job_states.is_over(job) else ""
        return check_states.state_of(job, notice_id, "webhook", said)
