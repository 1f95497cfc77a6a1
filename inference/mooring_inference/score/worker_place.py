"""What a worker needs to know of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from mooring_artifacts.loaded_files import HashedFiles

from mooring_inference.score.folders import StoredFile


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """What a worker needs to know of its run, beside the command's own arguments.

    Attributes:
        argv: these arguments.
        files: the input files as the run found them.
        model: its files as the run found them.
        threads: how many the model may use.
        workspace: where unfinished files go.
    """

    argv: tuple[str, ...]
    files: tuple[StoredFile, ...]
    model: HashedFiles
    threads: int
    workspace: Path

    def to_message(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "argv": self.argv,
            "files": [astuple(file) for file in self.files],
            "model": {"digest": self.model.digest, "stamps": dict(self.model.stamps)},
            "threads": self.threads,
            "workspace": str(self.workspace),
        }

    @classmethod
    def of_message(cls, message: Mapping[str, Any]) -> WorkerPlace:
        """Return what ``to_message`` was made from."""
        return cls(
            argv=tuple(message["argv"]),
            files=tuple(StoredFile(*file) for file in message["files"]),
            model=HashedFiles(
                message["model"]["digest"],
                {
                    path: (size, wrote, changed)
                    for path, (size, wrote, changed) in message["model"]["stamps"].items()
                },
            ),
            threads=message["threads"],
            workspace=Path(message["workspace"]),
        )
