"""Runs as Kubernetes Jobs: one for each run, in the namespace of the resource that it is made for.

The run's id names the Job and it is made by POST, so it exists once, whoever asks how often. Of the runs in
a namespace only so many go at a time: the others are made suspended, and are let go in the order in which
they were made, whenever one that waits is asked about. Nothing of this is kept in memory alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mooring_operator.adapters import jobs
from mooring_operator.adapters.cluster import (
    Cluster,
    ClusterError,
    Conflict,
    Kind,
    Manifest,
    Ref,
    Refused,
)
from mooring_operator.adapters.pipelines.port import PipelinesRefused, PipelinesUnavailable
from mooring_operator.planning.manifests import run_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.runs import job_states, pod_words, turns
from mooring_operator.planning.runs.run import RunRequest, RunState

JOB = Kind("batch/v1", "Job", "jobs")
POD = Kind("v1", "Pod", "pods")
LONGEST_WAIT = timedelta(days=1)
"""A run that has waited for longer goes, and is made anew: the address that it writes to would expire under it."""
_FRESH_SECONDS = 2.0
# What the API server says when time, or somebody else, may mend it: nothing is wrong with the run.
# A namespace that is not found may be about to be made.
_SURROUNDINGS = ("exceeded quota", "is being terminated", "failed calling webhook", " not found")
_INSTEAD = {
    "Test": "which run model-ci; remove spec.ci.pipeline",
    "Measurement": "which run no pipeline of yours; measure by a job",
    "Training": "which train by an image; name one in spec.retrain.image",
}


@dataclass
class _Namespace:
    """The unfinished runs of a namespace as they were listed; launches and releases in it go one by one."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    jobs: list[Manifest] = field(default_factory=list)
    listed_at: float = float("-inf")


class JobPipelines:
    """Implements `Pipelines` with Jobs; `pods` is what the administrator says of them."""

    def __init__(
        self,
        cluster: Cluster,
        pods: RunPods,
        clock: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._pods = pods
        self._clock = clock
        self._monotonic = monotonic
        self._namespaces: dict[str, _Namespace] = {}

    async def launch(self, run: RunRequest) -> None:
        """Make the run's Job, exactly once; it is suspended where the namespace has enough runs.

        Raises:
            PipelinesUnavailable: try again later, with the same run id.
            PipelinesRefused: the API server does not take the Job, or its name is taken.
        """
        if run.own is not None:
            instead = _INSTEAD[run.own.purpose]
            raise PipelinesRefused(
                f"pipeline {run.own.name!r} needs Kubeflow Pipelines: here runs are Jobs, {instead}, or have the "
                "operator's MOORING_PIPELINES set to KFP"
            )
        try:
            job = run_jobs.job_of(run, self._pods)
        except ValueError as error:
            raise PipelinesRefused(str(error)) from error
        namespace = self._namespace(run.namespace)
        async with namespace.lock:
            try:
                await self._list(run.namespace, namespace)
                if turns.must_wait(namespace.jobs, self._pods.per_namespace):
                    job = turns.suspended(job)
                namespace.jobs.append(await self._cluster.create(job))
            except Conflict as error:
                await self._ensure_ours(run, error)
            except ClusterError as error:
                raise _told(error) from error

    async def get(self, namespace: str, run_id: str) -> RunState | None:
        """Give the state of a run; None when there is no Job of it."""
        job = await self._find(namespace, run_id)
        if job is None:
            return None
        if job_states.is_waiting(job):
            await self._give_turns(namespace)
        return job_states.state_of(job, run_id, await self._cause(job) if job_states.needs_pods(job) else "")

    async def terminate(self, namespace: str, run_id: str) -> None:
        """Delete the Job of a run, and with it its pod; one that has finished stays."""
        try:
            await jobs.end(self._cluster, lambda: self._find(namespace, run_id))
        except ClusterError as error:
            raise _told(error) from error

    @property
    def narrow(self) -> bool:
        """Take every character."""
        return False

    def url(self, namespace: str, run_id: str) -> str:
        """Give nothing: a Job has no page."""
        return ""

    async def _find(self, namespace: str, run_id: str) -> Manifest | None:
        """Read the Job of a run; None where there is none, or a namesake that no resource of ours controls."""
        try:
            job = await self._cluster.get(Ref(JOB, namespace, run_jobs.name_of(run_id)))
        except ClusterError as error:
            raise _told(error) from error
        return job if job is not None and self._owner_of(job) is not None else None

    async def _cause(self, job: Manifest) -> str:
        """Say what a Job's pod tells of itself; nothing where it is gone, or nobody may look."""
        metadata = job["metadata"]
        pages = self._cluster.pages(
            POD, namespace=metadata["namespace"], labels={pod_words.OF_JOB: metadata["name"]}
        )
        try:
            pods = [pod async for page in pages for pod in page]
        except ClusterError:
            # The run's own state is known, and counts; this only says more.
            return ""
        return pod_words.cause_of(pod for pod in pods if ownership.is_controlled_by(pod, metadata["uid"]))

    async def _ensure_ours(self, run: RunRequest, conflict: Conflict) -> None:
        """See who has the name of a Job that could not be made.

        Raises:
            PipelinesUnavailable: nobody any more, or an earlier one that is being deleted.
            PipelinesRefused: somebody else.
        """
        name = run_jobs.name_of(run.run_id)
        try:
            job = await self._cluster.get(Ref(JOB, run.namespace, name))
        except ClusterError as error:
            raise _told(error) from error
        if job is None or "deletionTimestamp" in job["metadata"]:
            raise PipelinesUnavailable(f"Job {name} cannot be made now: {conflict}") from conflict
        if self._owner_of(job) != run.owner.uid:
            message = f"Job {name} exists and is not of {run.owner.kind} {run.owner.name}: delete it"
            raise PipelinesRefused(message, name_taken=True) from conflict

    async def _give_turns(self, name: str) -> None:
        """Let waiting runs go, as many as the namespace has room for."""
        namespace = self._namespace(name)
        async with namespace.lock:
            try:
                await self._list(name, namespace)
                for job in turns.whose_turn(namespace.jobs, self._pods.per_namespace):
                    namespace.jobs.remove(job)
                    if turns.has_waited_for(job, self._clock()) > LONGEST_WAIT:
                        await self._cluster.delete(job)
                    else:
                        namespace.jobs.append(await self._cluster.change(job, turns.let_go(self._clock())))
            except ClusterError as error:
                namespace.listed_at = float("-inf")
                # A Job that was deleted or changed meanwhile is seen as it is by the next look.
                if not isinstance(error, Conflict):
                    raise _told(error) from error

    async def _list(self, name: str, namespace: _Namespace) -> None:
        """List a namespace's runs, unless that was done a moment ago; a finished run may count for that long."""
        now = self._monotonic()
        if now - namespace.listed_at < _FRESH_SECONDS:
            return
        # Those that succeeded are the most, and of no interest here.
        fields = {"status.successful": "0"}
        pages = self._cluster.pages(JOB, namespace=name, labels=run_jobs.LABELS, fields=fields)
        namespace.jobs = [
            turns.essence(job)
            async for page in pages
            for job in page
            if self._owner_of(job) is not None and not job_states.is_over(job)
        ]
        namespace.listed_at = now

    def _owner_of(self, job: Manifest) -> str | None:
        return job_states.owner_uid(job, apart=self._pods.apart)

    def _namespace(self, name: str) -> _Namespace:
        return self._namespaces.setdefault(name, _Namespace())


def _told(error: ClusterError) -> PipelinesUnavailable | PipelinesRefused:
    message = str(error)
    if isinstance(error, Refused) and not any(word in message for word in _SURROUNDINGS):
        return PipelinesRefused(f"the run's Job was refused: {message}")
    return PipelinesUnavailable(message)
