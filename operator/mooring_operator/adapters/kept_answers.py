"""What the API server has said lately of what many deployments share, and others write: their runtimes and templates.

Each look at a deployment asks for them. An answer holds for a while, until the watch tells of the object, or the
operator writes it. Of a kind that no watch has told of nothing is kept.
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from mooring_operator.adapters.cluster import Manifest, Ref

LASTS_S = 10.0
"""How long an answer holds: a watch that has ended unseen delays by no more."""
_MOST_BYTES = 8 << 20
_LARGEST = 256 << 10
"""Bytes of an object: a larger one is not kept."""
_NONE = b""
_KINDS = frozenset({"ServingRuntime", "ClusterServingRuntime", "AnalysisTemplate", "ClusterAnalysisTemplate"})
"""What is watched whole, so that the watch tells of one that is new as well. What gives a right is not among them."""

_Key = tuple[str, str, str, str]


@dataclass(eq=False)
class Asked:
    """A read on its way; `outdated` when the object may have changed since it was sent."""

    key: _Key
    outdated: bool = False


@dataclass(frozen=True)
class Said:
    """An answer; `body` is empty where there is no such object."""

    body: bytes
    at: float

    @property
    def manifest(self) -> Manifest | None:
        """The object; None where there is none."""
        found: Manifest | None = json.loads(self.body) if self.body else None
        return found


class KeptAnswers:
    """The answers of the last seconds, up to so many bytes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watched: set[str] = set()
        self._asking: WeakSet[Asked] = WeakSet()
        self._said: OrderedDict[_Key, Said] = OrderedDict()
        self._size = 0

    def recall(self, ref: Ref) -> Said | None:
        """Give what was said of an object a moment ago; None where the API server has to be asked."""
        said = self._said.get(_key_of(ref))
        return said if said is not None and self._clock() - said.at <= LASTS_S else None

    def ask(self, ref: Ref) -> Asked:
        """A read of an object is about to be sent."""
        asked = Asked(_key_of(ref))
        self._asking.add(asked)
        return asked

    def answered(self, asked: Asked, found: Manifest | None) -> None:
        """The API server has answered; None: there is no such object."""
        if asked.outdated or asked.key[1] not in self._watched:
            return
        body = json.dumps(found, separators=(",", ":")).encode() if found is not None else _NONE
        self._drop(asked.key)
        if len(body) > _LARGEST:
            return
        now = self._clock()
        self._said[asked.key] = Said(body, now)
        self._size += len(body)
        while self._size > _MOST_BYTES or now - next(iter(self._said.values())).at > LASTS_S:
            self._drop(next(iter(self._said)))

    def told(self, manifest: Mapping[str, Any]) -> None:
        """The watch tells of an object: it is new, different, there, or gone."""
        if manifest["kind"] in _KINDS:
            self._watched.add(manifest["kind"])
            metadata = manifest["metadata"]
            namespace = metadata.get("namespace", "")
            self._change((manifest["apiVersion"], manifest["kind"], namespace, metadata["name"]))

    @contextmanager
    def changing(self, ref: Ref) -> Iterator[None]:
        """The operator writes an object meanwhile, whether or not that is answered."""
        self._change(_key_of(ref))
        try:
            yield
        finally:
            self._change(_key_of(ref))

    def forget_all(self) -> None:
        """Others have written until now: every object is asked for."""
        for asked in self._asking:
            asked.outdated = True
        self._said.clear()
        self._size = 0

    def _change(self, key: _Key) -> None:
        self._drop(key)
        for asked in self._asking:
            asked.outdated = asked.outdated or asked.key == key

    def _drop(self, key: _Key) -> None:
        said = self._said.pop(key, None)
        if said is not None:
            self._size -= len(said.body)


def _key_of(ref: Ref) -> _Key:
    return ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name
