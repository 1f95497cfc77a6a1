"""The slots that windows are counted in, and the baseline's own rows per slot."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mooring_artifacts.window_states.binary import Ints, Reader, Writer
from mooring_artifacts.window_states.cells import Cells, Values
from mooring_artifacts.window_states.dependence import RANKS

VERSION = 1
MOST_FEATURES = 4000
MOST_EDGES = 4000
MOST_CATEGORIES = 4000
LONGEST_NAME = 1000
LONGEST_CATEGORY = 1000
MOST_ROWS = 1 << 48

_MAGIC = b"MOORPROF"
_CATEGORIES = 0
_FORMS = {4: "<f4", 8: "<f8"}


@dataclass(frozen=True, eq=False)
class Numbers:
    """A feature of numbers: `edges` (k,) sorted, as float32 or float64; `rows` (k + 2,) of the baseline per slot."""

    name: str
    edges: Values
    rows: Ints

    @property
    def slots(self) -> int:
        """Number of slots, the one for missing values included."""
        return len(self.edges) + 2

    @cached_property
    def cells(self) -> Cells:
        """What finds the slots."""
        return Cells(self.edges)

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Where each slot lies in the baseline, (k + 1,): from -(RANKS - 1) to RANKS - 1."""
        upto = np.cumsum(self.rows[:-1])
        middle = upto - self.rows[:-1] / 2
        part = np.floor(middle * RANKS / max(int(upto[-1]), 1))
        ranks: npt.NDArray[np.int64] = (2 * np.clip(part, 0, RANKS - 1) - (RANKS - 1)).astype(np.int64)
        return ranks


@dataclass(frozen=True, eq=False)
class Categories:
    """A feature of categories: its known `values`; `rows` (k + 2,) of the baseline per slot."""

    name: str
    values: tuple[str, ...]
    rows: Ints

    @property
    def slots(self) -> int:
        """Number of slots, those for unseen and missing values included."""
        return len(self.values) + 2

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The slot of each known value."""
        return {value: slot for slot, value in enumerate(self.values)}


@dataclass(frozen=True, eq=False)
class Profile:
    """A baseline of `rows` rows. It is known by its digest, the sha256 of its binary form."""

    rows: int
    features: tuple[Numbers | Categories, ...]

    @cached_property
    def starts(self) -> Ints:
        """Where the slots of each feature begin and end, among those of all: (f + 1,)."""
        return np.cumsum([0, *(feature.slots for feature in self.features)], dtype=np.int64)

    @cached_property
    def content(self) -> bytes:
        """The binary form."""
        writer = Writer(_MAGIC, VERSION)
        writer.number("I", len(self.features))
        writer.number("Q", self.rows)
        for feature in self.features:
            writer.text(feature.name)
            if isinstance(feature, Numbers):
                size = feature.edges.dtype.itemsize
                writer.number("B", size)
                writer.number("I", len(feature.edges))
                writer.raw(feature.edges.astype(_FORMS[size]).tobytes())
            else:
                writer.number("B", _CATEGORIES)
                writer.number("I", len(feature.values))
                for value in feature.values:
                    writer.text(value)
            writer.ints(feature.rows)
        return writer.finish()

    @cached_property
    def digest(self) -> str:
        """What states of this profile name it by."""
        return "sha256:" + hashlib.sha256(self.content).hexdigest()


def parse_profile(content: bytes | bytearray) -> Profile:
    """The profile in its binary form.

    Raises:
        InputError: it is none; the message says why.
    """
    reader = Reader(content, _MAGIC, VERSION, "baseline profile")
    size, rows = reader.size("features", MOST_FEATURES), reader.number("Q")
    if rows > MOST_ROWS:
        reader.refuse(f"it has {rows} rows; {MOST_ROWS} are allowed")
    features = tuple(_feature(reader, rows) for _ in range(size))
    if len({feature.name for feature in features}) != size:
        reader.refuse("it has a feature twice")
    reader.finish()
    return Profile(rows, features)


def _feature(reader: Reader, rows: int) -> Numbers | Categories:
    name, kind = reader.text(LONGEST_NAME), reader.number("B")
    if kind in _FORMS:
        edges = reader.array(_FORMS[kind], reader.size("edges", MOST_EDGES)).astype(f"f{kind}")
        if not len(edges) or not np.all(edges[1:] > edges[:-1]) or np.isnan(edges[0]):
            reader.refuse(f"the edges of {name!r} do not ascend")
        return Numbers(name, edges, rows_per_slot(reader, name, len(edges) + 2, rows))
    if kind != _CATEGORIES:
        reader.refuse(f"{name!r} is of kind {kind}; 0, 4 and 8 are known")
    values = tuple(reader.text(LONGEST_CATEGORY) for _ in range(reader.size("categories", MOST_CATEGORIES)))
    if len(set(values)) != len(values):
        reader.refuse(f"{name!r} has a category twice")
    return Categories(name, values, rows_per_slot(reader, name, len(values) + 2, rows))


def rows_per_slot(reader: Reader, name: str, slots: int, rows: int) -> Ints:
    """Take a feature's rows per slot, which add up to all rows."""
    # Each is looked at by itself first, so that the sum cannot wrap around.
    found = reader.ints(f"the rows of {name!r}", slots, 0, rows).astype(np.int64)
    if int(found.sum()) != rows:
        reader.refuse(f"the rows of {name!r} do not add up to {rows}")
    return found
