"""Queries that Jobs in the deployment's namespace measure: each made once, looked at until it has ended, and read."""

import logging
from datetime import datetime

from mooring_operator.adapters.checks import owned_jobs
from mooring_operator.adapters.checks.port import CheckNotStarted
from mooring_operator.adapters.cluster import Cluster, ClusterError, Forbidden, Manifest
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.in_namespace import Due, due
from mooring_operator.planning.analysis.measuring import Reading, UsedQuery
from mooring_operator.planning.analysis.measuring_jobs import Measuring, job_of
from mooring_operator.planning.manifests import check_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.runs import check_states, job_states
from mooring_operator.planning.status.wording import one_line

_logger = logging.getLogger(__name__)
_LATE = "it has not ended in the time that it has"


class MeasuringJobs:
    """Implements `Provider` for one kind of query; `pods` is what the administrator says of pods."""

    def __init__(self, cluster: Cluster, pods: RunPods, how: Measuring) -> None:
        self._cluster = cluster
        self._pods = pods
        self._how = how

    async def read(self, request: Request, query: UsedQuery) -> list[Reading]:
        """Make the Job of the measurement that is due, or read the one that has ended."""
        asked = due(request, query)
        if asked is None:
            return []
        try:
            return await self._look(asked)
        except CheckNotStarted as error:
            return [asked.found(None, problem=one_line(error.problem.message))]
        except Forbidden as error:
            return [asked.found(None, problem=one_line(str(error)))]
        except ValueError as error:
            # What stands for a place is none of the values that it may be, or there is nothing to compare.
            return [asked.found(None, problem=one_line(str(error)))]
        except ClusterError as error:
            # Others are judged meanwhile; it is looked at again with the next look.
            _logger.info("a measurement is not looked at: %s", one_line(str(error)))
            return []

    async def _look(self, asked: Due) -> list[Reading]:
        job = await owned_jobs.find(self._cluster, asked.owner, check_jobs.name_of(asked.measurement_id))
        if job is None:
            await owned_jobs.make(self._cluster, asked.owner, job_of(asked, self._how, self._pods))
            return []
        begun = _made(job)
        if not job_states.is_over(job):
            late = asked.is_late(begun, min(self._how.allowed(asked), self._pods.longest))
            return [asked.found(begun, problem=_LATE)] if late else []
        said = await owned_jobs.said(self._cluster, job)
        state = check_states.state_of(
            job, asked.measurement_id, "job" if self._how.answers else "webhook", owned_jobs.last_line(said)
        )
        if state is None or state.outcome is None:
            return []
        if state.outcome == "Fail" and self._how.answers:
            return [asked.found(begun, failed=state.message)]
        if state.outcome != "Pass":
            return [asked.found(begun, problem=state.message or "it has found nothing out")]
        if self._how.answers and not asked.query.query.conditions and not said.strip():
            return [asked.found(begun)]
        return [self._how.found(asked, begun, self._how.read(said))]


def _made(job: Manifest) -> datetime | None:
    try:
        made = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
    except (KeyError, ValueError):
        return None
    return made if made.tzinfo is not None else None
