"""Rows per slot of a window; states of one profile add and subtract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mooring_artifacts.errors import InputError
from mooring_artifacts.window_states.binary import Ints, Reader, Writer
from mooring_artifacts.window_states.dependence import LAGS, LARGEST_PRODUCT, LagSums
from mooring_artifacts.window_states.profile import MOST_ROWS, Profile, rows_per_slot

VERSION = 1

_MAGIC = b"MOORSTAT"


@dataclass(frozen=True, eq=False)
class FeatureState:
    """One feature: (s,) rows per slot of the profile, and what says how they depend on each other."""

    rows: Ints
    lags: LagSums


@dataclass(frozen=True, eq=False)
class WindowState:
    """`rows` rows, counted in the slots of the profile with this digest; `pairs` (LAGS,) of rows by lag."""

    profile: str
    rows: int
    pairs: Ints
    features: tuple[FeatureState, ...]

    def to_bytes(self) -> bytes:
        """The binary form; equal states have equal ones."""
        writer = Writer(_MAGIC, VERSION)
        writer.number("I", len(self.features))
        writer.number("Q", self.rows)
        writer.raw(bytes.fromhex(self.profile.removeprefix("sha256:")))
        writer.ints(self.pairs)
        for feature in self.features:
            writer.ints(feature.rows)
            for part in feature.lags.parts():
                writer.ints(part)
        return writer.finish()


def empty(profile: Profile) -> WindowState:
    """The state of no rows."""
    nothing = np.zeros(LAGS, np.int64)
    sums = LagSums(nothing, nothing, nothing, nothing)
    features = tuple(FeatureState(np.zeros(feature.slots, np.int64), sums) for feature in profile.features)
    return WindowState(profile.digest, 0, nothing, features)


def merge(first: WindowState, second: WindowState) -> WindowState:
    """The state of the rows of both.

    Raises:
        InputError: they have different profiles, or more rows than a state counts.
    """
    _check_profiles(first, second)
    if first.rows + second.rows > MOST_ROWS:
        raise InputError(f"two states have {first.rows + second.rows} rows; {MOST_ROWS} are allowed")
    return _combine(first, second, lambda one, other: one + other)


def subtract(whole: WindowState, part: WindowState) -> WindowState:
    """The state of the rows of `whole` that are not in `part`.

    Raises:
        InputError: they have different profiles, or `part` has rows that `whole` has not.
    """
    _check_profiles(whole, part)
    left = _combine(whole, part, lambda one, other: one - other)
    sums = [
        left.pairs,
        *(vector for feature in left.features for vector in (feature.rows, feature.lags.pairs)),
    ]
    if left.rows < 0 or any((vector < 0).any() for vector in sums):
        raise InputError("a state is taken away from one that does not hold it")
    return left


def parse_state(content: bytes, profile: Profile) -> WindowState:
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
    pairs = _bounded(reader, "pairs", 0, rows)
    features = tuple(
        FeatureState(rows_per_slot(reader, feature.name, feature.slots, rows), _sums(reader, rows))
        for feature in profile.features
    )
    reader.finish()
    return WindowState(digest, rows, pairs, features)


def _sums(reader: Reader, rows: int) -> LagSums:
    product = LARGEST_PRODUCT * rows
    return LagSums(
        _bounded(reader, "pairs of values", 0, rows),
        _bounded(reader, "level", -product, product),
        _bounded(reader, "spread", -product, product),
        _bounded(reader, "gaps", 0, rows),
    )


def _bounded(reader: Reader, what: str, low: int, high: int) -> Ints:
    found = reader.ints(what, LAGS)
    if int(found.min()) < low or int(found.max()) > high:
        reader.refuse(f"{what} are not from {low} to {high}")
    return found


def _check_profiles(first: WindowState, second: WindowState) -> None:
    if first.profile != second.profile:
        raise InputError(f"states of two profiles, {first.profile} and {second.profile}, do not add")


def _combine(first: WindowState, second: WindowState, by: Callable[[Ints, Ints], Ints]) -> WindowState:
    features = []
    for one, other in zip(first.features, second.features, strict=True):
        sums = (by(a, b) for a, b in zip(one.lags.parts(), other.lags.parts(), strict=True))
        features.append(FeatureState(by(one.rows, other.rows), LagSums(*sums)))
    rows = int(by(np.array([first.rows]), np.array([second.rows]))[0])
    return WindowState(first.profile, rows, by(first.pairs, second.pairs), tuple(features))
