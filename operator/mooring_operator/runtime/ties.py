"""Which ModelDeployments wait for others: for what these have promoted, or for their turn."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.cluster import Manifest
from mooring_operator.api.names import EVIDENCE_FOR
from mooring_operator.api.rollout import MOST_CONCURRENT
from mooring_operator.planning.objects.owner import part
from mooring_operator.planning.rollout.neighbours import Turn, promoted_digest, turn_of
from mooring_operator.runtime.workqueue import Key


class Ties:
    """Says whom a change of one deployment may let go on: its status is our own writing, and wakes nobody else."""

    def __init__(self) -> None:
        self._requires: dict[Key, frozenset[Key]] = {}
        self._required_by: defaultdict[Key, set[Key]] = defaultdict(set)
        self._shown: dict[Key, tuple[str, str]] = {}
        self._turns: defaultdict[str, dict[Key, Turn]] = defaultdict(dict)

    def note(self, key: Key, resource: Manifest) -> set[Key]:
        """Remember what a deployment is like; give the keys of those that may go on by it."""
        self._require(key, _required(key, resource))
        annotations = resource["metadata"].get("annotations") or {}
        shown = (promoted_digest(resource), str(annotations.get(EVIDENCE_FOR, "")))
        woken = set(self._required_by.get(key, ())) if self._shown.get(key) != shown else set()
        self._shown[key] = shown
        return woken | self._take(key, turn_of(resource))

    def forget(self, key: Key) -> set[Key]:
        """Remember a deployment no more; give the keys of those that may go on without it."""
        self._require(key, frozenset())
        self._shown.pop(key, None)
        return self._take(key, None)

    def _require(self, key: Key, required: frozenset[Key]) -> None:
        before = self._requires.get(key, frozenset())
        for gone in before - required:
            self._required_by[gone].discard(key)
            if not self._required_by[gone]:
                del self._required_by[gone]
        for new in required - before:
            self._required_by[new].add(key)
        if required:
            self._requires[key] = required
        else:
            self._requires.pop(key, None)

    def _take(self, key: Key, turn: Turn | None) -> set[Key]:
        turns = self._turns[key.namespace]
        before = turns.pop(key, None)
        if turn is not None:
            turns[key] = turn
        freed = before is not None and turn is None
        woken = _first(turns) if freed else set()
        if not turns:
            del self._turns[key.namespace]
        return woken


def _first(turns: Mapping[Key, Turn]) -> set[Key]:
    """Give those that have waited longest: whoever has as many before it as any may have waits on."""
    waiting = [(turn.queued, turn.name, key) for key, turn in turns.items() if not turn.rolls]
    return {key for *_, key in sorted(waiting)[:MOST_CONCURRENT]}


def _required(key: Key, resource: Mapping[str, Any]) -> frozenset[Key]:
    """Give whom a deployment requires; what is of another form is for its reconciler to judge."""
    named = part(part(resource, "spec"), "rollout").get("requires")
    return frozenset(
        Key(key.kind, str(one.get("namespace") or key.namespace), str(one.get("name")))
        for one in (named if isinstance(named, list) else ())
        if isinstance(one, Mapping)
    )
