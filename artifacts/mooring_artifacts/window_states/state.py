"""Rows per slot of a window; states of one profile add and subtract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states.binary import Ints, Reader, Writer
from mooring_artifacts.window_states.dependence import LAGS, LARGEST_PRODUCT, PARTS, LagSums
from mooring_artifacts.window_states.profile import MOST_ROWS, Profile

VERSION = 2

_MAGIC = b"MOORSTAT"


@dataclass(frozen=True, eq=False)
class FeatureState:
    """One feature: (s,) rows per slot of the profile, and what says how they depend on each other."""

    rows: Ints
    lags: LagSums


@dataclass(frozen=True, eq=False)
class WindowState:
    """`rows` rows, counted in the slots of the profile with this digest.

    pairs: (LAGS,) pairs of rows by lag.
    starts: (f + 1,) where the slots of each of f features begin and end in `slots`.
    slots: rows per slot of all features, one after the other.
    lags: (PARTS, f, LAGS) the sums of each feature.
    """

    profile: str
    rows: int
    pairs: Ints
    starts: Ints
    slots: Ints
    lags: Ints

    @cached_property
    def features(self) -> tuple[FeatureState, ...]:
        """Each feature by itself."""
        return tuple(
            FeatureState(self.slots[start:end], LagSums(*self.lags[:, place]))
            for place, (start, end) in enumerate(pairwise(self.starts.tolist()))
        )

    def to_bytes(self) -> bytes:
        """The binary form; equal states have equal ones."""
        writer = Writer(_MAGIC, VERSION)
        writer.number("I", len(self.starts) - 1)
        writer.number("Q", self.rows)
        writer.raw(bytes.fromhex(self.profile.removeprefix("sha256:")))
        writer.ints(self.pairs)
        writer.counts(self.slots, self.starts)
        for part in self.lags:
            writer.ints(part.ravel())
        return writer.finish()


def join(profile: Profile, rows: int, pairs: Ints, features: Sequence[FeatureState]) -> WindowState:
    """The state of `rows` rows, by its features."""
    lags = np.array([feature.lags.parts() for feature in features], np.int64)
    slots = np.concatenate([np.zeros(0, np.int64), *(feature.rows for feature in features)])
    lags = lags.reshape(len(features), PARTS, LAGS).swapaxes(0, 1)
    return WindowState(profile.digest, rows, pairs, profile.starts, slots, lags)


def empty(profile: Profile) -> WindowState:
    """The state of no rows."""
    return add_up(profile, ())


def add_up(profile: Profile, states: Iterable[WindowState]) -> WindowState:
    """The state of the rows of all of them, which are looked at one after the other.

    Raises:
        InputError: one has another profile, or they have more rows than a state counts.
    """
    rows, pairs = 0, np.zeros(LAGS, np.int64)
    slots = np.zeros(int(profile.starts[-1]), np.int64)
    lags = np.zeros((PARTS, len(profile.features), LAGS), np.int64)
    for state in states:
        _check_profiles(profile.digest, state.profile)
        rows += state.rows
        if rows > MOST_ROWS:
            raise InputError(f"states have {rows} rows together; {MOST_ROWS} are allowed")
        pairs += state.pairs
        slots += state.slots
        lags += state.lags
    return WindowState(profile.digest, rows, pairs, profile.starts, slots, lags)


def merge(first: WindowState, second: WindowState) -> WindowState:
    """The state of the rows of both.

    Raises:
        InputError: they have different profiles, or more rows than a state counts.
    """
    _check_profiles(first.profile, second.profile)
    rows = first.rows + second.rows
    if rows > MOST_ROWS:
        raise InputError(f"two states have {rows} rows; {MOST_ROWS} are allowed")
    return WindowState(
        first.profile,
        rows,
        first.pairs + second.pairs,
        first.starts,
        first.slots + second.slots,
        first.lags + second.lags,
    )


def subtract(whole: WindowState, part: WindowState) -> WindowState:
    """The state of the rows of `whole` that are not in `part`.

    Raises:
        InputError: they have different profiles, or `part` has rows that `whole` has not.
    """
    _check_profiles(whole.profile, part.profile)
    rows = whole.rows - part.rows
    pairs, slots = whole.pairs - part.pairs, whole.slots - part.slots
    lags = whole.lags - part.lags
    if rows < 0 or any((counted < 0).any() for counted in (pairs, slots, lags[0])):
        raise InputError("a state is taken away from one that does not hold it")
    return WindowState(whole.profile, rows, pairs, whole.starts, slots, lags)


def parse_state(content: bytes | bytearray, profile: Profile) -> WindowState:
    """The state in its binary form, which has to be one of `profile`.

    Raises:
        InputError: it is none; the message says why.
    """
    reader = Reader(content, _MAGIC, VERSION, "window state")
    size, rows = reader.number("I"), reader.number("Q")
    digest = "sha256:" + reader.raw(32).hex()
    if digest != profile.digest:
        reader.refuse(f"it is one of baseline profile {digest}; {profile.digest} is wanted")
    if size != len(profile.features) or rows > MOST_ROWS:
        reader.refuse(
            f"it has {size} features and {rows} rows; {len(profile.features)} and {MOST_ROWS} are allowed"
        )
    pairs = reader.ints("pairs", LAGS, 0, rows).astype(np.int64)
    slots = _counts(reader, profile, rows)
    lags = _sums(reader, size, rows)
    reader.finish()
    return WindowState(digest, rows, pairs, profile.starts, slots, lags)


def rows_of(content: bytes | bytearray) -> int:
    """How many rows a state counts, whatever its profile; `parse_state` looks at the rest.

    Raises:
        InputError: it is none; the message says why.
    """
    reader = Reader(content, _MAGIC, VERSION, "window state")
    reader.number("I")
    rows = reader.number("Q")
    if rows > MOST_ROWS:
        reader.refuse(f"it has {rows} rows; {MOST_ROWS} are allowed")
    return rows


def _counts(reader: Reader, profile: Profile, rows: int) -> Ints:
    """Take the rows per slot of all features, which add up to all rows each."""
    slots, sums = reader.counts("rows per slot", profile.starts)
    wrong = np.flatnonzero(sums != rows)
    if len(wrong):
        reader.refuse(f"the rows of {profile.features[wrong[0]].name!r} do not add up to {rows}")
    return slots


def _sums(reader: Reader, size: int, rows: int) -> Ints:
    product = LARGEST_PRODUCT * rows
    parts = (("pairs of values", 0, rows), ("level", -product, product), ("spread", -product, product))
    lags = np.empty((PARTS, size, LAGS), np.int64)
    for place, (what, low, high) in enumerate((*parts, ("gaps", 0, rows))):
        lags[place] = reader.ints(what, size * LAGS, low, high).reshape(size, LAGS)
    return lags


def _check_profiles(first: str, second: str) -> None:
    if first != second:
        raise InputError(f"states of two profiles, {first} and {second}, do not add")
