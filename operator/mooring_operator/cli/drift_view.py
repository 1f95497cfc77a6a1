"""Writes what a DriftMonitor has found."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from mooring_operator.api import DriftMonitorStatus
from mooring_operator.api.drift_arrivals import Arrivals
from mooring_operator.api.drift_findings import Evaluation, FeatureDrift, TestResult
from mooring_operator.api.drift_notify import Receiver
from mooring_operator.api.drift_operation import OperationStatus
from mooring_operator.api.drift_performance import LabelCounts, PerformanceEstimate, PerformanceStatus
from mooring_operator.api.retraining import Retraining
from mooring_operator.api.types import format_time
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.failures import failure_lines
from mooring_operator.cli.styles import phase_style
from mooring_operator.cli.tables import heading, plain_table
from mooring_operator.cli.times import age
from mooring_operator.planning.drift.notices import by_fingerprint
from mooring_operator.planning.drift.retraining import describe_wait


def parse_status(item: dict[str, Any]) -> DriftMonitorStatus:
    """Read a DriftMonitor's status.

    Raises:
        CliError: another version of Mooring wrote it.
    """
    try:
        return DriftMonitorStatus.model_validate(item.get("status") or {})
    except ValidationError as error:
        raise CliError(
            f"DriftMonitor {item['metadata']['name']} cannot be read: {error.errors()[0]['msg']}",
            hint="is this command line of the operator's version? -o json shows the object",
        ) from error


class DriftView:
    """A DriftMonitor as text."""

    def __init__(self, item: dict[str, Any], now: datetime) -> None:
        self._item = item
        self._status = parse_status(item)
        self._now = now

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Write the phase, the last evaluation and its features."""
        metadata, status = self._item["metadata"], self._status
        yield Text.assemble(
            ("DriftMonitor ", "dim"),
            (f"{metadata.get('namespace', '')}/{metadata['name']}", "bold"),
            "  ",
            (status.phase, f"bold {phase_style(status.phase)}"),
        )
        if status.message:
            yield Text(status.message)
        yield from failure_lines(status.conditions)
        yield Text.assemble(("Watches ", "dim"), _watched(self._item["spec"].get("target")))
        if status.evaluation is not None:
            yield from self._evaluation(status.evaluation)
        if status.gathering is not None and status.gathering.message != status.message:
            yield Text(f"  next: {status.gathering.message}", "dim")
        if status.arrivals is not None:
            yield from _arrivals(status.arrivals)
        if status.performance is not None:
            yield from _performance(status.performance)
        if status.operation is not None:
            yield from _operation(status.operation)
        if status.suggestions:
            yield heading("Suggested")
            yield plain_table(
                ["ABOUT", "ACTION", "BY THE SPEC", "WHY"],
                [
                    [one.points_at, one.action, "yes" if one.listed else "no", one.message]
                    for one in status.suggestions
                ],
            )
        if status.actions:
            yield heading("Actions")
            yield plain_table(
                ["ACTION", "ON", "STATE", "SINCE", "REVISION", "WHY"],
                [
                    [
                        one.action,
                        one.cause,
                        one.state,
                        age(one.at, self._now),
                        one.revision or "-",
                        one.message,
                    ]
                    for one in status.actions
                ],
            )
        yield from self._receivers()
        if status.retraining is not None:
            yield from _retraining(status.retraining, self._now)
        rows = [
            [one.type, one.status, age(one.last_transition_time, self._now), one.reason]
            for one in status.conditions
        ]
        if rows:
            yield heading("Conditions")
            yield plain_table(["CONDITION", "STATUS", "SINCE", "REASON"], rows)

    def _receivers(self) -> Iterator[RenderableType]:
        """Write who is told, and what became of it; addresses may be keys, and are cut."""
        receivers = [Receiver.model_validate(each) for each in self._item["spec"].get("notify", [])]
        known = {(notice.receiver, notice.cause): notice for notice in self._status.notices}
        rows = []
        wanted = by_fingerprint(receivers).items()
        for key, receiver, cause in ((key, each, cause) for key, each in wanted for cause in each.causes):
            notice = known.get((key, cause))
            told = (
                [notice.told, notice.state, age(notice.at, self._now), notice.message]
                if notice
                else ["-"] * 4
            )
            rows.append([receiver.title, cause, *told])
        if rows:
            yield heading("Receivers")
            yield plain_table(["RECEIVER", "OF", "TOLD", "STATE", "SINCE", "MESSAGE"], rows)

    def _evaluation(self, evaluation: Evaluation) -> Iterator[RenderableType]:
        yield heading("Last evaluation")
        yield Text(
            f"  {age(evaluation.time, self._now)} ago: {evaluation.features_drifted} of "
            f"{evaluation.features_tested} features drifted; {evaluation.window_rows} rows against "
            f"{evaluation.baseline_rows} of the baseline"
            + (f"; revision {evaluation.revision}" if evaluation.revision else "")
        )
        if evaluation.report_url:
            yield Text(f"  report: {evaluation.report_url}")
        if evaluation.window_since is not None and evaluation.window_until is not None:
            yield Text(
                f"  window from {format_time(evaluation.window_since)} to {format_time(evaluation.window_until)}"
            )
        if evaluation.features:
            yield heading("Features")
            yield plain_table(
                ["FEATURE", "DRIFTED", "KS D", "KS P", "PSI", "PSI P", "MISSING", "REASON"],
                [_feature(feature) for feature in evaluation.features],
            )
        yield from _sizes([each for each in evaluation.features if each.drifted])
        if evaluation.slices:
            yield heading("Slices")
            yield plain_table(
                ["SLICE", "BASELINE", "WINDOW", "DRIFTED", "NOT COMPARED"],
                [
                    [
                        one.name,
                        str(one.baseline_rows),
                        str(one.window_rows),
                        "-" if one.message else str(one.features_drifted),
                        one.message or "-",
                    ]
                    for one in evaluation.slices
                ],
            )
        if evaluation.schema_changes:
            yield heading(f"Schema changes ({evaluation.schema_changed})")
            yield plain_table(
                ["COLUMN", "CHANGE", "BASELINE", "WINDOW"],
                [[c.name, c.change, c.baseline or "-", c.window or "-"] for c in evaluation.schema_changes],
            )


def _watched(target: dict[str, Any] | None) -> str:
    return "two data sets" if not target else f"{target.get('kind', 'ModelDeployment')} {target['name']}"


def _arrivals(found: Arrivals) -> Iterator[RenderableType]:
    """Write what is odd about how rows came; the condition DataFresh says what to do."""
    if found.late:
        yield Text(f"  {found.late} rows came after their window was evaluated, and are in none", "yellow")
    if found.repeated:
        yield Text(f"  {found.repeated} rows were kept twice, and count once", "yellow")


def _performance(found: PerformanceStatus) -> Iterator[RenderableType]:
    """Write how good predictions are, by labels."""
    yield heading("Performance")
    counts = found.labels
    if found.since is not None and found.until is not None:
        yield Text(f"  requests from {format_time(found.since)} to {format_time(found.until)}")
    yield Text(f"  {counts.labelled} of {counts.answered} have a label{_odd(counts)}")
    for rule in found.broken:
        yield Text(f"  {rule}", "red")
    if found.message:
        yield Text(f"  {found.message}", "yellow" if found.reason else "")
    yield from _estimate(found.estimate)
    if found.metrics:
        yield plain_table(
            ["METRIC", "VALUE", "FROM", "TO", "BASELINE"],
            [
                [each.metric, *_numbers(each.value, each.low, each.high, each.baseline)]
                for each in found.metrics
            ],
        )


def _estimate(found: PerformanceEstimate | None) -> Iterator[RenderableType]:
    """Write how good predictions without labels probably are."""
    if found is None:
        return
    if found.metric is None:
        yield Text(f"  no estimate without labels: {found.message}", "yellow")
        return
    metrics = ", ".join(
        "{} {} ({} to {})".format(each.metric, *_numbers(each.value, each.low, each.high))
        for each in (found.metric, *found.others)
    )
    said = f"estimated without labels, of {found.rows} requests: {metrics}"
    notes = [*found.broken, *([found.message] if found.message else [])]
    yield Text(f"  {'; '.join([said, *notes])}", "red" if found.broken else "")


def _operation(found: OperationStatus) -> Iterator[RenderableType]:
    """Write how requests were answered."""
    yield heading("Operation")
    reference = found.reference
    before = None if reference is None else f"{_milliseconds(reference.p95)}, {reference.per_second:.3g}/s"
    yield Text(
        f"  {found.errors} of {found.requests} requests failed; {found.per_second:.3g}/s; latency p50 "
        f"{_milliseconds(found.p50)}, p95 {_milliseconds(found.p95)}, p99 {_milliseconds(found.p99)}"
        + (f"; at first p95 {before}" if before else "")
    )
    for rule in found.broken:
        yield Text(f"  {rule}", "red")


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.3g} ms"


def _odd(counts: LabelCounts) -> str:
    odd = {
        "came again": counts.duplicates,
        "differ": counts.conflicting,
        "are of other requests": counts.unknown,
        "without id or value": counts.empty,
    }
    said = ", ".join(f"{count} {words}" for words, count in odd.items() if count)
    return f"; labels: {said}" if said else ""


def _numbers(*values: float | None) -> list[str]:
    return ["-" if value is None else f"{value:.4g}" for value in values]


def _retraining(training: Retraining, now: datetime) -> Iterator[RenderableType]:
    yield heading("Training")
    run = f"; run {training.current}, {training.state.lower()}" if training.current else ""
    yield Text(f"  {training.stage}, begun {age(training.started_at, now)} ago{run}")
    if training.url and training.current:
        yield Text(f"  {training.url}")
    if training.message:
        yield Text(f"  {training.message}")
    if waits := describe_wait(training):
        yield Text(f"  drift has begun again; {waits}")


def _feature(feature: FeatureDrift) -> list[str | Text]:
    drifted = Text("yes", "red") if feature.drifted else Text("no", "green")
    tests = [*_test(feature.ks), *_test(feature.psi)]
    return [feature.title, drifted, *tests, f"{feature.missing:.1%}", feature.reason or feature.hint]


def _sizes(drifted: Sequence[FeatureDrift]) -> Iterator[RenderableType]:
    """Write how large what drifted is, and of what kind."""
    known = [each for each in drifted if each.test]
    if not known:
        return
    yield heading("How large")
    yield plain_table(
        ["FEATURE", "TEST", "JENSEN-SHANNON", "MOVED BY", "UNSEEN", "OUT OF RANGE", "MISSING"],
        [
            [
                each.title,
                each.test,
                "-" if each.jensen_shannon is None else f"{each.jensen_shannon:.3f}",
                *_numbers(each.wasserstein),
                _share(each.unseen),
                _share(each.out_of_range),
                f"{_share(each.missing_before)} -> {_share(each.missing)}",
            ]
            for each in known
        ],
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _test(result: TestResult | None) -> tuple[str, str]:
    return (f"{result.statistic:.3f}", f"{result.p_value:.2g}") if result else ("-", "-")
