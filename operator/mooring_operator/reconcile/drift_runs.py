"""Asks for evaluations of drift and reads what they found."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from mooring_artifacts.run_documents import (
    ArrivalsFound,
    DriftReport,
    OperationFound,
    PerformanceFound,
    RunFailure,
    Test,
)
from mooring_artifacts.run_documents import FeatureDrift as ReportedFeature
from mooring_artifacts.run_documents import PerformanceEstimate as Estimate
from mooring_artifacts.run_documents import SchemaChange as ReportedChange
from mooring_artifacts.run_documents import SliceFound as ReportedSlice

from mooring_operator.adapters.documents import DocumentInvalid
from mooring_operator.adapters.pipelines import Pipelines
from mooring_operator.api import API_VERSION, reasons
from mooring_operator.api.drift_arrivals import Arrivals
from mooring_operator.api.drift_detectors import KolmogorovSmirnov, PopulationStability
from mooring_operator.api.drift_findings import FeatureDrift, PastWindow, SchemaChange, TestResult
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_operation import OperationStatus
from mooring_operator.api.drift_performance import (
    MOST_METRICS,
    MOST_RULES,
    LabelCounts,
    MetricFound,
    Performance,
    PerformanceEstimate,
    PerformanceStatus,
    SoughtPerformance,
)
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.drift_slices import SliceFound
from mooring_operator.api.drift_status import EvaluationRun
from mooring_operator.api.types import format_time
from mooring_operator.planning.drift.evaluations import Findings, NoFindings
from mooring_operator.planning.drift.evidence import LIMITS
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.runs.run import JsonValue, RunOwner, RunRequest, RunState
from mooring_operator.planning.status.wording import one_line
from mooring_operator.reconcile.answers import Answers, Place, shown

EVALUATION_PIPELINE = "drift-evaluation"
# Evaluations come again and again: the finished ones do not pile up for a day.
_KEPT = timedelta(minutes=10)
_LONGEST_NAME = 253
_QUIET = (reasons.INSUFFICIENT_DATA, reasons.GATHERING_WINDOW, reasons.WINDOW_EMPTY)


class DriftRuns:
    """The runs of pipeline drift-evaluation, none of which may take longer than `longest`."""

    def __init__(self, pipelines: Pipelines, answers: Answers, longest: timedelta) -> None:
        self._pipelines = pipelines
        self._answers = answers
        self.longest = longest

    @property
    def narrow(self) -> bool:
        """Whether runs take no characters beyond U+FFFF."""
        return self._pipelines.narrow

    @property
    def pages(self) -> str:
        """Address of the runs' pages in the KFP UI, to which a run's id is appended."""
        return self._pipelines.url("", "")

    async def launch(
        self,
        owner: Owner,
        spec: DriftMonitorSpec,
        run: EvaluationRun,
        past: Sequence[PastWindow] = (),
        last: Arrivals | None = None,
    ) -> None:
        """Have the window compared with the baseline; a run that exists already is left alone.

        `past` are the windows before it, which its page shows; `last` is how rows of its revision had come by then.
        """
        timeout = min(spec.timeout, self.longest)
        await self._pipelines.launch(
            RunRequest(
                run_id=run.run_id,
                name=f"{owner.namespace}/{owner.name} drift",
                pipeline=EVALUATION_PIPELINE,
                namespace=owner.namespace,
                owner=RunOwner(API_VERSION, "DriftMonitor", owner.name, owner.uid),
                timeout=timeout,
                kept=max(_KEPT, spec.interval),
                service_account=spec.service_account_name,
                credentials_secret=spec.credentials_secret,
                resources=spec.resources,
                parameters={
                    "question": ask(spec, run, past, last),
                    "report_uri": await self._answers.address(_place(owner, run.run_id), timeout),
                    "page_uri": await self._answers.address(_page(owner, run.run_id), timeout),
                    "run_id": run.run_id,
                },
            )
        )

    async def get(self, owner: Owner, run_id: str) -> RunState | None:
        """Give the run as the backend has it; None where it has none."""
        return shown(await self._pipelines.get(owner.namespace, run_id))

    async def terminate(self, owner: Owner, run_id: str) -> None:
        """Ask a run to stop."""
        await self._pipelines.terminate(owner.namespace, run_id)

    async def result(self, owner: Owner, run_id: str) -> Findings | NoFindings | None:
        """Give what a run wrote down; None where there is nothing of its own."""
        try:
            found = await self._answers.documents.report(self._answers.uri(_place(owner, run_id)))
        except DocumentInvalid as error:
            return NoFindings(reasons.EVALUATION_FAILED, one_line(str(error)))
        if found is None or found.run_id != run_id:
            return None
        return read_result(found, self._answers.uri(_page(owner, run_id)))


def read_result(document: DriftReport | RunFailure, page: str = "") -> Findings | NoFindings:
    """Take what a run wrote down for what it found; `page` is where its page is, if it wrote one."""
    if isinstance(document, RunFailure):
        found: Findings | NoFindings = _failure(document)
    else:
        found = _findings(document, page if document.page else "")
    performance, arrivals = document.performance, document.arrivals
    return replace(
        found,
        performance=None if performance is None else _performance(performance),
        arrivals=None if arrivals is None else _arrivals(arrivals),
    )


def ask(
    spec: DriftMonitorSpec,
    run: EvaluationRun | None = None,
    past: Sequence[PastWindow] = (),
    last: Arrivals | None = None,
) -> dict[str, JsonValue]:
    """Give the question of a monitor's evaluations (`mooring_artifacts.drift_question`), or of one run of them."""
    # What is not asked is left out: parameters of pipelines know no null.
    ks, psi, plain = spec.detectors.ks, spec.detectors.psi, spec.detectors.plain
    if plain is not None:
        ks, psi = KolmogorovSmirnov(alpha=plain.alpha), PopulationStability(threshold=plain.psi)
    question: dict[str, JsonValue] = {
        "baseline": _rows(spec.baseline.uri if spec.baseline else None, run.baseline if run else None),
        "window": _rows(spec.window.uri if spec.window else None, run.window if run else None),
        "minRows": spec.min_rows,
    }
    if spec.features:
        question["features"] = list(spec.features)
    if spec.categories:
        question["categories"] = list(spec.categories)
    if spec.feature_settings:
        question["settings"] = [
            one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in spec.feature_settings
        ]
    if spec.slices:
        question["slices"] = [one.model_dump(mode="json", by_alias=True) for one in spec.slices]
    if ks is not None:
        question["ks"] = {"alpha": ks.alpha}
    if psi is not None:
        question["psi"] = {"threshold": psi.threshold, "bins": psi.bins}
    if plain is not None:
        question["plain"] = True
    if spec.operation is not None:
        question["operation"] = True
    if past:
        question["past"] = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in past]
    if past and spec.sensitivity is not None:
        question["limit"] = LIMITS[spec.sensitivity]
    if run is not None and run.window is not None and last is not None and last.until is not None:
        # What this window takes in is not late, though windows before it had no more of it.
        until = min(last.until, run.window.since or last.until)
        question["last"] = {"until": format_time(until), "newest": last.newest}
    if run is not None and run.performance is not None and spec.performance is not None:
        question["performance"] = _ask_for_performance(spec.performance, run.performance)
    return question


def _ask_for_performance(asked: Performance, sought: SoughtPerformance) -> dict[str, JsonValue]:
    """Give how requests are judged by labels, as far as it is told."""
    labels = asked.labels
    if labels is None:
        where = _rows(None, sought.labels)  # of none where there are no requests
    else:
        where = {"uri": labels.uri, "idColumn": labels.id_column, "labelColumn": labels.label_column}
        where |= {} if labels.row_column is None else {"rowColumn": labels.row_column}
    told: dict[str, JsonValue] = {
        "rules": [rule.model_dump(by_alias=True, exclude_none=True) for rule in asked.rules],
        "plain": asked.plain,
        "figures": dict(sought.figures),
        "figureRows": sought.figure_rows,
        "baseline": {"uri": asked.baseline.uri} if asked.baseline else None,
        "output": sought.output,
        "classes": list(sought.classes),
        "task": sought.task,
        "estimate": asked.estimate,
    }
    requests = {} if sought.requests is None else {"requests": _rows(None, sought.requests)}
    return {
        **requests,
        "labels": where,
        "minLabels": asked.min_labels,
        **{name: value for name, value in told.items() if value},
    }


def _rows(uri: str | None, sought: Sought | None) -> dict[str, JsonValue]:
    """Give where rows are: as the spec says, or as was found when the run began."""
    if sought is None:
        return {"uri": uri or ""}
    rows: dict[str, JsonValue] = {"uri": sought.uri}
    if sought.since is not None and sought.until is not None:
        rows |= {"since": format_time(sought.since), "until": format_time(sought.until)}
    if sought.counted:
        rows["counted"] = True
    if sought.rows is not None:
        rows["rows"] = sought.rows
    if sought.without:
        rows["without"] = [sought.without]
    return rows


def _place(owner: Owner, run_id: str) -> Place:
    return Place(owner.namespace, owner.name, "drift", run_id, "report.json")


def _page(owner: Owner, run_id: str) -> Place:
    return replace(_place(owner, run_id), file="report.html")


def _failure(found: RunFailure) -> NoFindings:
    reason, message = found.error.reason, one_line(found.error.message, 1000)
    if reason in reasons.OF_EVALUATIONS:
        return NoFindings(reason, message, quiet=reason in _QUIET)
    return NoFindings(reasons.EVALUATION_FAILED, f"{reason}: {message}")


def _findings(found: DriftReport, page: str) -> Findings:
    features = sorted((_feature(feature) for feature in found.features), key=_by_movement)
    changes = tuple(_schema_change(change) for change in found.schema_changes)
    rows = found.baseline_rows, found.window_rows
    operation = None if found.operation is None else _operation(found.operation)
    slices = tuple(_slice(one, found) for one in found.slices)
    return Findings(*rows, found.window_digest, tuple(features), changes, slices, page, operation=operation)


def _slice(found: ReportedSlice, report: DriftReport) -> SliceFound:
    return SliceFound(
        name=one_line(found.name, _LONGEST_NAME),
        baseline_rows=found.baseline_rows,
        window_rows=found.window_rows,
        features_drifted=sum(each.drifted for each in report.features if each.slice == found.name),
        message=one_line(found.problem),
    )


def _feature(found: ReportedFeature) -> FeatureDrift:
    def test(result: Test | None) -> TestResult | None:
        return TestResult(statistic=round(result.statistic, 6), p_value=result.p_value) if result else None

    def rounded(number: float | None) -> float | None:
        return None if number is None else round(number, 6)

    return FeatureDrift(
        name=one_line(found.name, _LONGEST_NAME),
        slice=one_line(found.slice, _LONGEST_NAME),
        drifted=found.drifted,
        ks=test(found.ks),
        psi=test(found.psi),
        variation=test(found.variation),
        missing=round(found.missing, 6),
        reason=one_line(found.reason),
        hint=one_line(found.hint),
        e_value=rounded(found.e_value),
        test=found.test,
        missing_before=rounded(found.missing_before),
        jensen_shannon=rounded(found.jensen_shannon),
        # Its unit is the feature's: a length in metres and one in light years have as many digits.
        wasserstein=None if found.wasserstein is None else float(f"{found.wasserstein:.6g}"),
        unseen=rounded(found.unseen),
        out_of_range=rounded(found.out_of_range),
    )


def _performance(found: PerformanceFound) -> PerformanceStatus:
    problem = found.problem
    reason = "" if problem is None else problem.reason
    if reason and reason not in reasons.OF_PERFORMANCE:
        reason = reasons.LABELS_UNREADABLE
    return PerformanceStatus(
        labels=LabelCounts.model_validate(found.counts.model_dump()),
        metrics=[MetricFound.model_validate(each.model_dump()) for each in found.metrics[:MOST_METRICS]],
        broken=[one_line(rule.message) for rule in found.broken[:MOST_RULES]],
        estimate=None if found.estimate is None else _estimate(found.estimate),
        reason=reason,
        message=one_line(found.hint if problem is None else problem.message, 1000),
    )


def _estimate(found: Estimate) -> PerformanceEstimate:
    metric = found.metric
    return PerformanceEstimate(
        rows=found.rows,
        reference=found.reference,
        metric=None if metric is None else MetricFound.model_validate(metric.model_dump()),
        others=[MetricFound.model_validate(each.model_dump()) for each in found.others[:MOST_METRICS]],
        broken=[one_line(rule.message) for rule in found.broken[:MOST_RULES]],
        message=one_line(found.problem or found.hint),
    )


def _operation(found: OperationFound) -> OperationStatus:
    def rounded(seconds: float | None) -> float | None:
        return None if seconds is None else round(seconds, 6)

    return OperationStatus(
        requests=found.requests,
        errors=found.errors,
        per_second=round(found.requests / found.seconds, 3),
        p50=rounded(found.p50),
        p95=rounded(found.p95),
        p99=rounded(found.p99),
    )


def _arrivals(found: ArrivalsFound) -> Arrivals:
    """Give what a run saw; whose rows they are, and of which windows, it does not say."""
    return Arrivals(
        newest=found.newest, came_late=found.late, repeated=found.repeated, ahead=round(found.ahead, 3)
    )


def _schema_change(found: ReportedChange) -> SchemaChange:
    return SchemaChange(
        name=one_line(found.name, _LONGEST_NAME),
        change=found.change,
        baseline=one_line(found.baseline or ""),
        window=one_line(found.window or ""),
    )


def _by_movement(feature: FeatureDrift) -> tuple[bool, float, str, str]:
    tests = (feature.ks, feature.psi, feature.variation)
    moved = max([test.statistic for test in tests if test is not None], default=0.0)
    return (not feature.drifted, -moved, feature.name, feature.slice)
