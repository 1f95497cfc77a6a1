"""What the evaluations of a ``DriftMonitor`` found, each by itself and all together."""

from typing import Annotated, Literal

from mooring_artifacts.drift_slices import MOST_SLICES, title_of
from pydantic import Field

from mooring_operator.api.drift_slices import SliceFound
from mooring_operator.api.types import Note, StatusModel, Time

MOST_PAST = 48


class TestResult(StatusModel):
    """A statistic and how likely one so large is without drift."""

    statistic: Annotated[
        float,
        Field(
            description="Kolmogorov-Smirnov D, the total variation distance of categories, or the population stability "
            "index."
        ),
    ]
    p_value: Annotated[float, Field(description="Probability of one so large without drift.")]


class FeatureDrift(StatusModel):
    """What was found for one feature."""

    name: Annotated[Note, Field(description="Column.")]
    slice: Annotated[Note, Field(description="Slice whose rows these are; empty of all rows.")] = ""
    drifted: Annotated[bool, Field(description="Whether it counts as drifted.")]
    ks: Annotated[TestResult | None, Field(description="Kolmogorov-Smirnov test.")] = None
    psi: Annotated[TestResult | None, Field(description="Population stability index.")] = None
    variation: Annotated[
        TestResult | None,
        Field(description="Total variation distance of few integers, as if they were codes."),
    ] = None
    missing: Annotated[float, Field(description="Share of missing values in the window.")] = 0.0
    reason: Annotated[Note, Field(description="Why it counts as drifted.")] = ""
    hint: Annotated[Note, Field(description="What to know of these numbers, or to set.")] = ""
    e_value: Annotated[
        float | None,
        Field(description="How much this window says against no drift: at most 1 on average without drift."),
    ] = None
    test: Annotated[
        Note,
        Field(
            description="Test that says most clearly that it drifted: KolmogorovSmirnov, Rank, ChiSquare, "
            "PopulationStability or Missing. Empty where it did not."
        ),
    ] = ""
    missing_before: Annotated[float | None, Field(description="Share of missing values in the baseline.")] = (
        None
    )
    jensen_shannon: Annotated[
        float | None,
        Field(description="Jensen-Shannon distance: 0 of equal distributions, 1 of such that share nothing."),
    ] = None
    wasserstein: Annotated[
        float | None,
        Field(
            description="How far numbers moved on average, in their own unit; of counted windows, and of baselines of "
            "50000 rows, at least so far."
        ),
    ] = None
    unseen: Annotated[
        float | None, Field(description="Share of the window's categories that the baseline has not.")
    ] = None
    out_of_range: Annotated[
        float | None,
        Field(description="Share of the window's numbers beyond the baseline's smallest and largest."),
    ] = None

    @property
    def title(self) -> str:
        """What people are told that it is called."""
        return title_of(self.name, self.slice)


class SchemaChange(StatusModel):
    """A column that baseline and window do not share, or that cannot be compared."""

    name: Annotated[Note, Field(description="Column.")]
    change: Annotated[Literal["TypeChanged", "Vanished", "New"], Field(description="What happened to it.")]
    baseline: Annotated[Note, Field(description="Arrow type in the baseline; empty where it is missing.")] = (
        ""
    )
    window: Annotated[Note, Field(description="Arrow type in the window; empty where it is missing.")] = ""


class Evaluation(StatusModel):
    """The last evaluation."""

    time: Annotated[Time, Field(description="When it was made.")]
    revision: Annotated[str, Field(description="Revision that was stable then.")] = ""
    baseline_rows: Annotated[int, Field(description="Rows of the baseline.")] = 0
    window_rows: Annotated[int, Field(description="Rows of the window.")] = 0
    window_digest: Annotated[str, Field(description="Identity of the window's content.")] = ""
    report_url: Annotated[
        str,
        Field(
            description="The run's page in the KFP UI, with its report; where runs are Jobs, the address of the "
            "report in the operator's store. Empty where there is none."
        ),
    ] = ""
    window_since: Annotated[Time | None, Field(description="Begin of the window, of what is captured.")] = (
        None
    )
    window_until: Annotated[Time | None, Field(description="Its end.")] = None
    features_tested: Annotated[int, Field(description="Number of features compared.")] = 0
    features_drifted: Annotated[
        int, Field(description="Number of features that count as drifted, in all rows or in a slice.")
    ] = 0
    features: Annotated[
        list[FeatureDrift],
        Field(description="The features that moved most, drifted ones first; 20 at most.", max_length=20),
    ] = []
    slices: Annotated[
        list[SliceFound], Field(description="What was found of spec.slices.", max_length=MOST_SLICES)
    ] = []
    schema_changed: Annotated[
        int, Field(description="Number of columns that are missing on a side, or cannot be compared.")
    ] = 0
    schema_changes: Annotated[
        list[SchemaChange], Field(description="Some of these columns; 20 at most.", max_length=20)
    ] = []

    @property
    def drifted_names(self) -> list[str]:
        """The columns of its features that drifted, in all rows or in a slice."""
        return list(dict.fromkeys(each.name for each in self.features if each.drifted))


class PastWindow(StatusModel):
    """What came of a window."""

    time: Annotated[Time, Field(description="Its end, or when it was evaluated.")]
    tested: Annotated[int, Field(description="Features compared.")] = 0
    drifted: Annotated[int, Field(description="Features that drifted.")] = 0
    evidence: Annotated[float | None, Field(description="Evidence by then, with spec.sensitivity.")] = None


class FeatureEvidence(StatusModel):
    """What all windows say about one feature."""

    name: Annotated[Note, Field(description="Column.")]
    slice: Annotated[Note, Field(description="Slice whose rows these are; empty of all rows.")] = ""
    value: Annotated[float, Field(description="Its evidence.")]


class Evidence(StatusModel):
    """What all windows say together."""

    value: Annotated[
        float, Field(description="Mean evidence over the features; ten times the limit at most.")
    ]
    limit: Annotated[float, Field(description="Evidence from which the traffic counts as drifted.")]
    windows: Annotated[int, Field(description="Windows that were weighed.")]
    since: Annotated[Time, Field(description="When the first of them was.")]
    window_digest: Annotated[str, Field(description="The last one; the same window is weighed once.")] = ""
    generation: Annotated[int, Field(description="Generation of the spec; another one begins anew.")]
    revision: Annotated[
        str,
        Field(description="Revision whose requests they are, of what is captured; another one begins anew."),
    ] = ""
    features: Annotated[
        list[FeatureEvidence],
        Field(description="The features with most evidence; 20 at most.", max_length=20),
    ] = []
