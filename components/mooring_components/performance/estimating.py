"""Estimates accuracy without labels, from how sure a classifier is: confidence-based performance estimation (CBPE).

Where a model that says 90 % is right in nine of ten rows, the mean of what it says is its accuracy, also of traffic
that has moved. What the confidence of labelled rows was off by, in bins of equally many, is added (histogram binning:
Zadrozny & Elkan 2001), so it need not be calibrated, but it has to be as wrong as it was. Where a label depends
otherwise on the features than before (concept drift), no estimate without labels can see it.

Source: NannyML's documentation, "Estimation of Performance of the Monitored Model".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from mooring_components.intervals import Estimate, Z

Floats = npt.NDArray[np.float64]

LEAST_ROWS = 1000
"""Labelled rows below which confidence cannot be checked."""
_MOST_BINS = 20
_BIN_ROWS = 100
_MOST_OFF = 0.1
_IMPLAUSIBLE = 1e-3
_WORTH = 0.02


@dataclass(frozen=True)
class Calibration:
    """How confidence was off in labelled rows, in bins.

    edges: (bins - 1,), between them. confidence, right: (bins,), means of rows. rows: (bins,).
    """

    edges: Floats
    confidence: Floats
    right: Floats
    rows: Floats

    def bins_of(self, confidence: Floats) -> npt.NDArray[np.int64]:
        """Which bin each confidence, (n,), is in."""
        return np.searchsorted(self.edges, confidence, side="right")

    def corrected(self, confidence: Floats) -> Floats:
        """The chance of each row, (n,), to be right."""
        off = (self.right - self.confidence)[self.bins_of(confidence)]
        return np.clip(confidence + off, 0.0, 1.0)


def calibrate(confidence: Floats, right: Floats) -> Calibration:
    """Learn how confidence, (n,), was off from whether each row was right, (n,)."""
    bins = min(_MOST_BINS, max(1, len(confidence) // _BIN_ROWS))
    quantiles = np.linspace(0, 1, bins + 1)[1:-1]
    edges = np.unique(np.quantile(confidence, quantiles))
    at = np.searchsorted(edges, confidence, side="right")
    rows = np.bincount(at, minlength=len(edges) + 1).astype(np.float64)
    there = np.maximum(rows, 1)
    said = np.bincount(at, weights=confidence, minlength=len(rows)) / there
    hits = np.bincount(at, weights=right, minlength=len(rows)) / there
    return Calibration(edges, said, np.where(rows > 0, hits, said), rows)


def check(confidence: Floats, right: Floats) -> str:
    """Say why confidence, (n,), does not tell how often a model is right; empty where it does.

    Rows are in the order of time. It is off by .1 at most, on average over bins. What the first half of the rows
    teaches holds in the second: in each bin as many are right as are expected (chi-square of bins, Hosmer & Lemeshow
    1980), or nearly, by .02 on average.
    """
    if len(right) < LEAST_ROWS:
        return f"{len(right)} labelled rows cannot show whether confidence is right; {LEAST_ROWS} can"
    whole = calibrate(confidence, right)
    off = float((np.abs(whole.right - whole.confidence) * whole.rows).sum() / len(right))
    if off > _MOST_OFF:
        return f"confidence is no chance of being right: it is off by {off:.2f} on average"
    half = len(right) // 2
    learned = calibrate(confidence[:half], right[:half])
    moved, chance = _compare(learned, confidence[half:], right[half:])
    if chance < _IMPLAUSIBLE and moved > _WORTH:
        return f"confidence is off in another way in the later half of the rows, by {moved:.3f} on average"
    return ""


def _compare(learned: Calibration, confidence: Floats, right: Floats) -> tuple[float, float]:
    """Give how far from what was learned rows are, on average over bins, and how likely one so large is by chance."""
    expected, bins = learned.corrected(confidence), learned.bins_of(confidence)
    rows = np.bincount(bins, minlength=len(learned.rows)).astype(np.float64)
    gaps = np.bincount(bins, weights=right - expected, minlength=len(rows))
    # What was learned is uncertain, too.
    variance = _variance(learned) * rows * (1 + rows / np.maximum(learned.rows, 1)) * learned.rows
    known = variance > 0
    statistic = float((np.square(gaps[known]) / variance[known]).sum())
    chance = float(special.chdtrc(max(int(known.sum()), 1), statistic))
    return float(np.abs(gaps).sum() / rows.sum()), chance


def estimate_accuracy(calibration: Calibration, confidence: Floats) -> Estimate:
    """Estimate the accuracy of rows without labels from their confidence, (n,), with an interval of 95 %.

    The interval holds for what the labels of these rows would show, where confidence is as wrong as it was.
    """
    chances = calibration.corrected(confidence)
    bins = calibration.bins_of(confidence)
    shares = np.bincount(bins, minlength=len(calibration.rows)) / len(confidence)
    learned = np.square(shares) * _variance(calibration)
    drawn = float((chances * (1 - chances)).sum()) / len(confidence) ** 2
    half = Z * float(np.sqrt(learned.sum() + drawn))
    value = float(chances.mean())
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))


def _variance(calibration: Calibration) -> Floats:
    """The variance of each bin's share of right rows, (bins,); of bins of all or nothing by Agresti & Coull 1998."""
    rows = np.maximum(calibration.rows, 1)
    shrunk = (calibration.right * rows + 2) / (rows + 4)
    variance: Floats = shrunk * (1 - shrunk) / rows
    return variance
