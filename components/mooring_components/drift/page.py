"""The report as one HTML page: no network, no script, pictures of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mooring_artifacts.drift_pointers import Moved, Performance, Pointer, point
from mooring_artifacts.run_documents import PerformanceFound, RunFailure

from mooring_components.drift import timeline
from mooring_components.drift.columns import Table
from mooring_components.drift.evaluation import Feature, Findings
from mooring_components.drift.pictures import HEIGHT, WIDTH, Picture, draw
from mooring_components.drift.summary import by_movement, drifted_features, summarize
from mooring_components.drift.timeline import Timeline
from mooring_components.pages import render
from mooring_components.performance.wording import describe_counts, describe_estimate, describe_performance

_PACKAGE = "mooring_components.drift"
_MOST_PICTURES = 24
_MOST_ROWS = 1000
_LEAST_MISSING = 0.001


@dataclass(frozen=True)
class Judged:
    """How good predictions were; `when` is the time of the requests, in words that follow a noun."""

    found: PerformanceFound
    when: str

    def estimated(self) -> str:
        """Say what is estimated without labels."""
        return describe_estimate(self.found.estimate) if self.found.estimate else ""


def render_page(
    names: tuple[str, str],
    rows: tuple[int, int],
    findings: Findings,
    picture: Callable[[Feature], Picture | None],
    run_id: str = "",
    performance: Judged | None = None,
    past: Timeline | None = None,
) -> str:
    """The page.

    Args:
        names: what baseline and window are called.
        rows: how many they have.
        findings: everything that was found.
        picture: draws both distributions of a feature; called for those that are shown.
        run_id: of the run that compared; empty on a laptop.
        performance: of the predictions, where labels were asked for.
        past: the windows before this one.
    """
    drifted, features = drifted_features(findings), by_movement(findings.features)
    missing = sorted(
        (
            each
            for each in features
            if not each.slice and max(each.missing, each.missing_before) >= _LEAST_MISSING
        ),
        key=lambda each: -abs(each.missing - each.missing_before),
    )
    return render(
        _PACKAGE,
        "report.html.j2",
        verdict=summarize(findings, rows),
        run_id=run_id,
        names=names,
        rows=rows,
        drifted=[(feature, picture(feature)) for feature in drifted[:_MOST_PICTURES]],
        more=max(len(drifted) - _MOST_PICTURES, 0),
        features=features[:_MOST_ROWS],
        compared=len(features),
        missing=missing,
        changes=findings.schema_changes,
        slices=[(one, sum(each.drifted for each in findings.of(one.asked.name))) for one in findings.slices],
        past=past,
        past_size=(timeline.WIDTH, timeline.HEIGHT),
        performance=performance.found if performance else None,
        judged=performance.when if performance else "",
        estimated=performance.estimated() if performance else "",
        labelled=describe_counts(performance.found.counts) if performance else "",
        sizes=describe_sizes,
        pointers=_point(drifted, performance),
        width=WIDTH,
        height=HEIGHT,
    )


def _point(drifted: Sequence[Feature], judged: Judged | None) -> list[Pointer]:
    """Say where the evidence of this window points."""
    found = judged.found if judged is not None else None
    predictions: Performance = "Unknown"
    if found is not None and found.metrics and found.problem is None:
        predictions = "Dropped" if found.broken else "Holds"
    moved = [_moved(feature) for feature in drifted]
    return point(moved, predictions, drifted=bool(drifted))


def _moved(feature: Feature) -> Moved:
    effects = feature.effects
    distances = [test[0] for test in (feature.ks, feature.variation) if test is not None]
    sizes = effects.jensen_shannon, effects.unseen, effects.out_of_range
    return Moved.found(feature.title, feature.test, distances, *sizes)


def describe_sizes(feature: Feature) -> str:
    """Say in a line which test decided, and how large what it found is."""
    effects = feature.effects
    told = [f"decided by {feature.test}"]
    if effects.jensen_shannon is not None:
        told.append(f"Jensen-Shannon distance {effects.jensen_shannon:.3f}")
    if effects.moved is not None:
        told.append(f"moved by {effects.moved:.4g} on average")
    for share, words in ((effects.unseen, "unseen"), (effects.out_of_range, "out of the baseline's range")):
        if share:
            told.append(f"{share:.1%} {words}")
    return ", ".join(told)


def render_failure(failure: RunFailure) -> str:
    """The page of an evaluation that compared nothing: why."""
    judged = describe_performance(failure.performance) if failure.performance else ""
    return render(_PACKAGE, "failure.html.j2", failure=failure, performance=judged)


def draw_rows(tables: tuple[Table, Table], feature: Feature) -> Picture | None:
    """The picture of a feature whose rows are there."""
    before, now = (table.column(feature.name) for table in tables)
    return draw(before, now, feature.kind)
