"""What is wrong with data: every violation of its schema, with counts and examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from mooring_artifacts.data_schema import Column, DataSchema
from mooring_artifacts.errors import InputError

from mooring_components.validation.fold import EXAMPLES, Example, Fold, Tally
from mooring_components.validation.leakage import find_repeated
from mooring_components.validation.sources import Source, open_source

_SHOWN = 200


@dataclass(frozen=True)
class DataViolation:
    """One thing that is wrong: `count` times, in one column or, where that is empty, in the rows as a whole."""

    column: str
    check: str
    count: int
    message: str
    examples: Sequence[Example] = ()


@dataclass(frozen=True)
class DataReport:
    """All violations of a schema; none: the data is as it should be."""

    rows: int
    violations: Sequence[DataViolation]

    def summary(self) -> str:
        """The violations in one line."""
        shown = "; ".join(violation.message for violation in self.violations[:3])
        more = len(self.violations) - 3
        return f"{shown}; and {more} more" if more > 0 else shown

    def to_markdown(self) -> str:
        """All of them, with examples, for the KFP UI and the log."""
        head = "Violations" if self.violations else "As the schema says"
        lines = [f"# {head}", "", f"{_count(self.rows, 'row')}", ""]
        for violation in self.violations:
            lines.append(f"- **{violation.message}**")
            lines += [f"  - {_example(each)}" for each in violation.examples]
        # Between steps Kubeflow Pipelines replaces placeholders.
        return "\n".join(lines).replace("{{", "{ {") + "\n"


def validate(
    paths: Sequence[Path], schema: DataSchema, now: datetime, *, training: Sequence[Path] = ()
) -> DataReport:
    """Compare files of rows with their schema, in one pass and a bounded part of them at a time.

    Where the schema has training data, `training` are its files, which take another pass.

    Raises:
        InputError: a file cannot be read at all.
    """
    if not paths:
        raise InputError("there are no files to validate")
    fold = Fold(schema.columns)
    sources = [open_source(path) for path in paths]
    for source in sources:
        fold.add(source)
    violations = [
        *_of_columns(sources, schema),
        *_of_rows(sources, fold, schema),
        *(found for column in schema.columns for found in _of_values(column, fold.tallies[column.name])),
        *_of_age(fold, schema, now),
    ]
    if training and not any(found.check == "missing" for found in violations):
        violations += _of_leakage(paths, training, schema, fold.rows)
    return DataReport(fold.rows, violations)


def _of_columns(sources: Sequence[Source], schema: DataSchema) -> Iterator[DataViolation]:
    known = {column.name for column in schema.columns}
    for column in schema.columns:
        lacking = [source.path.name for source in sources if column.name not in source.types]
        if lacking and column.required:
            where = "" if len(sources) == 1 else f" in {len(lacking)} of {len(sources)} files ({lacking[0]})"
            yield DataViolation(
                column.name, "missing", len(lacking), f"column {_named(column.name)} is missing{where}"
            )
    extra = dict.fromkeys(name for source in sources for name in source.names if name not in known)
    if extra and schema.extra_columns == "Refuse":
        for name in extra:
            yield DataViolation(name[:_SHOWN], "extra", 1, f"column {_named(name)} is not in the schema")


def _of_rows(sources: Sequence[Source], fold: Fold, schema: DataSchema) -> Iterator[DataViolation]:
    broken = sum(source.broken.count for source in sources)
    if broken:
        examples = [
            Example(source.path.name, row, reason)
            for source in sources
            for row, reason in source.broken.examples
        ][:EXAMPLES]
        first = examples[0]
        yield DataViolation(
            "",
            "unreadable",
            broken,
            f"{_count(broken, 'row')} cannot be read; row {first.row} has {first.value}",
            examples,
        )
    for name in dict.fromkeys(name for source in sources for name in source.encoding):
        found = [(source, source.encoding[name]) for source in sources if name in source.encoding]
        count = sum(wrong.count for _, wrong in found)
        shown = [Example(source.path.name, *example) for source, wrong in found for example in wrong.examples]
        yield DataViolation(
            name,
            "encoding",
            count,
            f"column {_named(name)} has {_count(count, 'value')} that are not UTF-8, such as "
            f"{shown[0].value!a} in row {shown[0].row}",
            shown[:EXAMPLES],
        )
    if fold.rows < schema.min_rows:
        yield DataViolation(
            "", "rows", fold.rows, f"{_count(fold.rows, 'row')}, at least {schema.min_rows} wanted"
        )
    if schema.max_rows is not None and fold.rows > schema.max_rows:
        yield DataViolation(
            "", "rows", fold.rows, f"{_count(fold.rows, 'row')}, at most {schema.max_rows} wanted"
        )


def _of_values(column: Column, tally: Tally) -> Iterator[DataViolation]:
    name = f"column {_named(column.name)}"
    if tally.nulls > column.nulls * tally.values:
        allowed = f", {column.nulls:.2%} of the rows are allowed" if column.nulls else ""
        yield DataViolation(
            column.name, "nulls", tally.nulls, f"{name} has {_count(tally.nulls, 'null')}{allowed}"
        )
    said = {
        "type": f"that are no {column.type}",
        "nan": "that are NaN",
        "min": f"below {column.min}",
        "max": f"above {column.max}",
        "values": "that are not allowed",
    }
    for kind, fault in tally.faults.items():
        if fault.count:
            first = fault.examples[0]
            such = f"such as {first.value!a} in row {first.row}"
            what = said[kind] if fault.count > 1 else said[kind].replace("that are", "that is")
            message = f"{name} has {_count(fault.count, 'value')} {what}, {such}"
            yield DataViolation(column.name, kind, fault.count, message, fault.examples)
    if column.unique and (again := _repeated(tally.keys)):
        yield DataViolation(
            column.name, "unique", again, f"{name} has {_count(again, 'value')} that came before"
        )


def _of_age(fold: Fold, schema: DataSchema, now: datetime) -> Iterator[DataViolation]:
    if schema.freshness is None or schema.age is None:
        return
    newest = fold.tallies[schema.freshness.column].newest
    if newest is None:
        return
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=newest)
    if now - at > schema.age:
        yield DataViolation(
            schema.freshness.column,
            "freshness",
            1,
            f"the newest {schema.freshness.column} is of {at.isoformat(timespec='seconds')}, which is older than "
            f"{schema.freshness.within:g} s",
        )


def _of_leakage(
    paths: Sequence[Path], training: Sequence[Path], schema: DataSchema, rows: int
) -> Iterator[DataViolation]:
    assert schema.training_data is not None
    found, allowed = (
        find_repeated(paths, training, schema, schema.training_data),
        schema.training_data.repeated,
    )
    if found.count > allowed * rows:
        first = found.examples[0]
        more = f", {allowed:.2%} are allowed" if allowed else ""
        message = f"{_count(found.count, 'row')} of {rows} are in the training data{more}; the first is row {first.row}"
        yield DataViolation("", "leakage", found.count, message, found.examples)


def _repeated(keys: Sequence[npt.NDArray[np.generic]]) -> int:
    """How many values are copies of one that came before."""
    if not keys:
        return 0
    joined = np.concatenate(keys)
    joined.sort()
    return int((joined[1:] == joined[:-1]).sum())


def _example(example: Example) -> str:
    what = "" if example.value is None else f": {example.value!a}"
    return f"{ascii(example.file)[1:-1]}, row {example.row}{what}"


def _named(name: str) -> str:
    return name[:_SHOWN] if name.isprintable() and name.isascii() else ascii(name)[:_SHOWN]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
