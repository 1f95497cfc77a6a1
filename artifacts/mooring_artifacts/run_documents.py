"""What runs write for the operator: a verdict, a drift report, or why there is none. Schema version 1.

The operator believes a document only when it has exactly one of these forms, its run succeeded and `runId` is
that run's. Whoever may create pods where a run runs can write anything in its place, so what reading a document costs
is bounded before it is parsed: its bytes, its values, and the errors that are found in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, FailFast, Field, ValidationError, model_validator
from pydantic_core import from_json

from mooring_artifacts.demands import MOST_DOCUMENTS
from mooring_artifacts.digests import DIGEST_PATTERN
from mooring_artifacts.document_parts import Count, Name, Part
from mooring_artifacts.drift_slices import MOST_SLICES as MOST_DRIFT_SLICES
from mooring_artifacts.errors import InputError
from mooring_artifacts.gates import Difference, Interval, MetricName, Number, Violation
from mooring_artifacts.importances import Importances
from mooring_artifacts.scans import Scan
from mooring_artifacts.uris import LONGEST

SCHEMA_VERSION: Literal[1] = 1
LARGEST_VERDICT = 1 << 20
LARGEST_REPORT = 4 << 20
MOST_FEATURES = 4000
MOST_CHANGES = 400
MOST_SLICES = 80
MOST_GROUPS = 20
_MOST_METRICS = 48
_MOST_RULES = 16
_LONGEST_MESSAGE = 1000

TypeName = Annotated[str, Field(max_length=200)]


class _Document(Part):
    schema_version: Literal[1]
    run_id: Annotated[str, Field(max_length=200)]

    def to_json(self) -> bytes:
        """The document as it is stored."""
        return self.model_dump_json(by_alias=True, indent=2).encode() + b"\n"


_Found = TypeVar("_Found", bound=_Document)


def _check_number(metrics: Any) -> Any:
    if isinstance(metrics, dict) and len(metrics) > _MOST_METRICS:
        raise ValueError(f"{len(metrics)} metrics; {_MOST_METRICS} are allowed")
    return metrics


class Slice(Part):
    """A metric on the rows with one value in a column; `interval` is of 95 %.

    No gate is judged by one of fewer than 20 rows.
    """

    column: Name
    name: Name
    rows: Count
    metric: MetricName
    value: Number
    interval: Interval | None = None


Share = Annotated[Number, Field(ge=0, le=1)]


class Group(Part):
    """Rows with one value in the column of `spec.ci.fairness`: how many are called positive, of all and by label."""

    column: Name
    name: Name
    rows: Count
    selection_rate: Share
    true_positive_rate: Share | None
    false_positive_rate: Share | None


class Stability(Part):
    """The share of rows whose class stays the same with noise, in units of each column's standard deviation."""

    noise: Number
    share: Share
    interval: Interval


class Registration(Part):
    """What became of registering the model: its version in the registry, and what was in the way.

    Without a version it is not registered, and `problem` says why; with one it says what was left alone.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    version: Annotated[str, Field(pattern=r"^[0-9]{1,18}$")] | None = None
    problem: Annotated[str, Field(max_length=_LONGEST_MESSAGE)] = ""

    def in_words(self) -> str:
        """What became of it, in a line."""
        if self.version is None:
            return f"not registered as {self.name}: {self.problem or 'nothing is known of it'}"
        return f"registered as {self.name} version {self.version}{self.problem and f'; {self.problem}'}"


LONGEST_PROBLEM = 300
"""Of what is told about a signature or a document."""
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class SignatureFound(Part):
    """Whether the model's files are those that somebody signed whom a policy names; if not, why in a line.

    key: id of the public key that the signature is by.
    """

    verified: bool
    signer: Annotated[str, Field(max_length=63)] = ""
    key: KeyId | None = None
    problem: Annotated[str, Field(max_length=LONGEST_PROBLEM)] = ""

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.verified != (self.key is not None and not self.problem):
            raise ValueError("a signature that is verified has a key, and one that is not a problem")
        return self

    def in_words(self) -> str:
        """What was found, in a line."""
        return f"signed by {self.signer}" if self.verified else f"no valid signature: {self.problem}"


class DocumentFound(Part):
    """A document that a policy demands: the digest of its bytes, or why there is none."""

    name: Annotated[str, Field(max_length=63)]
    address: Annotated[str, Field(max_length=LONGEST)]
    digest: Annotated[str, Field(pattern=DIGEST_PATTERN)] | None = None
    problem: Annotated[str, Field(max_length=LONGEST_PROBLEM)] = ""

    def in_words(self) -> str:
        """What was found, in a line."""
        return self.digest or self.problem or "nothing is known of it"


class Brought(Part):
    """What KServe is to bring to a server of the files that were tested.

    digest: of those that will lie there, see `loaded_files`; None where that is not known from the files. is_folder:
    whether the model's address is of a folder, and not of a file.
    """

    digest: Annotated[str, Field(pattern=DIGEST_PATTERN)] | None = None
    is_folder: bool = False


class Verdict(_Document):
    """What a `model-ci` run found: the document at its `verdict_uri`.

    A model that was tested where it is served may be one whose files a run cannot read: then there is no
    `model_digest`.

    `intervals` are those of metrics, of 95 %; `differences` are from the champion's, on the same rows. `slices` are
    parts of the rows, the worst first, and behind them those of too few rows to judge. `registration` is there where it
    was asked for; a model that passed has passed whatever it says. So are `signature` and `documents`, which policies
    judge and gates do not. `scan` is what was found in the files, where the run could read them, and
    `importances` are there where they were asked for. `brought` is there where the run had the files themselves.
    """

    model_uri: Annotated[str, Field(max_length=LONGEST)]
    model_digest: Annotated[str, Field(pattern=DIGEST_PATTERN)] | None = None
    test_data_digest: Annotated[str, Field(pattern=DIGEST_PATTERN)] | None = None
    passed: bool
    metrics: Annotated[dict[MetricName, Number], BeforeValidator(_check_number)]
    violations: Annotated[list[Violation], Field(max_length=100)]
    intervals: Annotated[dict[MetricName, Interval], BeforeValidator(_check_number)] = {}
    champion_digest: Annotated[str, Field(pattern=DIGEST_PATTERN)] | None = None
    differences: Annotated[dict[MetricName, Difference], BeforeValidator(_check_number)] = {}
    slices: Annotated[list[Slice], Field(max_length=MOST_SLICES), FailFast()] = []
    groups: Annotated[list[Group], Field(max_length=MOST_GROUPS), FailFast()] = []
    stability: Annotated[list[Stability], Field(max_length=4)] = []
    registration: Registration | None = None
    signature: SignatureFound | None = None
    documents: Annotated[list[DocumentFound], Field(max_length=MOST_DOCUMENTS), FailFast()] = []
    scan: Scan | None = None
    importances: Importances | None = None
    brought: Brought | None = None

    @property
    def looked_up(self) -> list[tuple[str, bool, str]]:
        """What policies had looked up: a name, whether it is as it should be, and what was found in words."""
        signature = self.signature
        signed = [] if signature is None else [("signature", signature.verified, signature.in_words())]
        return signed + [(one.name, one.digest is not None, one.in_words()) for one in self.documents]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.passed == bool(self.violations):
            raise ValueError(f"passed is {self.passed} with {len(self.violations)} violations")
        return self


class Test(Part):
    """A statistic and the probability of one as large without drift."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    statistic: Number
    p_value: Annotated[Number, Field(ge=0, le=1)]


class FeatureDrift(Part):
    """What was found for one feature; `rows` are the window's with a value, `missing` the share of the others.

    `ks` is the total variation distance where the kind is category; `variation` is that of few integers. `e_value` is
    the window's evidence that something has drifted, at most 1 on average where nothing has. `test` is the test that
    says most clearly that it drifted. `slice` is the name of the slice whose rows these are, empty of all rows.
    What follows decides nothing: `missing_before` is the baseline's share,
    `likelihood_ratio` the G of categories, `jensen_shannon` a distance from 0 to 1, `wasserstein` how far numbers moved
    in their own unit, `unseen` and `out_of_range` are shares of values that the baseline has not.
    """

    name: Name
    slice: Name = ""
    kind: Literal["number", "category", "time", "missing"]
    rows: Count
    drifted: bool
    ks: Test | None
    psi: Test | None
    variation: Test | None = None
    missing: Annotated[Number, Field(ge=0, le=1)]
    reason: Name
    hint: Name = ""
    e_value: Annotated[Number, Field(ge=0)] | None = None
    test: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z]{0,62})?$")] = ""
    missing_before: Share | None = None
    likelihood_ratio: Test | None = None
    jensen_shannon: Share | None = None
    wasserstein: Annotated[Number, Field(ge=0)] | None = None
    unseen: Share | None = None
    out_of_range: Share | None = None


class SchemaChange(Part):
    """A column that baseline and window do not share, or cannot be compared; the types are those of Arrow."""

    name: Name
    change: Literal["TypeChanged", "Vanished", "New"]
    baseline: TypeName | None
    window: TypeName | None


class SliceFound(Part):
    """A slice of a drift evaluation: its rows on both sides, and why it was not compared, empty where it was."""

    name: Name
    baseline_rows: Count
    window_rows: Count
    problem: Name = ""


class RunError(Part):
    """Why a run failed: one CamelCase word, and one line for people."""

    reason: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z0-9]{0,62}$")]
    message: Annotated[str, Field(max_length=_LONGEST_MESSAGE)]


class MeasuredMetric(Part):
    """A metric of the predictions that labels have come for.

    `low` and `high` bound it with 95 %; `baseline` is what it was for the revision before traffic; None: not known.
    """

    metric: MetricName
    value: Number
    low: Number | None = None
    high: Number | None = None
    baseline: Number | None = None


class BrokenRule(Part):
    """A rule of `spec.performance.rules` that does not hold."""

    metric: MetricName
    message: Annotated[str, Field(max_length=_LONGEST_MESSAGE)]


class LabelCounts(Part):
    """What became of requests and labels, in rows.

    answered: requests with a prediction. labelled: those of them that a label was found for. duplicates: labels beyond
    the first of a request, of which the last counts. conflicting: requests whose labels differ. unknown: labels
    of other requests, or of none. empty: labels without an id or a value. repeated: requests with an id that was there.
    """

    answered: Count = 0
    labelled: Count = 0
    duplicates: Count = 0
    conflicting: Count = 0
    unknown: Count = 0
    empty: Count = 0
    repeated: Count = 0


class PerformanceEstimate(Part):
    """How good predictions without labels probably are; `problem` is why there is no estimate.

    rows: that have a prediction. reference: labelled rows that were learned from. others: beside the first metric.
    hint: what to know of them.
    """

    rows: Count = 0
    reference: Count = 0
    metric: MeasuredMetric | None = None
    others: Annotated[list[MeasuredMetric], Field(max_length=_MOST_METRICS)] = []
    broken: Annotated[list[BrokenRule], Field(max_length=_MOST_RULES)] = []
    hint: Annotated[str, Field(max_length=_LONGEST_MESSAGE)] = ""
    problem: Annotated[str, Field(max_length=_LONGEST_MESSAGE)] = ""


class PerformanceFound(Part):
    """How good predictions were, by labels that came later; `problem` is why nothing was measured."""

    counts: LabelCounts = LabelCounts()
    metrics: Annotated[list[MeasuredMetric], Field(max_length=_MOST_METRICS)] = []
    broken: Annotated[list[BrokenRule], Field(max_length=_MOST_RULES)] = []
    problem: RunError | None = None
    estimate: PerformanceEstimate | None = None
    hint: Annotated[str, Field(max_length=_LONGEST_MESSAGE)] = ""


class OperationFound(Part):
    """How the requests of a window were answered.

    errors: those with a status of 400 or more. seconds: that the window takes. p50, p95, p99: quantiles of the seconds
    that the others took; None where there is none.
    """

    requests: Count
    errors: Count
    seconds: Annotated[Number, Field(gt=0)]
    p50: Number | None = None
    p95: Number | None = None
    p99: Number | None = None


class ArrivalsFound(Part):
    """How rows of what is kept came.

    newest: when the newest file of the day before the window's end was written, in seconds since 1970 by the clock of
    its store; 0 where there is none. late: rows that came since the last evaluation, of windows that had been
    evaluated. repeated: rows of this window that were kept twice, and count once. ahead: seconds by which the time of
    a row is after that of its file.
    """

    newest: Number = 0.0
    late: Count = 0
    repeated: Count = 0
    ahead: Annotated[Number, Field(ge=0)] = 0.0


class DriftReport(_Document):
    """What a `drift-evaluation` run found: the document at its `report_uri`.

    A schema change is none of the drifted features. A feature has drifted where it has in all rows or in a slice.
    `page` says whether the run wrote its page for people.
    """

    baseline_rows: Count
    window_rows: Count
    window_digest: Annotated[str, Field(pattern=DIGEST_PATTERN)]
    drifted_features: Annotated[list[Name], Field(max_length=MOST_FEATURES), FailFast()]
    features: Annotated[list[FeatureDrift], Field(max_length=MOST_FEATURES), FailFast()]
    schema_changes: Annotated[list[SchemaChange], Field(max_length=MOST_CHANGES), FailFast()] = []
    slices: Annotated[list[SliceFound], Field(max_length=MOST_DRIFT_SLICES), FailFast()] = []
    page: bool = False
    performance: PerformanceFound | None = None
    operation: OperationFound | None = None
    arrivals: ArrivalsFound | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.drifted_features != list(dict.fromkeys(each.name for each in self.features if each.drifted)):
            raise ValueError("driftedFeatures are not the features that drifted")
        if not {each.slice for each in self.features} <= {"", *(one.name for one in self.slices)}:
            raise ValueError("a feature is of a slice that there is none of")
        return self


class RunFailure(_Document):
    """Stands in the place of a verdict or a report when the run failed.

    `performance` and `arrivals` are what an evaluation found all the same.
    """

    error: RunError
    performance: PerformanceFound | None = None
    arrivals: ArrivalsFound | None = None


def describe_failure(run_id: str, reason: str, message: str) -> RunFailure:
    """The document for a failure; `message` is cut to one line of a length that it may have."""
    return RunFailure(schema_version=SCHEMA_VERSION, run_id=run_id, error=describe_error(reason, message))


def describe_error(reason: str, message: str) -> RunError:
    """A reason with its message, which is cut to one line of a length that it may have."""
    line = " ".join(message.split())
    shown = line if len(line) <= _LONGEST_MESSAGE else line[: _LONGEST_MESSAGE - 3] + "..."
    return RunError(reason=reason, message=shown)


@dataclass(frozen=True)
class _Cost:
    """What reading a document may cost: its bytes, and its values of any kind."""

    size: int
    values: int


_COSTS: dict[type[_Document], _Cost] = {
    Verdict: _Cost(LARGEST_VERDICT, 10_000),
    DriftReport: _Cost(LARGEST_REPORT, 34 * MOST_FEATURES),
}


def parse_verdict(content: bytes) -> Verdict | RunFailure:
    """A verdict, or why there is none.

    Raises:
        InputError: it is neither; the message names the first field that is wrong.
    """
    return _parse(content, Verdict, "verdict")


def parse_drift_report(content: bytes) -> DriftReport | RunFailure:
    """A drift report, or why there is none.

    Raises:
        InputError: it is neither; the message names the first field that is wrong.
    """
    return _parse(content, DriftReport, "drift report")


def _parse(content: bytes, kind: type[_Found], called: str) -> _Found | RunFailure:
    _check_cost(content, _COSTS[kind], called)
    try:
        document = from_json(content)
        failed = isinstance(document, dict) and "error" in document
        return (RunFailure if failed else kind).model_validate_json(content, by_alias=True, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        why = first["msg"].removeprefix("Value error, ")
        raise InputError(f"not a {called}: {field[:200]!r}: {why:.200}") from error
    except ValueError as error:
        raise InputError(f"not a {called}: {error}") from error


def _check_cost(content: bytes, allowed: _Cost, called: str) -> None:
    if len(content) > allowed.size:
        raise InputError(f"not a {called}: it has {len(content)} bytes; {allowed.size} are allowed")
    # Before each value but the first of all stands one of these: there may be fewer, for text may hold them too.
    values = 1 + sum(map(content.count, (b",", b"[", b"{")))
    if values > allowed.values:
        raise InputError(f"not a {called}: it may have {values} values; {allowed.values} are allowed")
