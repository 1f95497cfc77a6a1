"""Statistics of many features of numbers that were counted in slots, all of them in the same steps.

They are those of `slots`, feature by feature, and cost a fraction: hundreds of features of hundreds of slots are one
array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, starmap
from typing import Any

import numpy as np
import numpy.typing as npt
from mooring_artifacts.window_states import Numbers as NumberFeature
from mooring_artifacts.window_states.dependence import RANKS

from mooring_components.drift import dependence, slots, transport
from mooring_components.drift.statistics import Numbers

Counts = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Together:
    """Rows per slot of f features, one feature after the other, without missing values.

    starts: (f + 1,) where each feature begins and ends. before, now: (s,) rows of baseline and window per slot; each
    feature has some on both sides. alone: (s,) which slots hold one value only. widths: (s,) how far a slot's edges
    are apart, 0 beyond the baseline's range.
    """

    starts: Counts
    before: Counts
    now: Counts
    alone: npt.NDArray[np.bool_]
    widths: Numbers

    @cached_property
    def distances(self) -> Numbers:
        """Kolmogorov and Smirnov's D of each feature, as far as it is certain."""
        first, second = self._shares
        distances: Numbers = np.maximum.reduceat(np.abs(first - second), self.starts[:-1])
        return distances

    @cached_property
    def moved(self) -> Numbers:
        """Wasserstein's distance of each feature, as far as it is certain, within the baseline's range."""
        first, second = self._shares
        before, now = (
            rows / np.repeat(total, self._sizes)
            for rows, total in zip((self.before, self.now), self._totals, strict=True)
        )
        gaps = transport.certain_gap(first - before, first, second - now, second)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._sums(gaps * self.widths)

    @cached_property
    def shifts(self) -> Numbers:
        """The rank shift of each feature that there is at least, however rows lie inside of their slots."""
        below = self._upto(self.before) - self.before / 2
        most = self._totals[0].astype(np.float64) * self._totals[1]
        shifts = self._sums(self.now * below) / most - 0.5
        inside = np.where(self.alone, 0.0, self.before.astype(np.float64) * self.now)
        unknown = self._sums(inside) / most / 2
        certain: Numbers = np.copysign(np.maximum(np.abs(shifts) - unknown, 0.0), shifts)
        return certain

    def inflations(self, level: Counts, spread: Counts, pairs: Counts) -> list[float | None]:
        """By what rows of each feature say less; the sums over pairs are (f, LAGS) each."""
        middle = self._upto(self.before) - self.before / 2
        part = np.floor(middle * RANKS / np.repeat(self._totals[0], self._sizes))
        ranks = 2 * np.clip(part, 0, RANKS - 1) - (RANKS - 1)
        found = []
        for series, products in ((ranks, level), (2 * np.abs(ranks) - (RANKS - 1), spread)):
            mean = self._sums(series * self.now) / self._totals[1]
            variance = self._sums(series**2 * self.now) / self._totals[1] - mean**2
            found.append(dependence.of_many_pairs(products, pairs, mean**2, variance))
        return [
            None if one is None or other is None else max(one, other)
            for one, other in zip(*found, strict=True)
        ]

    def bins(self, wanted: int) -> list[tuple[Numbers, Numbers]]:
        """Rows of both sides of each feature in quantile bins of its baseline, as `slots.bin_rows` gives them."""
        features, ends = self._bin_ends(wanted)
        first = np.searchsorted(features, np.arange(len(self._sizes) + 1))
        sides = [
            (self._upto(rows)[self.starts[features] + ends], totals)
            for rows, totals in zip((self.before, self.now), self._totals, strict=True)
        ]
        return [
            (_between(*sides[0], feature, part), _between(*sides[1], feature, part))
            for feature, part in enumerate(starmap(slice, pairwise(first.tolist())))
        ]

    def _bin_ends(self, wanted: int) -> tuple[Counts, Counts]:
        """The feature, and the slot in it, of the end of each bin but the last.

        An end is the upper end of a slot (2 * slot + 1), or the number below that (2 * slot), as
        `statistics.bin_edges` has them: an end is there once, by its value, however many are in a slot.
        """
        place = np.arange(len(self._sizes))
        ranks = np.arange(1, wanted) * self._totals[0][:, None] // wanted
        # Each feature's rows are beyond those of the features before it, so that one search does.
        apart = int(self._totals[0].max()) + 1
        upto = self._upto(self.before) + np.repeat(place * apart, self._sizes)
        cuts = np.searchsorted(upto, ranks + (place * apart)[:, None], "right")
        repeated = cuts[:, 1:][cuts[:, 1:] == cuts[:, :-1]]
        used = np.flatnonzero(self.before)
        bounds = np.searchsorted(used, self.starts)
        lowest, highest = used[bounds[:-1]], used[bounds[1:] - 1]
        just_below = np.concatenate([repeated, lowest])
        # The number below a value that has its slot alone is the upper end of the slot before.
        ends = np.unique(
            np.concatenate(
                [2 * cuts.ravel() + 1, 2 * highest + 1, 2 * just_below - self.alone[just_below]],
            )
        )
        slot = ends // 2
        features = np.searchsorted(self.starts, slot, "right") - 1
        return features, slot - self.starts[features]

    @cached_property
    def _sizes(self) -> Counts:
        return np.diff(self.starts)

    @cached_property
    def _totals(self) -> tuple[Counts, Counts]:
        return self._sums(self.before), self._sums(self.now)

    @cached_property
    def _shares(self) -> tuple[Numbers, Numbers]:
        """The share of each side's rows up to each slot."""
        first, second = (
            self._upto(rows) / np.repeat(total, self._sizes)
            for rows, total in zip((self.before, self.now), self._totals, strict=True)
        )
        return first, second

    def _sums(self, values: Numbers) -> Numbers:
        sums: Numbers = np.add.reduceat(values, self.starts[:-1])
        return sums

    def _upto(self, rows: Counts) -> Counts:
        """Rows of a feature up to each of its slots."""
        upto = np.cumsum(rows)
        within: Counts = upto - np.repeat(upto[self.starts[1:] - 1] - self._sums(rows), self._sizes)
        return within


def _between(upto: Counts, totals: Counts, feature: int, part: slice) -> Numbers:
    rows: Numbers = np.diff(np.concatenate([[0], upto[part], totals[feature : feature + 1]])).astype(
        np.float64
    )
    return rows


def put_together(features: Sequence[NumberFeature], rows: Sequence[Counts]) -> Together:
    """Features, and the window's rows per slot of each, the missing ones at last; both sides have others."""
    starts = np.cumsum([0, *(feature.slots - 1 for feature in features)])
    return Together(
        starts,
        np.concatenate([feature.rows[:-1] for feature in features]),
        np.concatenate([each[:-1] for each in rows]),
        np.concatenate([slots.alone(feature.edges) for feature in features]),
        np.concatenate([_widths(feature.edges) for feature in features]),
    )


def _widths(edges: Numbers) -> Numbers:
    """How far the edges of each of the len(edges) + 1 slots are apart."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.concatenate([[0.0], np.diff(slots.places(edges)), [0.0]])
