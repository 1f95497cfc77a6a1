"""All processes of one InferenceService: what should run is compared with what does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.serving.backend import Backend
from cluster.serving.predictors import Deployment
from cluster.serving.status import Failure, Observation


class ReplicaLike(Protocol):
    """What a fleet needs of a replica."""

    deployment: Deployment
    backend: Backend | None
    failure: Failure | None
    pid: int | None
    restarts: int
    name: str
    address: str | None

    @property
    def ready(self) -> bool:
        """Whether requests may be sent to it."""
        ...

    def stop(self) -> Coroutine[Any, Any, None]:
        """Drain and end it."""
        ...


Start = Callable[[Deployment], ReplicaLike]


@dataclass
class _Rollout:
    """Replicas of one deployment: those of the wanted content, and those of contents before."""

    wanted: Deployment
    generation: int = 1
    current: list[ReplicaLike] = field(default_factory=list)
    outdated: list[ReplicaLike] = field(default_factory=list)

    def endpoints(self) -> list[ReplicaLike]:
        return [r for r in self.current if r.ready] or [r for r in self.outdated if r.ready]


class Fleet:
    """Starts and ends replicas; a replica's identity is its deployment's name and its content's digest."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._rollouts: dict[str, _Rollout] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def apply(self, wanted: Iterable[Deployment], *, keep: Collection[str] = ()) -> None:
        """Run what is wanted; end everything else but the deployments in ``keep``, which stay as they are."""
        deployments = {deployment.name: deployment for deployment in wanted}
        for name, deployment in deployments.items():
            self._roll(self._rollouts.setdefault(name, _Rollout(deployment)), deployment)
        for name in self._rollouts.keys() - deployments.keys() - set(keep):
            rollout = self._rollouts.pop(name)
            self._end([*rollout.current, *rollout.outdated])

    def end(self, names: Collection[str]) -> None:
        """End the replicas of these names, whatever is wanted; what is then missing starts with the next `apply`."""
        for rollout in self._rollouts.values():
            for replicas in (rollout.current, rollout.outdated):
                gone = [replica for replica in replicas if replica.name in names]
                replicas[:] = [replica for replica in replicas if replica.name not in names]
                self._end(gone)

    def endpoints(self, name: str) -> list[ReplicaLike]:
        """Ready replicas of a deployment; those before its last change while none after it is ready."""
        rollout = self._rollouts.get(name)
        return rollout.endpoints() if rollout else []

    def replicas(self, name: str) -> list[ReplicaLike]:
        """All replicas of a deployment."""
        rollout = self._rollouts.get(name)
        return [*rollout.current, *rollout.outdated] if rollout else []

    def names(self) -> list[str]:
        """The deployments that have replicas or should have."""
        return list(self._rollouts)

    def observe(self, name: str) -> Observation:
        """What is known about a deployment."""
        rollout = self._rollouts[name]
        ready = sum(replica.ready for replica in rollout.current)
        failure = next((replica.failure for replica in rollout.current if replica.failure), None)
        return Observation(
            name=name,
            generation=rollout.generation,
            ready=ready,
            available=bool(rollout.endpoints()),
            failure=None if ready else failure,
            idle=rollout.wanted.replicas == 0,
        )

    async def stop(self) -> None:
        """End everything and wait for it."""
        self.apply([])
        await self.settled()

    async def settled(self) -> None:
        """Wait for the replicas that are ending."""
        while self._ending:
            await asyncio.gather(*self._ending, return_exceptions=True)

    def _roll(self, rollout: _Rollout, wanted: Deployment) -> None:
        if wanted.digest != rollout.wanted.digest:
            self._replace_content(rollout, wanted)
        elif wanted.replicas != rollout.wanted.replicas:
            rollout.generation += 1
        rollout.wanted = wanted
        while len(rollout.current) < wanted.replicas:
            rollout.current.append(self._start(wanted))
        if surplus := rollout.current[wanted.replicas :]:
            del rollout.current[wanted.replicas :]
            self._end(surplus)
        if all(replica.ready for replica in rollout.current):
            self._end(rollout.outdated)
            rollout.outdated = []

    def _replace_content(self, rollout: _Rollout, wanted: Deployment) -> None:
        rollout.generation += 1
        before = [*rollout.current, *rollout.outdated]
        # Back to a content that still runs: its replicas are current again.
        rollout.current = [replica for replica in before if replica.deployment.digest == wanted.digest]
        others = [replica for replica in before if replica.deployment.digest != wanted.digest]
        rollout.outdated = [replica for replica in others if replica.ready]
        self._end(replica for replica in others if not replica.ready)

    def _end(self, replicas: Iterable[ReplicaLike]) -> None:
        for replica in replicas:
            task = asyncio.ensure_future(replica.stop())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
