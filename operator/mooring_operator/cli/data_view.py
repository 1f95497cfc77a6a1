"""Shows versions of datasets: lists, one version, and what is different between two."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mooring_artifacts.text import shortened, visible
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from mooring_operator.cli import times
from mooring_operator.cli.tables import heading, plain_table

if TYPE_CHECKING:
    from mooring_artifacts.data_versions.comparing import ColumnChange, Difference, FileChange
    from mooring_artifacts.data_versions.documents import Manifest, Record
    from mooring_artifacts.data_versions.references import Dataset

_MOST_SHOWN = 50
_STYLES = {"Added": "green", "Removed": "red"}


def datasets_table(latest: Iterable[tuple[str, "Record"]], now: datetime) -> RenderableType:
    """Give a line for each dataset, with its newest version."""
    return plain_table(
        ("NAME", "LATEST", "VERSION", "ROWS", "COLUMNS", "SIZE", "PUSHED", "DESCRIPTION"),
        ([name, str(record.number), *_cells(record, now)] for name, record in latest),
        indent=0,
    )


def versions_table(records: Iterable["Record"], now: datetime) -> RenderableType:
    """Give a line for each version, the newest first."""
    return plain_table(
        ("NUMBER", "VERSION", "ROWS", "COLUMNS", "SIZE", "PUSHED", "DESCRIPTION"),
        ([str(record.number), *_cells(record, now)] for record in records),
        indent=0,
    )


def pruned_table(versions: Iterable[tuple["Dataset", "Record"]], now: datetime) -> RenderableType:
    """Give a line for each version that goes."""
    return plain_table(
        ("NAME", "NUMBER", "VERSION", "ROWS", "COLUMNS", "SIZE", "PUSHED", "DESCRIPTION"),
        ([dataset.name, str(record.number), *_cells(record, now)] for dataset, record in versions),
        indent=0,
    )


@dataclass(frozen=True)
class VersionView:
    """One version, with its columns and files."""

    dataset: "Dataset"
    record: "Record"
    manifest: "Manifest"
    now: datetime

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render what it is, then tables of columns and files."""
        record = self.record
        yield Text(visible(f"{self.dataset}@{record.number}"), style="bold")
        yield plain_table(
            ("", ""),
            [
                ["version", record.version],
                [
                    "pushed",
                    f"{record.pushed_at:%Y-%m-%d %H:%M:%S} UTC, {times.age(record.pushed_at, self.now)} ago",
                ],
                *([["description", visible(record.description)]] if record.description else []),
                ["holds", holds(record)],
            ],
        )
        yield heading("Columns")
        columns = [[visible(each.name), visible(each.type)] for each in self.manifest.columns]
        yield plain_table(("NAME", "TYPE"), columns[:_MOST_SHOWN])
        yield from _more(columns, "columns")
        yield heading("Files")
        files = [
            [str(each.rows), size(each.size), each.sha256[:12], visible(each.path)]
            for each in self.manifest.files
        ]
        yield plain_table(("ROWS", "SIZE", "SHA256", "PATH"), files[:_MOST_SHOWN])
        yield from _more(files, "files")


@dataclass(frozen=True)
class DifferenceView:
    """What is different between two versions, by what they are called."""

    before: str
    after: str
    difference: "Difference"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render one line, then tables of what changed."""
        found = self.difference
        yield Text(visible(f"{self.before} -> {self.after}"), style="bold")
        if not found:
            yield Text("  the same content", style="green")
            return
        yield Text(f"  {found.rows:+} rows, {'-' if found.size < 0 else '+'}{size(abs(found.size))}")
        if found.columns:
            yield heading("Columns")
            columns = [_column(each) for each in found.columns]
            yield plain_table(("CHANGE", "TYPE", "WAS", "NAME"), columns[:_MOST_SHOWN])
            yield from _more(columns, "columns")
        if found.files:
            yield heading("Files")
            files = [_file(each) for each in found.files]
            yield plain_table(("CHANGE", "ROWS", "SIZE", "PATH"), files[:_MOST_SHOWN])
            yield from _more(files, "files")


def holds(record: "Record") -> str:
    """Give what a version holds in words."""
    counts = ((record.rows, "row"), (record.columns, "column"), (record.files, "file"))
    return ", ".join([*(f"{count} {word}{'s' * (count != 1)}" for count, word in counts), size(record.size)])


def size(count: int) -> str:
    """Give a number of bytes with at most three digits and its unit."""
    amount, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while amount >= 999.5 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{count} B" if units[0] == "B" else f"{amount:.3g} {units[0]}"


def _cells(record: "Record", now: datetime) -> list[str]:
    return [
        short(record.version),
        str(record.rows),
        str(record.columns),
        size(record.size),
        f"{times.age(record.pushed_at, now)} ago",
        shortened(visible(record.description), 80),
    ]


def short(version: str) -> str:
    """Give as much of a digest as people compare; a reference may hold it."""
    return version[: len("sha256:") + 12]


def _column(change: "ColumnChange") -> list[str | Text]:
    kind = Text(change.change, style=_STYLES.get(change.change, "yellow"))
    return [kind, visible(change.after or ""), visible(change.before or ""), visible(change.name)]


def _file(change: "FileChange") -> list[str | Text]:
    before, after = change.before, change.after
    rows = (after.rows if after else 0) - (before.rows if before else 0)
    grown = (after.size if after else 0) - (before.size if before else 0)
    renamed = before is not None and change.change == "Renamed"
    path = f"{before.path} -> {change.path}" if renamed and before is not None else change.path
    sized = f"{'-' if grown < 0 else '+'}{size(abs(grown))}"
    return [
        Text(change.change, style=_STYLES.get(change.change, "yellow")),
        f"{rows:+}" if rows else "",
        sized if grown else "",
        visible(path),
    ]


def _more(rows: Sequence[Any], what: str) -> Iterable[Text]:
    if len(rows) > _MOST_SHOWN:
        yield Text(f"  and {len(rows) - _MOST_SHOWN} more {what}: -o json has all", style="dim")
