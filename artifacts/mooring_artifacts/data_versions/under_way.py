"""Pushes and prunes that are under way, as notes in the store, so that neither takes from the other.

Each writes a note of its own before it looks for those of the other kind. So of a push and a prune at once at least
one sees the other: a push waits until the prune is over before it asks which files are there, and a prune spares what
the push is about to name. How old a note is goes by the store's clock alone: notes are compared with each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from mooring_artifacts.data_versions.documents import LARGEST_MANIFEST, Manifest, parse_manifest
from mooring_artifacts.data_versions.objects import Objects
from mooring_artifacts.errors import StoreUnavailable

PUSHES, PRUNES = "pushes", "prunes"
# A note that is older is that of a process that was killed.
PUSH_COUNTS = timedelta(days=1)
PRUNE_COUNTS = timedelta(minutes=5)
_RENEWED_AFTER = 0.2
_LOOKED_EVERY_SECONDS = 0.1
Told = Callable[[str], object]


@dataclass
class Note:
    """What says that something is under way; renewed as it goes on."""

    objects: Objects
    key: str
    content: bytes
    counts: timedelta
    _written: float = 0.0

    def write(self) -> datetime:
        """Write it; when, by the store's clock."""
        began = time.monotonic()
        self.objects.write(self.key, self.content)
        self._written = began
        return self.objects.written(self.key)

    def renew(self) -> None:
        """Write it again where it gets old.

        Raises:
            StoreUnavailable: it was too old already, so that the others do not go by it any more.
        """
        age = time.monotonic() - self._written
        if age > self.counts.total_seconds() * (1 - _RENEWED_AFTER):
            raise StoreUnavailable(
                f"{self.objects.address}: this took too long between two steps: do it again"
            )
        if age > self.counts.total_seconds() * _RENEWED_AFTER:
            began = time.monotonic()
            self.objects.write(self.key, self.content)
            self._written = began


@contextmanager
def pushing(objects: Objects, manifest: Manifest, tell: Told = lambda _: None) -> Iterator[Note]:
    """Say in the store that this is about to be a version, and wait until no prune is under way.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    name = f"{manifest.version.removeprefix('sha256:')}-{uuid4().hex}.json"
    with _noted(Note(objects, objects.key(PUSHES, name), manifest.to_json(), PUSH_COUNTS)) as (note, written):
        while any(each.written > written - PRUNE_COUNTS for each in objects.listed(PRUNES)):
            tell("waiting for a prune of the store")
            time.sleep(_LOOKED_EVERY_SECONDS)
            written = note.write()
        yield note


@contextmanager
def pruning(objects: Objects) -> Iterator[tuple[Note, list[Manifest]]]:
    """Say in the store that files are about to be deleted, and give what pushes under way are about to name.

    Notes of pushes that were killed are removed.

    Raises:
        InputError: a note is damaged.
        StoreUnavailable: the store does not answer.
    """
    with _noted(Note(objects, objects.key(PRUNES, f"{uuid4().hex}.json"), b"{}\n", PRUNE_COUNTS)) as (
        note,
        now,
    ):
        dead = [(PUSHES, each.name) for each in objects.listed(PUSHES) if each.written <= now - PUSH_COUNTS]
        dead += [(PRUNES, each.name) for each in objects.listed(PRUNES) if each.written <= now - PRUNE_COUNTS]
        objects.delete([objects.key(*each) for each in dead])
        yield note, pushes_under_way(objects)


def pushes_under_way(objects: Objects) -> list[Manifest]:
    """What pushes are about to name, by their notes.

    Raises:
        InputError: a note is damaged.
        StoreUnavailable: the store does not answer.
    """
    found = []
    for each in objects.listed(PUSHES):
        key = objects.key(PUSHES, each.name)
        # One that is gone by now has its record.
        if (content := objects.read(key, LARGEST_MANIFEST)) is not None:
            version = f"sha256:{each.name.partition('-')[0]}"
            found.append(parse_manifest(content, version, objects.named(key)))
    return found


@contextmanager
def _noted(note: Note) -> Iterator[tuple[Note, datetime]]:
    try:
        yield note, note.write()
    finally:
        note.objects.delete([note.key])
