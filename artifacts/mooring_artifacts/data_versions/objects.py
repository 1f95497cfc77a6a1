"""The objects of a store of datasets: small ones read, created once, listed and deleted by their keys.

Conditional writes are S3's `If-None-Match`, Google's and Azure's likes of it, and a hard link in a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import obstore
import obstore.exceptions

from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import open_store
from mooring_artifacts.store_errors import FAILURES, failed, store_failure
from mooring_artifacts.uris import Address

# A store that is not there is said within seconds, not minutes.
_RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}
# What one request deletes on S3.
_DELETED_AT_ONCE = 1000
_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Found:
    """An object of a listing: its name there, its size in bytes, when it was written by the store's clock."""

    name: str
    size: int
    written: datetime


@dataclass
class Objects:
    """What lies at an address and below it. Keys are below the address; errors name them whole.

    All methods raise StoreUnavailable where the store does not answer, and InputError where it refuses.
    """

    address: Address
    store: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.store = open_store(self.address, "STORE", _RETRIES)

    def key(self, *segments: str) -> str:
        """The whole key of what these segments lead to."""
        return "/".join([*([self.address.key] if self.address.key else []), *segments])

    def named(self, key: str) -> str:
        """What messages call an object."""
        return repr(str(Address(self.address.scheme, self.address.bucket, key)))

    def listed(self, *segments: str) -> Iterator[Found]:
        """All objects below a folder, in no order."""
        prefix = self.key(*segments)
        batches = iter(self.ask(lambda: obstore.list(self.store, prefix=prefix)))
        while batch := self.ask(lambda: next(batches, None)):
            for meta in batch:
                name = meta["path"].removeprefix(f"{prefix}/")
                yield Found(name, meta["size"], meta["last_modified"])

    def folders(self, *segments: str) -> list[str]:
        """The names of the folders right below one, in order."""
        prefix = self.key(*segments)
        found = self.ask(lambda: obstore.list_with_delimiter(self.store, prefix=prefix))
        return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

    def create(self, key: str, content: bytes, most: int) -> bool:
        """Write what is not there yet; whether it is ours that is there now. `most` bytes of another's are read.

        Raises:
            InputError: the store cannot create what is not there.
        """
        try:
            obstore.put(self.store, key, content, mode="create")
        except NotImplementedError as error:
            raise InputError(
                f"{self.address} cannot create a file only where there is none, which keeps two writers apart: "
                f"{store_failure(error)}"
            ) from error
        except FAILURES as error:
            # The loser of a race may see its connection closed, and the winner its answer lost.
            found = self.read(key, most)
            if found is None:
                raise failed(self.named(key), error) from error
            return found == content
        return True

    def write(self, key: str, content: Any) -> None:
        """Write an object, whatever was there: bytes, or chunks of them."""
        self.ask(lambda: obstore.put(self.store, key, content))

    def read(self, key: str, most: int) -> bytes | None:
        """The content of an object; None where there is none.

        Raises:
            InputError: it has more than `most` bytes.
        """

        def read() -> bytes:
            found = obstore.get(self.store, key)
            if (size := found.meta["size"]) > most:
                raise InputError(f"{self.named(key)} has {size} bytes; {most} are allowed")
            return bytes(found.bytes())

        try:
            return self.ask(read)
        except FileNotFoundError:
            return None

    def size(self, key: str) -> int | None:
        """The bytes of an object; None where there is none."""
        try:
            size: int = self.ask(lambda: obstore.head(self.store, key))["size"]
        except FileNotFoundError:
            return None
        return size

    def written(self, key: str) -> datetime:
        """When an object was written, by the store's clock.

        Raises:
            FileNotFoundError: there is none.
        """
        when: datetime = self.ask(lambda: obstore.head(self.store, key))["last_modified"]
        return when

    def delete(self, keys: Iterable[str], between: Callable[[], None] = lambda: None) -> None:
        """Delete objects; one that is gone already is none. `between` is called behind every thousand."""
        wanted = list(keys)
        for first in range(0, len(wanted), _DELETED_AT_ONCE):
            some = wanted[first : first + _DELETED_AT_ONCE]
            try:
                self.ask(lambda some=some: obstore.delete(self.store, some))  # type: ignore[misc]
            except FileNotFoundError:
                self._delete_each(some)
            between()

    def _delete_each(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                self.ask(lambda key=key: obstore.delete(self.store, key))  # type: ignore[misc]
            except FileNotFoundError:
                continue

    def ask(self, request: Callable[[], _Answer]) -> _Answer:
        """What a request answers; FileNotFoundError is raised as it is."""
        try:
            return request()
        except FileNotFoundError:
            raise
        except FAILURES as error:
            raise failed(str(self.address), error) from error
