"""Compares two files of a laptop, as a DriftMonitor would compare them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from mooring_artifacts.text import shortened, visible

from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import Feature, Findings, evaluate
from mooring_components.drift.files import read_file
from mooring_components.drift.page import render_page

_NAMED = 5
_LONGEST = 60


@dataclass(frozen=True)
class Check:
    """Two tables and what was found about them; `baseline` and `window` are the files' names."""

    baseline: str
    window: str
    tables: tuple[pa.Table, pa.Table]
    findings: Findings

    @property
    def drifted(self) -> list[Feature]:
        """The features that drifted, those that moved most first."""
        return [feature for feature in by_movement(self.findings.features) if feature.drifted]

    @property
    def verdict(self) -> str:
        """`Drift`, `NoDrift`, or `Unknown` where no column could be compared."""
        if not self.findings.features:
            return "Unknown"
        return "Drift" if self.drifted else "NoDrift"

    def sentence(self) -> str:
        """The verdict in one line."""
        found, drifted = self.findings, self.drifted
        if not found.features:
            text = "cannot tell: no column could be compared"
        else:
            text = f"{len(drifted)} of {len(found.features)} features drifted" if drifted else "no drift"
            if drifted:
                named = ", ".join(shortened(feature.name, _LONGEST) for feature in drifted[:_NAMED])
                text += f": {named}" + (f" and {len(drifted) - _NAMED} more" if len(drifted) > _NAMED else "")
            else:
                text += f" in {len(found.features)} features"
        rows = f"{self.tables[1].num_rows} rows against {self.tables[0].num_rows}"
        changes = found.schema_changes
        told = ", ".join(f"{shortened(one.name, _LONGEST)} ({one.change})" for one in changes[:_NAMED])
        more = f" and {len(changes) - _NAMED} more" if len(changes) > _NAMED else ""
        schema = f"; the schema changed: {told}{more}" if changes else ""
        return visible(f"{text}; {rows}{schema}")

    def document(self) -> dict[str, Any]:
        """Everything that was found, for programs."""
        return {
            "verdict": self.verdict,
            "message": self.sentence(),
            "baseline": {"path": self.baseline, "rows": self.tables[0].num_rows},
            "window": {"path": self.window, "rows": self.tables[1].num_rows},
            "driftedFeatures": [feature.name for feature in self.drifted],
            "features": [_feature(feature) for feature in by_movement(self.findings.features)],
            "schemaChanges": [vars(change) for change in self.findings.schema_changes],
        }

    def page(self) -> str:
        """The report: one HTML page that needs nothing else."""
        return render_page(
            self.sentence(), (self.baseline, self.window), self.tables, self.drifted, self.findings
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
    categories: Collection[str] = (),
    min_rows: int = 100,
    alpha: float = Detectors.alpha,
    tell: Callable[[str, int], None] = lambda name, total: None,
) -> Check:
    """Compare two files; `tell` is called with each column of the window that is read, and their number.

    Raises:
        EvaluationError: they cannot be compared.
    """
    before, now = read_file(baseline, "--baseline"), read_file(window, "--window")
    followed, detectors = _Followed(now, tell), Detectors(alpha=alpha)
    found = evaluate(before, followed, features or None, min_rows, detectors, frozenset(categories))
    return Check(str(baseline), str(window), (before, now), found)


def by_movement(features: Sequence[Feature]) -> list[Feature]:
    """The features that moved most first."""

    def movement(feature: Feature) -> tuple[bool, float, str]:
        tests = (feature.ks, feature.psi, feature.variation)
        return not feature.drifted, -max((test[0] for test in tests if test), default=0.0), feature.name

    return sorted(features, key=movement)


def _feature(feature: Feature) -> dict[str, Any]:
    def test(pair: tuple[float, float] | None) -> dict[str, float] | None:
        return {"statistic": pair[0], "pValue": pair[1]} if pair else None

    return {
        "name": feature.name,
        "drifted": feature.drifted,
        "reason": feature.reason,
        "kind": feature.kind,
        "ks": test(feature.ks),
        "psi": test(feature.psi),
        "variation": test(feature.variation),
        "rows": feature.rows,
        "missing": feature.missing,
        "hint": feature.hint,
        "eValue": feature.e_value,
    }
