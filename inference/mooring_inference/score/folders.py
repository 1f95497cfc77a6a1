"""Folders of files, local or in an object store, by path or URI.

Credentials, regions and endpoints come from the environment (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``).
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import obstore
import obstore.exceptions
import obstore.store
import pyarrow as pa
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.storage import open_store
from mooring_artifacts.uris import Address, parse

from mooring_inference.score.errors import ScoreError, UsageError

_TEMPORARY = "_temporary"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a folder.

    Attributes:
        path: relative to the folder, with slashes.
        size: bytes.
        tag: changes whenever the content does: the store's ETag, else size and time of the last change.
    """

    path: str
    size: int
    tag: str


class _RemoteFile(io.RawIOBase):
    """An object in a store as Python's kind of file, which is the kind that Arrow takes."""

    def __init__(self, reader: Any) -> None:
        super().__init__()
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        try:
            return bytes(self._reader.read() if size is None or size < 0 else self._reader.read(size))
        except obstore.exceptions.BaseError as exc:
            raise OSError(first_line(exc)) from None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


class Folder:
    """Where files are read from and written to."""

    def __init__(self, name: str, store: Any, prefix: str = "", local: Path | None = None) -> None:
        """A folder.

        Args:
            name: what messages call it.
            store: the obstore store that holds it.
            prefix: keys of the folder's files begin so; empty, or with a slash at its end.
            local: the same folder in the file system, if it is there.
        """
        self.name = name
        self.local = local
        self._store = store
        self._prefix = prefix

    def list(self) -> list[StoredFile]:
        """Return all files below, sorted by path.

        Raises:
            ScoreError: the folder cannot be read.
        """
        try:
            found = [meta for page in obstore.list(self._store, prefix=self._prefix or None) for meta in page]
        except (obstore.exceptions.BaseError, OSError) as exc:
            raise ScoreError(f"{self.name} cannot be read: {first_line(exc)}") from None
        files = [self._stored(meta) for meta in found]
        # Object stores show an empty folder as an object of no bytes whose name ends with a slash.
        return sorted((file for file in files if file.path), key=lambda file: file.path)

    def find(self, path: str) -> StoredFile | None:
        """Return one file, or None if there is none.

        Raises:
            ScoreError: the folder cannot be read.
        """
        try:
            return self._stored(obstore.head(self._store, self._prefix + path))
        except FileNotFoundError:
            return None
        except (obstore.exceptions.BaseError, OSError) as exc:
            raise ScoreError(f"{self.name}/{path} cannot be read: {first_line(exc)}") from None

    def open(self, path: str) -> pa.NativeFile:
        """Return a file for reading at any position; FileNotFoundError if there is none."""
        if self.local is not None:
            return pa.OSFile(str(self.local / path), "rb")
        try:
            remote = obstore.open_reader(self._store, self._prefix + path)
        except (FileNotFoundError, obstore.exceptions.NotFoundError):
            raise FileNotFoundError(f"{self.name}/{path}") from None
        except obstore.exceptions.BaseError as exc:
            raise ScoreError(f"{self.name}/{path} cannot be read: {first_line(exc)}") from None
        return pa.PythonFile(_RemoteFile(remote), mode="r")

    def read(self, path: str) -> bytes | None:
        """Return the content of a small file, or None if there is none."""
        try:
            return bytes(obstore.get(self._store, self._prefix + path).bytes())
        except FileNotFoundError:
            return None
        except (obstore.exceptions.BaseError, OSError) as exc:
            raise ScoreError(f"{self.name}/{path} cannot be read: {first_line(exc)}") from None

    def write(self, path: str, content: bytes) -> None:
        """Create or replace a small file at once."""
        try:
            obstore.put(self._store, self._prefix + path, content)
        except (obstore.exceptions.BaseError, OSError) as exc:
            raise ScoreError(f"{self.name}/{path} cannot be written: {first_line(exc)}") from None

    def publish(self, finished: Path, path: str) -> None:
        """Move a finished local file to ``path``: all of it becomes visible at once, or nothing."""
        try:
            if self.local is None:
                obstore.put(self._store, self._prefix + path, finished)
                finished.unlink()
            else:
                target = self.local / path
                target.parent.mkdir(parents=True, exist_ok=True)
                _flush_to_disk(finished)
                finished.replace(target)
        except (obstore.exceptions.BaseError, OSError) as exc:
            raise ScoreError(f"{self.name}/{path} cannot be written: {first_line(exc)}") from None

    def delete(self, path: str) -> None:
        """Delete a file; nothing happens if there is none."""
        try:
            obstore.delete(self._store, self._prefix + path)
        except FileNotFoundError:
            return
        except (obstore.exceptions.BaseError, OSError) as exc:
            raise ScoreError(f"{self.name}/{path} cannot be deleted: {first_line(exc)}") from None

    def make_workspace(self, owner: str) -> Path:
        """Return an empty folder for unfinished files; what an earlier run of the same owner left is removed."""
        if self.local is None:
            return Path(tempfile.mkdtemp(prefix="mooring-score-"))
        # On the same file system as the target, where a rename is atomic.
        workspace = self.local / _TEMPORARY / owner
        shutil.rmtree(workspace, ignore_errors=True)
        try:
            workspace.mkdir(parents=True)
        except OSError as exc:
            raise ScoreError(f"{self.name} cannot be written: {exc.strerror}") from None
        return workspace

    def remove_workspace(self, workspace: Path) -> None:
        """Remove what ``make_workspace`` made."""
        shutil.rmtree(workspace, ignore_errors=True)
        if self.local is not None:
            try:
                workspace.parent.rmdir()
            except OSError:
                return  # another shard works there

    def _stored(self, meta: Any) -> StoredFile:
        tag = meta["e_tag"] or f"{meta['size']}-{meta['last_modified'].isoformat()}"
        return StoredFile(str(meta["path"]).removeprefix(self._prefix), int(meta["size"]), str(tag))


def open_input(address: str) -> tuple[Folder, list[StoredFile]]:
    """Return the files at a path or URI: a folder's, or the one file that it names.

    Raises:
        UsageError: the address is not one that can be read.
        ScoreError: there is nothing, or it cannot be read.
    """
    folder, file = _find_input(address)
    files = folder.list() if file is None else [file]
    if not files:
        raise ScoreError(f"input {address} does not exist, or holds no files")
    return folder, files


def open_folder(address: str) -> Folder:
    """Return the folder that ``open_input`` returns, without its files."""
    return _find_input(address)[0]


def _find_input(address: str) -> tuple[Folder, StoredFile | None]:
    """Return the folder at an address, or the one that holds the file which it names, with that file."""
    place = _place(address)
    if isinstance(place, Address):
        store, key = _remote_store(place), place.key
        if key:
            enclosing = Folder(address, store, key.removesuffix(place.name))
            if (file := enclosing.find(place.name)) is not None:
                return enclosing, file
        return Folder(address, store, f"{key}/" if key else ""), None
    if place.is_file():
        folder = local_folder(place.parent)
        return folder, folder.find(place.name)
    if not place.is_dir():
        raise ScoreError(f"input {address} does not exist")
    return local_folder(place), None


def open_output(address: str) -> Folder:
    """Return the folder at a path or URI, which is made where it is missing.

    Raises:
        UsageError: the address is not one that can be written to.
        ScoreError: it cannot be made.
    """
    place = _place(address)
    if isinstance(place, Address):
        return Folder(address, _remote_store(place), f"{place.key}/" if place.key else "")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise ScoreError(f"output {address} cannot be made: {exc.strerror}") from None
    return local_folder(place)


def refuse_nesting(source: str, target: str) -> None:
    """Make sure that results do not go among the input files.

    Raises:
        UsageError: they would.
    """
    match _place(source), _place(target):
        case (Path() as outer, Path() as inner):
            nested = inner.resolve().is_relative_to(outer.resolve())
        case (Address() as outer, Address() as inner):
            nested = f"{str(inner).rstrip('/')}/".startswith(f"{str(outer).rstrip('/')}/")
        case _:
            nested = False
    if nested:
        raise UsageError(f"output {target} lies inside input {source}")


def local_folder(path: Path) -> Folder:
    """Return a folder of the file system."""
    return Folder(str(path), obstore.store.LocalStore(prefix=path.resolve(), mkdir=False), "", path)


def _place(address: str) -> Path | Address:
    """Return the path of a plain path or a ``file://`` URI, or the place in an object store."""
    if "://" not in address:
        return Path(address)
    try:
        place = parse(address, whole_bucket=True)
    except InputError as exc:
        raise UsageError(str(exc)) from None
    return place.path if place.scheme == "file" else place


def _remote_store(address: Address) -> Any:
    try:
        return open_store(address)
    except InputError as exc:
        raise ScoreError(str(exc)) from None


def _flush_to_disk(path: Path) -> None:
    # A rename can survive a power failure that the data did not.
    with path.open("rb") as file:
        os.fsync(file.fileno())
