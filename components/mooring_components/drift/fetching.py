"""Fetches files of a store, some at the same time: it takes milliseconds to answer, and there are many small ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from mooring_artifacts.local_files import StoredFile

from mooring_components.parquet import FoundFiles

AT_ONCE = 32

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


def fetch_each(
    found: FoundFiles,
    files: Sequence[StoredFile],
    fetch: Callable[[FoundFiles, StoredFile], bytearray] = FoundFiles.fetch,
) -> Iterator[bytearray]:
    """Yield what files hold, in their order; those behind the first that fails are not asked for any more.

    Raises:
        InputError: one cannot be read; what was fetched before it was yielded.
    """
    yield from ask_at_once(
        files, lambda file: fetch(found, file), local=is_local(found.location.address.scheme)
    )


def is_local(scheme: str) -> bool:
    """Whether addresses of this scheme are files here, which wait for nobody."""
    return scheme == "file"


def ask_at_once(items: Iterable[_Item], ask: Callable[[_Item], _Found], *, local: bool) -> Iterator[_Found]:
    """Yield what `ask` gives for each item, in their order, `AT_ONCE` of them at the same time unless `local`."""
    if local:
        yield from map(ask, items)
        return
    left = iter(items)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while together := list(islice(left, AT_ONCE)):
            yield from pool.map(ask, together)
