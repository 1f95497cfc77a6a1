"""The models of a server: found by name and version, loaded, replaced and unloaded while it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mooring_inference.errors import ModelLoadError, RequestError
from mooring_inference.models.served import ServedModel

log = logging.getLogger(__name__)

# Characters of a name that a caller asks for, in messages.
_LONGEST_NAME = 100

# (name, version, folder or file) to a model that is ready.
Load = Callable[[str, str, Path], Awaitable[ServedModel]]
# Names of models to their versions and where these are; read again at every load.
Sources = Callable[[], Mapping[str, Mapping[str, Path]]]


@dataclass
class _Entry:
    """One model by name."""

    versions: dict[str, ServedModel] = field(default_factory=dict)
    state: str = "UNAVAILABLE"
    reason: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Repository:
    """Models by name and version; the newest version answers where none is named.

    Attributes:
        is_draining: whether the server is about to end: still answering, but not ready any more.
    """

    def __init__(self, sources: Sources, load: Load) -> None:
        self._sources = sources
        self._load = load
        self._entries = {name: _Entry(state="LOADING") for name in sources()}
        self._closing: set[asyncio.Task[None]] = set()
        self.is_draining = False
        self._is_started = False

    @property
    def ready(self) -> bool:
        """Whether all models are loaded and the server stays."""
        return (
            self._is_started
            and not self.is_draining
            and all(entry.versions for entry in self._entries.values() if entry.state != "UNLOADED")
        )

    async def start(self, only: Collection[str] | None = None) -> None:
        """Load all models, or some of them by name.

        Raises:
            ModelLoadError: one of them cannot be served.
        """
        for name, entry in self._entries.items():
            if only is not None and name not in only:
                entry.state, entry.reason = "UNLOADED", "unloaded"
                continue
            try:
                await self._load_entry(name, entry)
            except ModelLoadError as error:
                raise ModelLoadError(f"cannot load model {name!r}: {error}") from None
        self._is_started = True

    def names(self) -> list[str]:
        """Return the names of models that can be asked."""
        return [name for name, entry in self._entries.items() if entry.versions]

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """Return a model that takes calls.

        Raises:
            RequestError: 404, there is none of that name or version; 503, it is not loaded yet.
        """
        entry = self._entries.get(name)
        if entry is None:
            name = _shown(name)
            raise RequestError(
                f"model {name} is not served here; there are: {', '.join(self._entries) or 'none'}",
                status=404,
                field="model",
                expected=list(self._entries),
                got=name,
            )
        if not entry.versions:
            raise RequestError(
                f"model {name} is {entry.state.lower()}" + (f": {entry.reason}" if entry.reason else ""),
                status=404 if entry.state == "UNLOADED" else 503,
            )
        if version is None:
            return next(iter(entry.versions.values()))
        model = entry.versions.get(version)
        if model is None:
            raise RequestError(
                f"model {name} has no version {_shown(version)}; there are: {', '.join(entry.versions)}",
                status=404,
                field="version",
                expected=list(entry.versions),
                got=version,
            )
        return model

    def is_model_ready(self, name: str, version: str | None = None) -> bool:
        """Return whether a model takes calls, and the server stays.

        Raises:
            RequestError: 404, there is none of that name or version.
        """
        try:
            self.find(name, version)
        except RequestError as error:
            if error.status == 404:
                raise
            return False
        return not self.is_draining

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, the newest first."""
        return list(self._entries[name].versions)

    def index(self) -> list[tuple[str, str, str, str]]:
        """Return (name, version, state, reason) of all that is here and could be."""
        rows: list[tuple[str, str, str, str]] = []
        for name, entry in self._entries.items():
            if entry.versions:
                rows += [(name, version, "READY", "") for version in entry.versions]
            else:
                rows.append((name, "", "UNAVAILABLE", entry.reason or entry.state.lower()))
        rows += [
            (name, "", "UNAVAILABLE", "unloaded") for name in self._sources() if name not in self._entries
        ]
        return rows

    async def load(self, name: str) -> None:
        """Load a model, or load it again: requests in flight finish on what was loaded before.

        Raises:
            RequestError: 404, there is no such model; 400, it cannot be served, and what was loaded stays.
        """
        if name not in self._sources():
            raise RequestError(
                f"model {_shown(name)} is not in the repository", status=404, field="model", got=name
            )
        entry = self._entries.setdefault(name, _Entry(state="LOADING"))
        try:
            await self._load_entry(name, entry)
        except ModelLoadError as error:
            raise RequestError(f"model {name} cannot be loaded: {error}", status=400, field="model") from None

    async def unload(self, name: str) -> None:
        """Stop serving a model once its requests in flight are done.

        Raises:
            RequestError: 404, there is no such model.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise RequestError(
                f"model {_shown(name)} is not served here", status=404, field="model", got=name
            )
        async with entry.lock:
            gone, entry.versions = entry.versions, {}
            entry.state, entry.reason = "UNLOADED", "unloaded"
            self._close_later(gone.values())

    def expire(self, now: float) -> None:
        """Answer calls whose deadline has passed."""
        for entry in self._entries.values():
            for model in entry.versions.values():
                model.batcher.expire(now)

    async def close(self) -> None:
        """Finish all calls and close all models."""
        for entry in self._entries.values():
            gone, entry.versions = entry.versions, {}
            self._close_later(gone.values())
        await asyncio.gather(*self._closing)

    async def _load_entry(self, name: str, entry: _Entry) -> None:
        async with entry.lock:
            try:
                loaded = {
                    version: await self._load(name, version, path)
                    for version, path in sorted_versions(self._sources()[name])
                }
            except ModelLoadError as error:
                if not entry.versions:
                    entry.state, entry.reason = "UNAVAILABLE", str(error)
                raise
            gone, entry.versions = entry.versions, loaded
            entry.state, entry.reason = "READY", ""
            self._close_later(gone.values())

    def _close_later(self, models: Any) -> None:
        for model in models:
            task = asyncio.ensure_future(model.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."


def sorted_versions(versions: Mapping[str, Path]) -> list[tuple[str, Path]]:
    """Sort versions, the newest first: by number where all are numbers, else by name."""
    numbers = all(version.isdigit() for version in versions)
    return sorted(versions.items(), key=lambda item: int(item[0]) if numbers else item[0], reverse=True)


def one_model(name: str, version: str, path: Path) -> Sources:
    """Return a server of one model, as KServe starts it."""
    return lambda: {name: {version: path}}


def folder_of_models(root: Path) -> Sources:
    """Return a server of several: ``ROOT/NAME/`` holds a model, or ``ROOT/NAME/NUMBER/`` one for each version."""

    def read() -> dict[str, dict[str, Path]]:
        if not root.is_dir():
            raise ModelLoadError(f"{root} does not exist")
        found: dict[str, dict[str, Path]] = {}
        for folder in sorted(root.iterdir()):
            if folder.name.startswith(".") or not folder.is_dir():
                continue
            versions = {child.name: child for child in folder.iterdir() if child.name.isdigit()}
            found[folder.name] = versions or {"1": folder}
        return found

    return read
