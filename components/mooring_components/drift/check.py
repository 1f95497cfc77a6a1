"""Compares two files of a laptop, as a DriftMonitor would compare them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from mooring_artifacts.drift_slices import DriftSlice
from mooring_artifacts.feature_settings import NOTHING_DECLARED, FeatureSettings

from mooring_components.drift.comparison import PLAIN_ALPHA, Detectors
from mooring_components.drift.evaluation import Feature, Findings, SliceFound, evaluate
from mooring_components.drift.files import read_file
from mooring_components.drift.page import draw_rows, render_page
from mooring_components.drift.slices import SliceTables, by_name, cut, pair
from mooring_components.drift.summary import by_movement, drifted_features, summarize
from mooring_components.drift.texts import Described


@dataclass(frozen=True)
class Check:
    """Two tables and what was found about them; `baseline` and `window` are the files' names."""

    baseline: str
    window: str
    tables: tuple[Described, Described]
    findings: Findings
    slices: Sequence[SliceTables] = ()

    @property
    def drifted(self) -> list[Feature]:
        """The features that drifted, those that moved most first."""
        return drifted_features(self.findings)

    @property
    def _rows(self) -> tuple[int, int]:
        return self.tables[0].num_rows, self.tables[1].num_rows

    @property
    def verdict(self) -> str:
        """`Drift`, `NoDrift`, or `Unknown` where no column could be compared."""
        if not self.findings.features:
            return "Unknown"
        return "Drift" if self.drifted else "NoDrift"

    def sentence(self) -> str:
        """The verdict in one line."""
        return summarize(self.findings, self._rows)

    def document(self) -> dict[str, Any]:
        """Everything that was found, for programs."""
        return {
            "verdict": self.verdict,
            "message": self.sentence(),
            "baseline": {"path": self.baseline, "rows": self.tables[0].num_rows},
            "window": {"path": self.window, "rows": self.tables[1].num_rows},
            "driftedFeatures": list(dict.fromkeys(feature.name for feature in self.drifted)),
            "features": [_feature(feature) for feature in by_movement(self.findings.features)],
            "schemaChanges": [vars(change) for change in self.findings.schema_changes],
            "slices": [_slice(one, self.findings) for one in self.findings.slices],
        }

    def page(self) -> str:
        """The report: one HTML page that needs nothing else."""
        names = self.baseline, self.window
        tables = by_name(self.tables, self.slices)
        return render_page(
            names, self._rows, self.findings, lambda feature: draw_rows(tables[feature.slice], feature)
        )


class _Followed:
    """A table that tells which column is read."""

    def __init__(self, table: pa.Table, tell: Callable[[str, int], None]) -> None:
        self._table, self._tell = table, tell
        self.num_rows, self.schema = table.num_rows, table.schema

    def column(self, name: str) -> pa.ChunkedArray:
        self._tell(name, self._table.num_columns)
        return self._table.column(name)


def check_files(
    baseline: Path,
    window: Path,
    *,
    features: Sequence[str] = (),
    settings: FeatureSettings = NOTHING_DECLARED,
    slices: Sequence[DriftSlice] = (),
    min_rows: int = 100,
    alpha: float | None = None,
    plain: bool = False,
    tell: Callable[[str, int], None] = lambda name, total: None,
) -> Check:
    """Compare two files; `tell` is called with each column of the window that is read, and their number.

    `plain` judges each feature by itself; `slices` are compared beside the whole.

    Raises:
        EvaluationError: they cannot be compared.
    """
    before, now = read_file(baseline, "--baseline"), read_file(window, "--window")
    first = cut(before, slices, settings)
    second = cut(_Followed(now, tell), slices, settings, first)
    parts = pair(slices, first, second, min_rows)
    tables = first.whole, second.whole
    detectors = _detectors(alpha, plain=plain)
    found = evaluate(*tables, features or None, min_rows, detectors, settings, parts)
    return Check(str(baseline), str(window), tables, found, parts)


def _detectors(alpha: float | None, *, plain: bool) -> Detectors:
    usual = PLAIN_ALPHA if plain else Detectors.alpha
    return Detectors(alpha=usual if alpha is None else alpha, plain=plain)


def _slice(found: SliceFound, findings: Findings) -> dict[str, Any]:
    asked, features = found.asked, findings.of(found.asked.name)
    return {
        "name": asked.name,
        "column": asked.column,
        "values": asked.values,
        "baselineRows": found.rows[0],
        "windowRows": found.rows[1],
        "problem": found.problem,
        "driftedFeatures": [feature.name for feature in by_movement(features) if feature.drifted],
    }


def _feature(feature: Feature) -> dict[str, Any]:
    effects = feature.effects

    def test(pair: tuple[float, float] | None) -> dict[str, float] | None:
        return {"statistic": pair[0], "pValue": pair[1]} if pair else None

    return {
        "name": feature.name,
        "slice": feature.slice,
        "drifted": feature.drifted,
        "reason": feature.reason,
        "test": feature.test,
        "kind": feature.kind,
        "ks": test(feature.ks),
        "psi": test(feature.psi),
        "variation": test(feature.variation),
        "likelihoodRatio": test(effects.likelihood_ratio),
        "jensenShannon": effects.jensen_shannon,
        "wasserstein": effects.moved,
        "rows": feature.rows,
        "missing": feature.missing,
        "missingBefore": feature.missing_before,
        "unseen": effects.unseen,
        "outOfRange": effects.out_of_range,
        "hint": feature.hint,
        "eValue": feature.e_value,
    }
