"""What is different between two versions of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mooring_artifacts.data_versions.documents import Column, DataFile, Manifest


@dataclass(frozen=True)
class FileChange:
    """A file that is `Added`, `Removed`, `Changed`, or `Renamed` from `before`; None where there is none."""

    change: str
    path: str
    before: DataFile | None
    after: DataFile | None


@dataclass(frozen=True)
class ColumnChange:
    """A column that is `Added`, `Removed` or `TypeChanged`; types are None where there is none."""

    change: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Difference:
    """What turns one version into another: files by path, columns in their order."""

    rows: int
    size: int
    files: Sequence[FileChange]
    columns: Sequence[ColumnChange]

    def __bool__(self) -> bool:
        return bool(self.files or self.columns)


def compare(before: Manifest, after: Manifest) -> Difference:
    """Say what `after` has otherwise than `before`; `rows` and `size` are how many more it has."""
    return Difference(
        after.rows - before.rows, after.size - before.size, _files(before, after), _columns(before, after)
    )


def _files(before: Manifest, after: Manifest) -> list[FileChange]:
    old, new = ({file.path: file for file in each.files} for each in (before, after))
    gone = {file.sha256: file for path, file in old.items() if path not in new}
    changes = []
    for path, file in new.items():
        if path in old:
            if old[path].sha256 != file.sha256:
                changes.append(FileChange("Changed", path, old[path], file))
        elif (moved := gone.pop(file.sha256, None)) is not None:
            changes.append(FileChange("Renamed", path, moved, file))
        else:
            changes.append(FileChange("Added", path, None, file))
    moved_from = {change.before.path for change in changes if change.before is not None}
    changes += [
        FileChange("Removed", path, file, None)
        for path, file in old.items()
        if path not in new and path not in moved_from
    ]
    return sorted(changes, key=lambda change: change.path)


def _columns(before: Manifest, after: Manifest) -> list[ColumnChange]:
    old, new = (_types(each.columns) for each in (before, after))
    changes = [
        ColumnChange("Added" if name not in old else "TypeChanged", name, old.get(name), kind)
        for name, kind in new.items()
        if old.get(name) != kind
    ]
    return changes + [
        ColumnChange("Removed", name, kind, None) for name, kind in old.items() if name not in new
    ]


def _types(columns: Sequence[Column]) -> dict[str, str]:
    return {column.name: column.type for column in columns}
