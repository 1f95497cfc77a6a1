"""The checks of a schema, folded over batches: counts of all faults, and the rows of the first few.

A batch costs one pass; rows are looked at singly only where a count is above 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from mooring_artifacts.data_schema import Column

from mooring_components.validation.sources import Source

EXAMPLES = 5
_LONGEST = 100
_TYPES: Mapping[str, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "timestamp": pl.Datetime("us"),
}
_TIMESTAMP = re.compile(
    r"^(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<minutes>[0-9]{2}:[0-9]{2})(?::(?P<seconds>[0-9]{2}(?:\.[0-9]{1,9})?))?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:?[0-9]{2})?)?$"
)
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Example:
    """A row at fault, from 0 in its file, and the value there as text; None where there is none."""

    file: str
    row: int
    value: str | None


@dataclass
class Fault:
    """How often something is wrong, and where first."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)


@dataclass
class Tally:
    """What was found of one column, over all batches.

    faults: by the kind of check. keys: of unique columns, by batch. newest: of timestamps, microseconds.
    """

    values: int = 0
    nulls: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    keys: list[npt.NDArray[np.generic]] = field(default_factory=list)
    newest: int | None = None

    def fault(self, kind: str) -> Fault:
        """The fault of that kind, so far."""
        return self.faults.setdefault(kind, Fault())


class Fold:
    """All columns of a schema over all files.

    Attributes:
        rows: how many were read.
        tallies: by column.
    """

    def __init__(self, columns: list[Column]) -> None:
        self._columns = columns
        self.rows = 0
        self.tallies = {column.name: Tally() for column in columns}

    def add(self, source: Source) -> None:
        """Read a file to its end.

        Raises:
            InputError: it is damaged.
        """
        here = [column for column in self._columns if column.name in source.types]
        plans = [Plan(column, source) for column in here]
        row = 0
        for batch in source.batches([column.name for column in here] or list(source.names[:1])):
            self._add_batch(batch, plans, source, row)
            row += batch.height
        self.rows += row + source.broken.count

    def _add_batch(self, batch: pl.DataFrame, plans: list[Plan], source: Source, first: int) -> None:
        typed = batch.lazy().with_columns(plan.value for plan in plans)
        counted = typed.select([expression for plan in plans for expression in plan.counts()]).collect()
        counts = counted.row(0, named=True) if counted.height else {}
        found = [(plan, kind) for plan in plans for kind in plan.checks if counts[plan.named(kind)]]
        for plan in plans:
            tally = self.tallies[plan.column.name]
            tally.values += batch.height
            tally.nulls += counts[plan.named("nulls")]
            if plan.column.type == "timestamp" and (newest := counts[plan.named("newest")]) is not None:
                tally.newest = max(newest, tally.newest or newest)
        if found:
            rows = batch.with_columns({plan.column.name: plan.value for plan, _ in found}.values())
            for plan, kind in found:
                fault = self.tallies[plan.column.name].fault(kind)
                fault.count += counts[plan.named(kind)]
                fault.examples += _examples(rows, plan, kind, source, first, EXAMPLES - len(fault.examples))
        self._keep_keys(batch, plans)

    def _keep_keys(self, batch: pl.DataFrame, plans: list[Plan]) -> None:
        for plan in plans:
            if plan.column.unique:
                series = batch.select(plan.value).to_series().drop_nulls()
                # Of other types than whole numbers the hashes: of ten million values the odds that two different
                # ones share one are 1 in 400,000.
                exact = plan.column.type == "integer"
                self.tallies[plan.column.name].keys.append(
                    (series if exact else series.hash(seed=0)).to_numpy()
                )


class Plan:
    """The checks of one column of one file."""

    def __init__(self, column: Column, source: Source) -> None:
        self.column = column
        self._raw = pl.col(column.name)
        given = source.types[column.name]
        self.is_text = source.text
        self.fits = source.text or _fits(given, column.type)
        # Some of their values are no 64-bit integers.
        self._is_wide = given in (pl.UInt64, pl.Int128, pl.UInt128)
        self.value = self._read().alias(_key(column.name))
        read = pl.col(_key(column.name))
        self.checks = self._checks(read) if self.fits else {"type": self._raw.is_not_null()}
        self._read_column = read

    def named(self, kind: str) -> str:
        """What a count is called among those of all columns."""
        return f"{self.column.name}\0{kind}"

    @property
    def missing(self) -> pl.Expr:
        """Whether there is no value."""
        return _blank(self._raw) if self.is_text and self.column.type != "string" else self._raw.is_null()

    def counts(self) -> Iterator[pl.Expr]:
        """Yield one number for each check, and for the nulls."""
        yield self.missing.sum().alias(self.named("nulls"))
        for kind, check in self.checks.items():
            yield check.sum().alias(self.named(kind))
        if self.column.type == "timestamp":
            yield self._read_column.max().dt.epoch("us").alias(self.named("newest"))

    def _read(self) -> pl.Expr:
        if not self.fits:
            return pl.lit(None, dtype=_TYPES[self.column.type])
        if not self.is_text:
            return self._raw.cast(_TYPES[self.column.type], strict=False)
        if self.column.type == "string":
            return self._raw
        text = self._raw.str.strip_chars()
        if self.column.type == "boolean":
            return text.str.to_lowercase().replace_strict(_FLAGS, default=None, return_dtype=pl.Boolean)
        if self.column.type == "timestamp":
            return _timestamp(text)
        return text.cast(_TYPES[self.column.type], strict=False)

    def _checks(self, read: pl.Expr) -> dict[str, pl.Expr]:
        column, checks = self.column, dict[str, pl.Expr]()
        if column.type != "string" and (self.is_text or self._is_wide):
            checks["type"] = ~self.missing & read.is_null()
        is_number = read.is_not_null()
        if column.type == "number":
            is_number = is_number & read.is_not_nan()
            if not column.nan:
                checks["nan"] = read.is_nan()
        if column.min is not None:
            checks["min"] = is_number & (read < column.min)
        if column.max is not None:
            checks["max"] = is_number & (read > column.max)
        if column.values:
            allowed = pl.Series(column.values, dtype=_TYPES[column.type], strict=False)
            checks["values"] = is_number & ~read.is_in(allowed.implode())
        return checks


def _key(name: str) -> str:
    return f"\0{name}"


def _blank(text: pl.Expr) -> pl.Expr:
    return text.is_null() | (text.str.strip_chars() == "")


def _timestamp(text: pl.Expr) -> pl.Expr:
    """Read ISO 8601: a date, minutes, seconds and an offset as far as they are there; UTC without one.

    One form for all: polars infers a format from the first values, and raises where they have none.
    """
    parts = text.str.extract_groups(_TIMESTAMP.pattern)
    minutes, seconds, offset = (parts.struct.field(name) for name in ("minutes", "seconds", "offset"))
    whole = pl.concat_str(
        [
            parts.struct.field("date"),
            pl.lit(" "),
            minutes.fill_null("00:00"),
            pl.lit(":"),
            seconds.fill_null("00"),
            offset.fill_null("+0000").str.replace("(?i)^z$", "+0000").str.replace(":", ""),
        ]
    )
    read = whole.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%z", time_unit="us", strict=False)
    return read.dt.replace_time_zone(None)


def _fits(given: pl.DataType, wanted: str) -> bool:
    """Whether a column of a type that a file declares can hold what is wanted."""
    if isinstance(given, pl.Categorical | pl.Enum):
        return wanted == "string"
    return {
        "integer": given.is_integer(),
        "number": given.is_numeric(),
        "string": given == pl.String,
        "boolean": given == pl.Boolean,
        "timestamp": given.is_temporal() and given != pl.Time and given != pl.Duration,
    }[wanted]


def _examples(
    rows: pl.DataFrame, plan: Plan, kind: str, source: Source, first: int, most: int
) -> list[Example]:
    if most <= 0:
        return []
    found = rows.with_row_index("\0row").filter(plan.checks[kind]).head(most)
    values: list[Any] = found[plan.column.name].to_list()
    places = found["\0row"].to_list()
    return [
        Example(
            source.path.name,
            source.broken.number(first + place),
            None if value is None else str(value)[:_LONGEST],
        )
        for place, value in zip(places, values, strict=True)
    ]
