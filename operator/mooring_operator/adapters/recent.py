"""What the watch has told of objects lately: a read that it answers as well as the API server is not sent there.

An answer is never older than what this operator has read or written of the object itself since it leads, so it is what
the API server would have said to one that was a little slower. What may be known less well than that is asked for: an
object that the watch has not told of, or not lately; one that is gone, or that the operator is writing; one that
another replica may have written; another one of the same name.
"""

import json
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from mooring_operator.adapters.cluster import Manifest, Ref
from mooring_operator.adapters.kept_answers import KeptAnswers
from mooring_operator.adapters.watch_streams import WatchStream

LASTS_S = 10.0
"""How long what was told holds, or that the watch is known to have told everything: one that has ended unseen delays by
no more. Less than a lease lasts: a leader that was frozen until another leads recalls nothing of before."""
LONGEST_S = 60.0
"""How long what was told holds at most, whatever the watch has told since: of what vanished while it was broken, it
tells nothing where nothing is left to list."""
MOST_BYTES = 16 << 20
_ROOM = 64
"""How many of the largest objects there is room for: a larger one is not kept."""
_KINDS = frozenset({"ModelDeployment", "InferenceService"})
"""What decides who gets requests now, as routes and Services do, is not among them."""
_STATUS_FIRST = "ModelDeployment"
"""Whatever is done for a new one, its status is written first, and by the version that was read."""
_NEW: Manifest = {"observedGeneration": -1}
"""The status that the API server gives it."""

_Key = tuple[str, str, str, str]


@dataclass
class _Known:
    """What is known of one object; `used_at` is when it was told or answered with last."""

    uid: str
    used_at: float
    answered: int | None = None
    """The version that the API server has answered with."""
    version: int = -1
    """The version that the watch has told."""
    body: bytes = b""
    told_at: float = 0.0


class RecentObjects:
    """The objects that the watch has told of lately, up to so many bytes.

    by_namespace: each namespace has a watch of its own.
    """

    def __init__(
        self,
        *,
        most_bytes: int = MOST_BYTES,
        by_namespace: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_bytes = most_bytes
        self._by_namespace = by_namespace
        self._clock = clock
        self._streams: defaultdict[_Key, WatchStream] = defaultdict(lambda: WatchStream(LASTS_S))
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._size = 0
        self.answers = KeptAnswers(clock)

    def recall(self, ref: Ref) -> Manifest | None:
        """Give an object as the watch has told of it; None where the API server has to be asked."""
        key = _key_of(ref)
        known = self._known.get(key)
        if known is None or not known.body or not self._holds(known, self._stream(key)):
            return None
        if known.answered is not None and known.version < known.answered:
            return None
        found: Manifest = json.loads(known.body)
        return found if known.answered is not None or _is_untouched(found) else None

    def _holds(self, known: _Known, stream: WatchStream) -> bool:
        """Whether it was told a moment ago, or nothing else was told by a watch that tells everything."""
        now = self._clock()
        if now - known.told_at <= LASTS_S:
            return True
        # One that was there when a list was made may have vanished while the watch was broken before the next.
        in_order = known.told_at > stream.listed_at and now - known.told_at <= LONGEST_S
        return in_order and now - stream.current_at(now) <= LASTS_S

    def _stream(self, key: _Key) -> WatchStream:
        api_version, kind, namespace, _ = key
        return self._streams[api_version, kind, namespace if self._by_namespace else "", ""]

    def told(self, manifest: Manifest, *, listed: bool = False) -> None:
        """The watch tells of an object that is new, or different, or there.

        listed: it is of the list by which a watch begins, or begins anew.
        """
        self.answers.told(manifest)
        version = _version(manifest["kind"], manifest)
        if version is None:
            return
        key, uid, now = _key(manifest), manifest["metadata"]["uid"], self._clock()
        stream = self._stream(key)
        if listed:
            stream.listed_at = now
        else:
            stream.told(version, now)
        known = self._known.get(key) or _Known(uid, now)
        if known.uid != uid:
            # Which of the two is there now, this does not say.
            self._drop(key)
        elif version > known.version:
            self._drop(key)
            known.version, known.told_at = version, now
            known.body = json.dumps(manifest, separators=(",", ":")).encode()
            if len(known.body) <= self._most_bytes // _ROOM:
                self._keep(key, known)

    def gone(self, manifest: Manifest) -> None:
        """The watch tells that an object is gone, or is none of those any more that are watched."""
        self.answers.told(manifest)
        if manifest["kind"] in _KINDS:
            self._drop(_key(manifest))

    def answered(self, ref: Ref, manifest: Manifest, *, sent_at: float | None = None) -> None:
        """The API server has answered with an object: nothing older holds any more.

        sent_at: where this version was made by the request, when that was sent.
        """
        version = _version(ref.kind.kind, manifest)
        if version is None:
            return
        key, uid = _key_of(ref), manifest["metadata"]["uid"]
        if sent_at is not None:
            self._stream(key).wrote(version, sent_at)
        known = self._known.get(key)
        if known is None or known.uid != uid:
            known = _Known(uid, self._clock())
        self._drop(key)
        known.answered = max(version, known.answered or 0)
        self._keep(key, known)

    def forget(self, ref: Ref) -> float:
        """An object is not there, or about to be written: it is asked for, until the API server has answered.

        Returns:
            When that was.
        """
        self._drop(_key_of(ref))
        return self._clock()

    def forget_all(self) -> None:
        """Others have written until now: every object is asked for."""
        self.answers.forget_all()
        self._known.clear()
        self._streams.clear()
        self._size = 0

    def _keep(self, key: _Key, known: _Known) -> None:
        known.used_at = self._clock()
        self._known[key] = known
        self._size += len(known.body)
        while self._size > self._most_bytes or known.used_at - self._oldest().used_at > LONGEST_S:
            self._drop(next(iter(self._known)))

    def _oldest(self) -> _Known:
        return next(iter(self._known.values()))

    def _drop(self, key: _Key) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._size -= len(known.body)


def _key_of(ref: Ref) -> _Key:
    return ref.kind.api_version, ref.kind.kind, ref.namespace, ref.name


def _key(manifest: Manifest) -> _Key:
    metadata = manifest["metadata"]
    return manifest["apiVersion"], manifest["kind"], metadata.get("namespace", ""), metadata["name"]


def _is_untouched(found: Manifest) -> bool:
    return bool(found["kind"] == _STATUS_FIRST and found.get("status", _NEW) == _NEW)


def _version(kind: str, manifest: Manifest) -> int | None:
    """Give the version of an object of which one is kept; a greater one is later.

    Source: Kubernetes API concepts, "Resource versions".
    """
    if kind not in _KINDS:
        return None
    text = manifest["metadata"].get("resourceVersion", "")
    return int(text) if text.isascii() and text.isdecimal() else None
