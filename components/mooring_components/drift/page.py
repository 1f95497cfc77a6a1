"""The report as one HTML page: no network, no script, pictures of its own."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from mooring_components.drift.comparison import gaps
from mooring_components.drift.evaluation import Feature, Findings
from mooring_components.drift.pictures import HEIGHT, WIDTH, Picture, draw
from mooring_components.pages import render

_MOST_PICTURES = 24
_LEAST_MISSING = 0.001


def render_page(
    verdict: str,
    names: tuple[str, str],
    tables: tuple[pa.Table, pa.Table],
    drifted: Sequence[Feature],
    findings: Findings,
) -> str:
    """The page.

    Args:
        verdict: one sentence.
        names: what baseline and window are called.
        tables: their rows.
        drifted: the features that drifted, those that matter most first.
        findings: everything that was found.
    """
    missing = [(feature, _missing(tables[0], feature.name), feature.missing) for feature in findings.features]
    return render(
        "mooring_components.drift",
        "report.html.j2",
        verdict=verdict,
        names=names,
        rows=[table.num_rows for table in tables],
        drifted=[(feature, _picture(tables, feature)) for feature in drifted[:_MOST_PICTURES]],
        more=max(len(drifted) - _MOST_PICTURES, 0),
        features=[*drifted, *(feature for feature in findings.features if not feature.drifted)],
        missing=sorted(
            (each for each in missing if max(each[1:]) >= _LEAST_MISSING),
            key=lambda each: -abs(each[2] - each[1]),
        ),
        changes=findings.schema_changes,
        width=WIDTH,
        height=HEIGHT,
    )


def _picture(tables: tuple[pa.Table, pa.Table], feature: Feature) -> Picture | None:
    before, now = (table.column(feature.name) for table in tables)
    return draw(before, now, feature.kind)


def _missing(table: pa.Table, name: str) -> float:
    empty = gaps(table.column(name))
    return float(empty.mean()) if len(empty) else 0.0
