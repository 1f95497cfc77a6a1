"""Counters that pods show of themselves, read through the API server: for clusters without a Prometheus.

A look is the growth between two readings of all pods of both revisions. It exists from when it was asked for, so a
rollout is judged a look later than by Prometheus, and by nothing of the time before it; what was read stays here for an
hour, so that whoever asks again gets the same looks. A reading that lacks a pod is none: the next one makes up for it.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mooring_operator.adapters.cluster import Cluster, ClusterError, Forbidden, Kind, Manifest
from mooring_operator.adapters.metrics.exposition import LARGEST_BYTES, UnreadableError, read_counters
from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.api.names import DEPLOYMENT_LABEL, REVISION_LABEL
from mooring_operator.planning.analysis import looks, pod_counters
from mooring_operator.planning.analysis.bets import Look
from mooring_operator.planning.analysis.counting import MOST_LOOKS
from mooring_operator.planning.analysis.histograms import Histogram
from mooring_operator.planning.analysis.looks import Counts
from mooring_operator.planning.analysis.pod_counters import Growth, Process, Reading
from mooring_operator.planning.analysis.queries import (
    AnswerUnusableError,
    Latency,
    Pods,
    Predictions,
    Question,
    Rate,
)

MOST_PODS = 50
"""Of a revision; each is a request to the API server at each look."""
POD = Kind("v1", "Pod", "pods")
_CONTAINER = "kserve-container"
_AT_ONCE = 8
_POD_S, _ALL_S = 5.0, 30.0
_KEPT = timedelta(hours=1)
_MOST_WATCHES = 1000
_PROMETHEUS = "an administrator sets MOORING_PROMETHEUS_URL"
FORBIDDEN = (
    "no Prometheus is asked, and the operator may not read what pods count: component "
    f"manifests/components/pod-counters lets it, or {_PROMETHEUS}"
)


@dataclass
class _Watch:
    """What is known of two revisions: the last reading, the end of the look that it ended, and the looks so far."""

    until: datetime | None = None
    reading: Reading = field(default_factory=dict)
    looks: deque[tuple[datetime, Growth]] = field(default_factory=deque)


class PodCounters:
    """Implements `Metrics`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._watches: OrderedDict[tuple[Pods, tuple[str, ...]], _Watch] = OrderedDict()
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def looks(
        self, question: Question, candidate: str, stable: str, since: datetime, until: datetime
    ) -> list[Look]:
        """Give the looks of a time that pods were read in."""
        return list(looks.pair(*await self.counts(question, since, until), candidate, stable).values())

    async def counts(self, question: Question, since: datetime, until: datetime) -> tuple[Counts, Counts]:
        """Give what was counted between the readings of a time; the pods are read if its end is a new one."""
        events: dict[str, dict[float, float]] = {}
        requests: dict[str, dict[float, float]] = {}
        pods = _pods_of(question)
        for at, grown in await self._looks(question, since, until):
            for revision, counted in grown.counted.items():
                if not isinstance(question.metric, Rate):
                    continue
                found = pod_counters.rate_of(counted, question.metric, pods.model)
                for by_revision, count in zip((events, requests), found, strict=True):
                    by_revision.setdefault(revision, {})[at.timestamp()] = count
        return events, requests

    async def histograms(
        self, question: Question, since: datetime, until: datetime
    ) -> dict[str, dict[float, Histogram]]:
        """Give how long requests took between the readings of a time, as `counts` does."""
        found: dict[str, dict[float, Histogram]] = {}
        pods = _pods_of(question)
        for at, grown in await self._looks(question, since, until):
            for revision, counted in grown.counted.items():
                if not isinstance(question.metric, Latency):
                    continue
                histogram = pod_counters.histogram_of(counted, question.metric, pods.model)
                if histogram is not None:
                    found.setdefault(revision, {})[at.timestamp()] = histogram
        return found

    async def predictions(
        self, question: Question, since: datetime, until: datetime
    ) -> dict[str, dict[float, dict[str, float]]]:
        """Give what was predicted between the readings of a time, as `counts` does."""
        found: dict[str, dict[float, dict[str, float]]] = {}
        pods = _pods_of(question)
        for at, grown in await self._looks(question, since, until):
            for revision, counted in grown.counted.items():
                if isinstance(question.metric, Predictions):
                    cells = pod_counters.predictions_of(counted, question.metric, pods.model)
                    found.setdefault(revision, {})[at.timestamp()] = cells
        return found

    async def values(
        self, query: str, first: datetime, last: datetime, every: timedelta
    ) -> Mapping[float, Sequence[float]]:
        """Refuse: there is nobody who knows PromQL."""
        raise AnswerUnusableError(f"queries are for a Prometheus, and there is none: {_PROMETHEUS}")

    async def _looks(
        self, question: Question, since: datetime, until: datetime
    ) -> list[tuple[datetime, Growth]]:
        if until - since < timedelta(seconds=question.every_s):
            return []
        watch = self._watch(_pods_of(question), question.revisions)
        if _is_to_be_read(watch, question, since, until):
            await self._look(watch, question, since, until)
        within = [look for look in watch.looks if since < look[0] <= until]
        if within and within[-1][1].lost and within[-1] == watch.looks[-1]:
            raise MetricsUnavailableError(_lost(within[-1][1].lost))
        _has_what_is_asked(watch, question, told=bool(within))
        return [look for look in within if not look[1].lost]

    def _watch(self, pods: Pods, revisions: tuple[str, ...]) -> _Watch:
        watch = self._watches.setdefault((pods, revisions), _Watch())
        self._watches.move_to_end((pods, revisions))
        while len(self._watches) > _MOST_WATCHES:
            self._watches.popitem(last=False)
        return watch

    async def _look(self, watch: _Watch, question: Question, since: datetime, until: datetime) -> None:
        """Read the pods, and end a look with that where one was begun no earlier than the time that is asked about."""
        try:
            async with asyncio.timeout(_ALL_S):
                reading = await self._read_all(watch, _pods_of(question), question.revisions)
        except TimeoutError:
            raise MetricsUnavailableError(
                f"the counters of the pods of both revisions were not read within {_ALL_S:g} s"
            ) from None
        except Forbidden:
            raise MetricsUnavailableError(FORBIDDEN) from None
        except ClusterError as error:
            raise MetricsUnavailableError(f"what pods count cannot be read: {error}") from error
        if watch.until is not None and watch.until >= since:
            watch.looks.append((until, pod_counters.growth(watch.reading, reading)))
        watch.until, watch.reading = until, reading
        while watch.looks and watch.looks[0][0] <= until - _KEPT:
            watch.looks.popleft()

    async def _read_all(self, watch: _Watch, pods: Pods, revisions: tuple[str, ...]) -> dict[str, Process]:
        found = [(revision, pod) for revision in revisions for pod in await self._list(pods, revision)]
        read = await asyncio.gather(*(self._read(watch, pods, *one) for one in found), return_exceptions=True)
        for one in read:
            if isinstance(one, BaseException):
                raise one
        return dict(one for one in read if one is not None and not isinstance(one, BaseException))

    async def _list(self, pods: Pods, revision: str) -> list[Manifest]:
        labels = {DEPLOYMENT_LABEL: pods.deployment, REVISION_LABEL: revision, "component": "predictor"}
        running: list[Manifest] = []
        async for page in self._cluster.pages(POD, namespace=pods.namespace, labels=labels):
            running += [pod for pod in page if (pod.get("status") or {}).get("phase") == "Running"]
            if len(running) > MOST_PODS:
                raise AnswerUnusableError(
                    f"revision {revision} has more than {MOST_PODS} pods, too many to be read: {_PROMETHEUS}"
                )
        return running

    async def _read(
        self, watch: _Watch, pods: Pods, revision: str, pod: Manifest
    ) -> tuple[str, Process] | None:
        """Read one pod; None for one that answers nobody yet."""
        process, name = _process(pod), pod["metadata"]["name"]
        try:
            async with self._turn, asyncio.timeout(_POD_S):
                status, text = await self._cluster.read_pod(
                    pods.namespace, name, pods.port, LARGEST_BYTES, tls=_speaks_tls(pod)
                )
            if status != 200:
                raise UnreadableError(f"it answers {status}")
            # A long text would hold up everything else that the operator does.
            return process, Process(revision, await asyncio.to_thread(read_counters, text))
        except (UnreadableError, TimeoutError) as error:
            if process not in watch.reading and not _is_ready(pod):
                return None
            why = str(error) or f"it does not answer within {_POD_S:g} s"
            raise MetricsUnavailableError(
                f"what pod {name} counts cannot be read at port {pods.port}: {why}"
            ) from None


def _pods_of(question: Question) -> Pods:
    if question.pods is None and isinstance(question.metric, Rate) and question.metric.part:
        raise AnswerUnusableError(
            f"rates of templates are read from a Prometheus, and there is none: {_PROMETHEUS}"
        )
    if question.pods is None:
        raise AnswerUnusableError(
            "spec.rollout.analysis.source: a gateway's counters are read from a Prometheus, and there is none; write "
            f"source: Auto, or {_PROMETHEUS}"
        )
    return question.pods


def _is_to_be_read(watch: _Watch, question: Question, since: datetime, until: datetime) -> bool:
    if watch.until is None or until > watch.until:
        return True
    # Nobody asks about more looks at once: where none of so many was whole, the last of them goes on until one is.
    as_many_as_can_be = until - since >= MOST_LOOKS * timedelta(seconds=question.every_s)
    return as_many_as_can_be and until == watch.until and bool(watch.looks and watch.looks[-1][1].lost)


def _has_what_is_asked(watch: _Watch, question: Question, *, told: bool) -> None:
    """Say so where no pod has the counter: it would be waited for in vain."""
    counter = question.metric.counter
    known = {name for process in watch.reading.values() for name, _ in process.counters}
    if told and counter not in known:
        raise AnswerUnusableError(f"no pod of revision {' or '.join(question.revisions)} shows {counter} yet")


def _lost(lost: Mapping[str, int]) -> str:
    told = " and ".join(f"{count} of revision {revision}" for revision, count in sorted(lost.items()))
    return f"pods ended between two looks, {told}: what they counted last is not known, so that look is not judged"


def _process(pod: Manifest) -> str:
    """Give what is another when the server in a pod is another."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    serving = [one for one in statuses if one.get("name") == _CONTAINER] or statuses
    ids = " ".join(str(one.get("containerID", "")) for one in serving)
    return f"{pod['metadata']['uid']} {ids}"


def _is_ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _speaks_tls(pod: Manifest) -> bool:
    """Whether the server of a pod is told to."""
    containers = (pod.get("spec") or {}).get("containers") or []
    words = [
        str(word) for one in containers for word in (*(one.get("command") or ()), *(one.get("args") or ()))
    ]
    return any(word.startswith("--tls_cert") for word in words)
