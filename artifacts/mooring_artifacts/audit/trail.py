"""The trail in a store: one object for each record, created and never overwritten.

    ROOT/NAMESPACE/000000000001.json        a chain for each namespace
    ROOT/_cluster/000000000001.json         of what has no namespace

The place of a record is its number: of two writers that want the same one, the store lets one create it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import obstore
import obstore.exceptions

from mooring_artifacts.audit.records import Entry, Head, file_name, head_of, parse_record, seal, sequence_of
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.storage import Location, locate
from mooring_artifacts.store_errors import FAILURES, failed, store_failure

if TYPE_CHECKING:
    from obstore import ObjectMeta

CLUSTER = "_cluster"
"""The folder of what has no namespace; no namespace can be called so."""
_LOOKED_BACK = 32
_ATTEMPTS = 8
_FIRST_STRIDE = 1000
_READERS = 16


@dataclass
class _End:
    """Where a chain ends, and the ids of its last entries."""

    head: Head
    ids: list[str]


class Trail:
    """Appends to the chains below an address. One process appends to a chain at a time, as a rule."""

    def __init__(self, root: str) -> None:
        """Below `root`, an address such as `s3://bucket/audit`.

        Raises:
            InputError: it is no address, or its store cannot be configured.
        """
        self._location = locate(root, "audit root")
        self._ends: dict[str, _End] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def append(self, namespace: str, entries: Sequence[Entry]) -> Head:
        """Append what is not there yet; gives the last record. Appending the same entry again does nothing.

        Raises:
            StoreUnavailable: some are not appended; try again.
        """
        folder = namespace or CLUSTER
        async with self._locks.setdefault(folder, asyncio.Lock()):
            try:
                for entry in entries:
                    await self._append(folder, entry)
            except FAILURES as error:
                # What was written is not known: it is looked for before anything else is.
                self._ends.pop(folder, None)
                raise StoreUnavailable(f"{self._location}/{folder}: {store_failure(error)}") from error
            return self._ends[folder].head if folder in self._ends else Head()

    async def _append(self, folder: str, entry: Entry) -> None:
        for _ in range(_ATTEMPTS):
            end = self._ends.get(folder) or await self._find_end(folder)
            self._ends[folder] = end
            if entry.id in end.ids:
                return
            content, sequence = seal(entry, end.head), end.head.sequence + 1
            try:
                await obstore.put_async(
                    self._location.store, self._key(folder, file_name(sequence)), content, mode="create"
                )
            except obstore.exceptions.AlreadyExistsError:
                del self._ends[folder]
                continue
            self._ends[folder] = _End(head_of(sequence, content), [*end.ids, entry.id][-_LOOKED_BACK:])
            return
        raise OSError(f"others append at the same time, {_ATTEMPTS} times in a row")

    async def _find_end(self, folder: str) -> _End:
        last = await asyncio.to_thread(self._last_sequence, folder)
        first = max(1, last - _LOOKED_BACK + 1)
        head, ids = Head(), []
        for sequence in range(first, last + 1):
            key = self._key(folder, file_name(sequence))
            # What is no record is for `check_chain` to tell of: what is decided goes on to be recorded behind it.
            try:
                content = bytes(await (await obstore.get_async(self._location.store, key)).bytes_async())
            except FileNotFoundError:
                content = b""
            with suppress(InputError):
                ids.append(parse_record(content).id)
            head = head_of(sequence, content)
        return _End(head, ids)

    def _last_sequence(self, folder: str) -> int:
        """Find the greatest number in few requests: look ahead in strides, longer ones while there is more."""
        last = stride = 0
        while True:
            if found := self._sequence_after(folder, last + stride):
                last, stride = found, max(_FIRST_STRIDE, 2 * stride)
            elif stride:
                stride //= 4
            else:
                return last

    def _sequence_after(self, folder: str, sequence: int) -> int:
        """Give the greatest number of the first thousand files behind a number; 0 where there are none."""
        batches: Iterator[Sequence[ObjectMeta]] = iter(
            obstore.list(
                self._location.store,
                prefix=self._key(folder, ""),
                offset=self._key(folder, file_name(sequence)),
                chunk_size=_FIRST_STRIDE,
            )
        )
        if self._location.address.scheme != "file":
            # They come in order: what is behind the first thousand is looked at by the next stride.
            batches = islice(batches, 1)
        names = (meta["path"].rpartition("/")[2] for batch in batches for meta in batch)
        return max((sequence_of(name) or 0 for name in names), default=0)

    def _key(self, folder: str, name: str) -> str:
        return _key(self._location, folder, name)


def namespaces_of(root: str) -> list[str]:
    """Name the namespaces that have a chain below `root`, `_cluster` for what has none.

    Raises:
        InputError: it cannot be read.
        StoreUnavailable: its store does not answer.
    """
    location = locate(root, "audit root")
    if location.address.scheme == "file" and os.path.isfile(location.address.path):
        raise InputError(f"audit root {root!r} is a file; a trail is a folder")
    try:
        found = obstore.list_with_delimiter(location.store, prefix=_key(location, "", ""))
    except FAILURES as error:
        raise failed(f"audit root {root!r} cannot be read", error) from error
    return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"])


def read_chain(root: str, namespace: str) -> Iterator[tuple[int, bytes]]:
    """Give the number and the content of each record of a namespace's chain, ascending.

    Raises:
        InputError: it cannot be read.
        StoreUnavailable: its store does not answer.
    """
    location = locate(root, "audit root")
    folder = _key(location, namespace or CLUSTER, "")

    def read(sequence: int) -> tuple[int, bytes]:
        return sequence, bytes(obstore.get(location.store, folder + file_name(sequence)).bytes())

    try:
        listed = (meta["path"] for batch in obstore.list(location.store, prefix=folder) for meta in batch)
        sequences = sorted(n for path in listed if (n := sequence_of(path.rpartition("/")[2])))
        with ThreadPoolExecutor(_READERS) as readers:
            yield from readers.map(read, sequences)
    except FAILURES as error:
        raise failed(f"audit root {root!r} cannot be read", error) from error


def _key(location: Location, folder: str, name: str) -> str:
    return "/".join(part for part in (location.address.key.rstrip("/"), folder) if part) + f"/{name}"
