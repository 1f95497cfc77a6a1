"""Looks at the aliases that follow what is promoted, and moves them.

A registry that refuses is left in peace longer and longer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from mooring_artifacts.grants import Grants

from mooring_operator.adapters.registry import Aliases as Port
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.planning.addresses import refuse_alias
from mooring_operator.planning.rollout.actions import MoveAlias
from mooring_operator.planning.rollout.aliases import AliasSought, sought
from mooring_operator.planning.rollout.situation import AliasSeen

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0


@dataclass(frozen=True)
class _Trouble:
    about: AliasSought
    problem: str
    pause: float
    until: float
    is_told: bool = False


class Aliases:
    """The aliases of ModelDeployments, by `registry`; None: there is none. Without a grant none is touched."""

    def __init__(
        self,
        registry: Port | None = None,
        grants: Callable[[], Grants] = Grants,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._grants = grants
        self._clock = clock
        self._troubles: dict[tuple[str, str], _Trouble] = {}

    async def look(
        self, namespace: str, name: str, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
    ) -> AliasSeen | None:
        """Say where the alias points that is to be moved; None where none is."""
        wanted = sought(spec, status)
        if wanted is None:
            self.forget(namespace, name)
            return None
        known = self._troubles.get((namespace, name))
        if known is not None and known.about == wanted and self._clock() < known.until:
            return self._told(namespace, name, known)
        refusal = refuse_alias(wanted.name, wanted.alias, namespace, self._grants())
        if refusal is not None or self._registry is None:
            return self._trouble(namespace, name, wanted, refusal or "the operator has no registry")
        try:
            version = await self._registry.version_at(wanted.name, wanted.alias)
        except (ModelNotFound, RegistryUnavailable) as error:
            return self._trouble(namespace, name, wanted, str(error))
        return AliasSeen(None if version is None else f"{wanted.name}/{version}")

    async def move(self, namespace: str, name: str, action: MoveAlias) -> None:
        """Move it; what is in the way is told by the next look."""
        if self._registry is None:
            return
        try:
            await self._registry.move(action.name, action.alias, action.version)
        except (ModelNotFound, RegistryUnavailable) as error:
            about = AliasSought(action.alias, f"{action.name}/{action.version}")
            self._note(namespace, name, about, str(error))

    def forget(self, namespace: str, name: str) -> None:
        """Forget what was in the way of a deployment's alias."""
        self._troubles.pop((namespace, name), None)

    def _trouble(self, namespace: str, name: str, about: AliasSought, problem: str) -> AliasSeen:
        return self._told(namespace, name, self._note(namespace, name, about, problem))

    def _note(self, namespace: str, name: str, about: AliasSought, problem: str) -> _Trouble:
        known = self._troubles.get((namespace, name))
        again = known is not None and known.about == about
        pause = min(2 * known.pause, _LONGEST_PAUSE_S) if known is not None and again else _FIRST_PAUSE_S
        told = known is not None and again and known.is_told and known.problem == problem
        trouble = _Trouble(about, problem, pause, self._clock() + pause, told)
        self._troubles[namespace, name] = trouble
        return trouble

    def _told(self, namespace: str, name: str, trouble: _Trouble) -> AliasSeen:
        self._troubles[namespace, name] = replace(trouble, is_told=True)
        left = max(trouble.until - self._clock(), 0.0)
        return AliasSeen(problem=trouble.problem, is_news=not trouble.is_told, retry_in=left)
