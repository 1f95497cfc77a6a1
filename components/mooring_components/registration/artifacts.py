"""Files that MLflow's tracking server hands out itself: a listing, and one download for each.

Source: MLflow REST API 2.0, ``mlflow-artifacts/artifacts``.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2 as httpx
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.local_files import MOST_FILES
from mooring_artifacts.staging import path_of_proxied
from mooring_artifacts.uris import LONGEST, find_fault

from mooring_components.registration.client import PASSWORD, TOKEN, USER, RegistryRefused, check_url

_LARGEST_LISTING = 4 << 20
_TRIES = 5
_FIRST_PAUSE_S = 0.5
_OF_CREDENTIALS = (401, 403)
_TRANSIENT = (408, 429)
_Got = TypeVar("_Got")


class _Again(Exception):
    """The server did not answer, or not to the end: trying again may help."""


@dataclass(frozen=True)
class _Listed:
    path: str
    size: int | None


class MlflowArtifacts:
    """The artifacts of one tracking server.

    Args:
        client: with the credentials.
        url: the server's address.
        sleep: waits between tries.
    """

    def __init__(self, client: httpx.Client, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client = client
        self._sleep = sleep
        try:
            self._url = check_url(url)
        except RegistryRefused as refusal:
            raise InputError(str(refusal)) from None

    def download(self, uri: str, folder: Path) -> None:
        """Write the file, or all files of the folder, at ``mlflow-artifacts:/PATH`` into `folder`.

        Raises:
            InputError: there is nothing, it holds too much, or the server says no.
            StoreUnavailable: the server does not answer.
        """
        root = path_of_proxied(uri)
        found = False
        for file in self._walk(root):
            found = True
            target = folder / file.path.removeprefix(f"{root}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            self._try(partial(self._write, file, target))
        if not found:
            # A file lists as an empty folder does, and so does what is not there.
            name = root.rpartition("/")[2]
            self._try(partial(self._write, _Listed(root, None), folder / name))

    def _walk(self, root: str) -> Iterator[_Listed]:
        folders, seen = [root], 0
        while folders:
            folder = folders.pop()
            for entry in self._try(partial(self._list, folder)):
                seen += 1
                if seen > MOST_FILES:
                    raise InputError(
                        f"{root!r} holds more than {MOST_FILES} files and folders, which is the limit"
                    )
                path = _path_of(folder, entry)
                if entry.get("is_dir"):
                    folders.append(path)
                else:
                    yield _Listed(path, _size_of(entry))

    def _list(self, path: str) -> list[Mapping[str, Any]]:
        with self._open("", path, {"path": path}) as response:
            content = bytearray()
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > _LARGEST_LISTING:
                    raise InputError(f"{path!r} lists as more than {_LARGEST_LISTING >> 20} MiB")
        try:
            files = json.loads(content).get("files", [])
        except (ValueError, RecursionError, AttributeError):
            files = None
        if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
            raise InputError(f"what answers at {self._url} does not answer as MLflow does")
        return files

    def _write(self, file: _Listed, target: Path) -> None:
        size = 0
        with self._open(f"/{quote(file.path)}", file.path, {}) as response, target.open("wb") as out:
            for chunk in response.iter_raw():
                size += len(chunk)
                if file.size is not None and size > file.size:
                    break
                out.write(chunk)
        if file.size is not None and size != file.size:
            raise InputError(f"MLflow at {self._url}: {file.path!r} is not as long as it lists")

    def _open(self, place: str, path: str, query: Mapping[str, str]) -> _Answer:
        return _Answer(self._client, f"{self._url}/api/2.0/mlflow-artifacts/artifacts{place}", query, path)

    def _try(self, do: Callable[[], _Got]) -> _Got:
        pause = _FIRST_PAUSE_S
        for left in reversed(range(_TRIES)):
            try:
                return do()
            except (_Again, httpx.HTTPError) as error:
                said = str(error) if isinstance(error, _Again) else type(error).__name__
                if not left:
                    raise StoreUnavailable(
                        f"MLflow at {self._url} does not hand out its artifacts ({said}); tried {_TRIES} times"
                    ) from None
            self._sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause *= 2
        raise AssertionError


class _Answer:
    """An answer of the server's that is one; what it says else is raised."""

    def __init__(self, client: httpx.Client, url: str, query: Mapping[str, str], path: str) -> None:
        self._stream = client.stream("GET", url, params=query)
        self._path = path

    def __enter__(self) -> httpx.Response:
        response = self._stream.__enter__()
        status = response.status_code
        if status == 200 and response.headers.get("Content-Encoding", "identity") == "identity":
            return response
        self._stream.__exit__(None, None, None)
        if status >= 500 or status in _TRANSIENT:
            raise _Again(f"it answered {status}")
        if status in _OF_CREDENTIALS:
            raise InputError(
                f"MLflow answered {status} for {self._path!r}: {USER} and {PASSWORD}, or {TOKEN}, of the run's Secret "
                "have to be those of a user who may read it"
            )
        if status == 404:
            raise InputError(f"MLflow has no artifact {self._path!r}")
        raise InputError(f"MLflow answered {status} for artifact {self._path!r}, where it should hand it out")

    def __exit__(self, *error: Any) -> None:
        self._stream.__exit__(*error)


def _path_of(folder: str, entry: Mapping[str, Any]) -> str:
    name = entry.get("path")
    # Servers before 2.0 gave the whole path.
    name = name.rpartition("/")[2] if isinstance(name, str) else ""
    path = f"{folder}/{name}"
    if find_fault(path) or len(path) > LONGEST:
        raise InputError(f"MLflow lists {name!r:.200} in {folder!r:.200}, which is no usable name")
    return path


def _size_of(entry: Mapping[str, Any]) -> int | None:
    # JSON of protocol buffers has 64-bit integers as text.
    try:
        return int(entry["file_size"])
    except (KeyError, TypeError, ValueError):
        return None
