"""The end of a run of one shard, and of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import asdict

from mooring_inference.score.folders import Folder
from mooring_inference.score.parts import Manifest, bad_path, read_manifest
from mooring_inference.score.readers import is_hidden

SUCCESS = "_SUCCESS"
_SHARDS = "_shards"


class Completion:
    """Knows which shards are done; the last one to finish says that everything is."""

    def __init__(self, folder: Folder, mark: str, shards: int) -> None:
        """Completion of one run.

        Args:
            folder: the output.
            mark: a fingerprint of everything that the run depends on.
            shards: how many share it.
        """
        self._folder = folder
        self._mark = mark
        self._shards = shards

    def withdraw(self) -> None:
        """Remove ``_SUCCESS`` of a run with other inputs, another model or other settings."""
        content = self._folder.read(SUCCESS)
        if content is not None and _run_of(content) != self._mark:
            self._folder.delete(SUCCESS)

    def finish(self, shard: int, parts: Mapping[str, Manifest], files: int) -> bool:
        """Note that a shard is done. If all are: remove parts of former inputs, write ``_SUCCESS``.

        Two shards that end at once may both do the latter, and do the same.

        Returns:
            Whether all are done.
        """
        done = {path: asdict(manifest) for path, manifest in parts.items()}
        self._write(self._shard_path(shard), {"run": self._mark, "parts": done})
        everything: dict[str, dict[str, int]] = {}
        for other in range(self._shards):
            content = self._folder.read(self._shard_path(other))
            if content is None or _run_of(content) != self._mark:
                return False
            everything |= json.loads(content)["parts"]
        self._remove_strays(everything.keys())
        totals = {
            key: sum(part[key] for part in everything.values())
            for key in ("input_rows", "good_rows", "bad_rows")
        }
        self._write(SUCCESS, {"run": self._mark, "files": files, "parts": len(everything), **totals})
        return True

    def _remove_strays(self, parts: Set[str]) -> None:
        for file in self._folder.list():
            ours = not is_hidden(file.path) and file.path not in parts
            if ours and read_manifest(self._folder, file.path) is not None:
                self._folder.delete(bad_path(file.path))
                self._folder.delete(file.path)

    def _shard_path(self, shard: int) -> str:
        return f"{_SHARDS}/{shard:05d}-of-{self._shards:05d}.json"

    def _write(self, path: str, content: object) -> None:
        self._folder.write(path, json.dumps(content, indent=1).encode())


def _run_of(content: bytes) -> object:
    try:
        return json.loads(content)["run"]
    except (ValueError, KeyError, TypeError):
        return None
