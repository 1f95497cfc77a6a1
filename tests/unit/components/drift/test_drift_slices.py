"""Parts of the rows are compared by themselves, and drift in one of them is drift."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_artifacts.drift_question import parse_question
from mooring_artifacts.drift_slices import DriftSlice
from mooring_artifacts.errors import InputError
from mooring_artifacts.feature_settings import NOTHING_DECLARED, FeatureSettings, parse_setting
from mooring_artifacts.run_documents import DriftReport, RunFailure, parse_drift_report
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.markdown import render_markdown
from mooring_components.drift.replay import replay
from mooring_components.drift.report import answer
from mooring_components.drift.slices import cut, pair, prepare
from mooring_components.drift.windows import one_each
from mooring_inference.capture.columns import TIME_TYPE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNTRIES = ["DE", "AT", "FR"]


def part(column, *values, name="part"):
    return DriftSlice(name=name, column=column, values=list(values))


GERMAN = part("country", "DE", name="de")


def rows(rng, count, moved=0.0, features=5):
    """Rows of three countries, one in five German, of which one feature moves there alone."""
    country = rng.choice(COUNTRIES, count, p=[0.2, 0.1, 0.7])
    values = rng.standard_normal((count, features))
    values[country == "DE", 0] += moved
    return pa.table({"country": country, **{f"x{n}": values[:, n] for n in range(features)}})


def compare(before, now, *slices, min_rows=100, declared=NOTHING_DECLARED, **detectors):
    first = cut(before, slices, declared)
    second = cut(now, slices, declared, first)
    tables = pair(slices, first, second, min_rows)
    return evaluate(
        first.whole, second.whole, None, min_rows, Detectors(**detectors), declared, slices=tables
    )


def drifted(found):
    return {(each.name, each.slice) for each in found.features if each.drifted}


def taken(values, *wanted, of=None):
    """Which of some values, all of them different, a slice has."""
    column = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values, of)])
    table = pa.table({"c": column, "place": np.arange(len(column))})
    [found] = cut(table, [part("c", *wanted)], NOTHING_DECLARED).slices
    return found if isinstance(found, str) else found.column("place").to_pylist()


def test_drift_in_one_slice_is_found_where_all_rows_together_hide_it():
    rng = np.random.default_rng(0)
    before, now = rows(rng, 20_000), rows(rng, 1000, moved=0.45)
    assert drifted(compare(before, now)) == set()
    found = compare(before, now, GERMAN, part("country", "AT", "FR", name="others"), min_rows=50)
    assert drifted(found) == {("x0", "de")}
    assert [(one.asked.name, one.problem) for one in found.slices] == [("de", ""), ("others", "")]
    assert [sum(one.rows[side] for one in found.slices) for side in (0, 1)] == [20_000, 1000]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["DE", "AT", "FR"]), st.integers(1, 4))
def test_a_slice_is_what_its_rows_alone_would_be(seed, country, chunks):
    rng = np.random.default_rng(seed)
    before, now = rows(rng, 3000, features=2), rows(rng, 1500, features=2, moved=0.3)
    before = pa.concat_tables(before.slice(at * 3000 // chunks, 3000 // chunks) for at in range(chunks))
    found = {each.name: each for each in compare(before, now, part("country", country)).of("part")}
    alone = [
        table.filter(pa.compute.equal(table["country"], country)).drop_columns("country")
        for table in (before, now)
    ]
    for each in compare(*alone).features:
        same = found[each.name]
        assert (same.ks, same.psi, same.rows, same.effects) == (each.ks, each.psi, each.rows, each.effects)


def test_the_column_that_says_which_rows_these_are_is_compared_in_the_others_alone():
    rng = np.random.default_rng(1)
    before, now = rows(rng, 5000), rows(rng, 2000)
    now = now.append_column("even", pa.array(np.arange(2000) % 2 == 0))
    before = before.append_column("even", pa.array(np.arange(5000) % 2 == 0))
    found = compare(before, now, GERMAN, part("even", "true", name="even"))
    assert {each.name for each in found.of("de")} == {"even", *(f"x{n}" for n in range(5))}
    assert {each.name for each in found.of("even")} == {"country", *(f"x{n}" for n in range(5))}


def test_quiet_windows_alarm_as_seldom_with_slices_as_without():
    """At a rate of .2, so that few windows tell; effects have to matter besides, which makes it less."""
    rng = np.random.default_rng(2)
    before, windows = rows(rng, 40_000), 60
    slices = [part("country", one, name=one.lower()) for one in COUNTRIES]
    slices += [part("country", "DE", "AT", name="dach")]
    first = cut(before, slices, NOTHING_DECLARED)
    ready, alarms = prepare(first), 0
    for _ in range(windows):
        second = cut(rows(rng, 1500), slices, NOTHING_DECLARED, first)
        tables = pair(slices, ready, second, 100)
        found = evaluate(ready.whole, second.whole, None, 100, Detectors(alpha=0.2), slices=tables)
        alarms += bool(drifted(found))
    # Three standard deviations above.
    assert alarms / windows < 0.2 + 3 * (0.2 * 0.8 / windows) ** 0.5


def test_one_correction_covers_the_features_of_all_slices():
    rng = np.random.default_rng(3)
    before, now = rows(rng, 5000, features=1), rows(rng, 1000, features=1, moved=0.4)
    others = [part("country", "FR", *(f"none{n}" for n in range(k)), name=f"p{k}") for k in range(9)]

    def strictest(*slices):
        """The smallest rate at which the German rows count as drifted."""
        rates = np.geomspace(1e-10, 0.5, 60)
        return next(
            rate
            for rate in rates
            if ("x0", "de") in drifted(compare(before, now, GERMAN, *slices, alpha=rate))
        )

    # Of 3 p-values, and of 12.
    assert strictest(*others) / strictest() == pytest.approx(4, rel=0.5)


@pytest.mark.parametrize(
    ("values", "wanted", "places"),
    [
        (pa.array(["DE", None, "de", "AT"]), ("DE", "AT"), [0, 3]),
        (pa.array(["DE", "AT", None]).dictionary_encode(), ("AT",), [1]),
        (pa.array([35, 36, None], pa.int8()), ("35", "300"), [0]),
        (pa.array([35, 36]), ("35.0",), [0]),
        (pa.array([2**63, 1], pa.uint64()), (str(2**63), "-1"), [0]),
        (pa.array([2**53 + 1, 2**53]), (str(2**53 + 1),), [0]),
        (pa.array([70, 10, None]).dictionary_encode(), ("70",), [0]),
        (pa.array([0.1, 0.5, float("nan"), None], pa.float32()), ("0.1", "5e-1"), [0, 1]),
        (pa.array([0.1, -0.0, 1e308]), ("0", "0.1", "1e308"), [0, 1, 2]),
        (pa.array([np.float16(0.1), np.float16(1)], pa.float16()), ("1",), [1]),
        (pa.array([Decimal("1.50"), Decimal("2.00"), None]), ("1.5", "1.555"), [0]),
        (pa.array([True, False, None]), ("true",), [0]),
        (pa.array([True, False, None]), ("False", "1"), [0, 1]),
        (pa.nulls(3), ("1",), []),
    ],
    ids=str,
)
def test_rows_are_those_with_one_of_the_values_whatever_they_are_stored_as(values, wanted, places):
    assert taken(pa.chunked_array([values]), *wanted) == places


@given(
    st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=1), st.sets(st.integers(-5, 5), min_size=1)
)
def test_rows_are_those_that_a_loop_would_take(values, wanted):
    expected = [place for place, value in enumerate(values) if value in wanted]
    texts = [None if value is None else str(value) for value in values]
    assert taken(values, *map(str, wanted), of=pa.int64()) == expected
    assert taken(values, *map(str, wanted), of=pa.float64()) == expected
    assert taken(texts, *map(str, wanted), of=pa.string()) == expected


def test_too_few_rows_are_told_and_are_no_drift():
    rng = np.random.default_rng(4)
    before, now = rows(rng, 5000), rows(rng, 400, moved=9)
    for sides, name, count in (((before, now), "window", now), ((now, before), "baseline", now)):
        found = compare(*sides, GERMAN, part("country", "LU", name="lu"), min_rows=300)
        few = count.filter(pa.compute.equal(count["country"], "DE")).num_rows
        told = {one.asked.name: one.problem for one in found.slices}
        assert told["de"] == f"the {name} has {few} rows of it; spec.minRows wants 300"
        assert told["lu"] == "the baseline has 0 rows of it; spec.minRows wants 300"
        assert {each.slice for each in found.features} == {""}


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        (
            part("land", "DE"),
            "FeatureMissing",
            "spec.slices[0].column: 'land' is no column of the baseline; it has",
        ),
        (
            part("x0", "DE"),
            "TypeUnsupported",
            "spec.slices[0].values[0]: 'DE' is not allowed: 'x0' is double",
        ),
        (part("x0", "1", "nan"), "TypeUnsupported", "spec.slices[0].values[1]: 'nan' is not allowed"),
        (part("x0", "1_0"), "TypeUnsupported", "'1_0' is not allowed"),
        (part("x0", "1e999999999"), "TypeUnsupported", "'1e999999999' is not allowed"),
        (part("n", "1.5"), "TypeUnsupported", "'1.5' is not allowed: 'n' is int64 in the baseline"),
        (part("b", "yes"), "TypeUnsupported", "'yes' is not allowed: 'b' is bool in the baseline"),
        (
            part("t", "2026"),
            "TypeUnsupported",
            "spec.slices[0].column: 't' is timestamp[us] in the baseline; rows",
        ),
        (
            part("country", *COUNTRIES),
            "TypeUnsupported",
            "spec.slices[0]: 'part' is every row of the baseline and of",
        ),
    ],
)
def test_what_is_no_part_of_the_rows_is_refused(asked, reason, said):
    rng = np.random.default_rng(5)
    table = rows(rng, 300)
    table = table.append_column("n", pa.array(np.arange(300))).append_column(
        "b", pa.array([True, False] * 150)
    )
    table = table.append_column("t", pa.array([NOON.replace(tzinfo=None)] * 300))
    with pytest.raises(EvaluationError) as caught:
        compare(table, table, asked)
    assert caught.value.reason == reason
    assert said in caught.value.message


def test_a_column_that_changed_in_the_window_is_told_and_all_rows_are_judged():
    rng = np.random.default_rng(6)
    before, now = rows(rng, 2000), rows(rng, 500)
    gone = compare(before, now.drop_columns("country"), GERMAN)
    assert [one.problem for one in gone.slices] == ["the window has no column 'country'"]
    codes = now.set_column(0, "country", pa.array(np.arange(500)))
    changed = compare(before, codes, GERMAN)
    assert "'DE' is not allowed: 'country' is int64 in the window" in changed.slices[0].problem
    assert [one.change for one in changed.schema_changes] == ["TypeChanged"]
    assert {each.slice for each in (*gone.features, *changed.features)} == {""}


def test_a_slice_that_is_everything_on_one_side_alone_is_compared():
    rng = np.random.default_rng(7)
    before, now = rows(rng, 2000), rows(rng, 1000)
    german = now.filter(pa.compute.equal(now["country"], "DE"))
    assert not compare(before, german, GERMAN).slices[0].problem


def test_texts_of_a_slice_are_described_by_those_of_its_baseline():
    rng = np.random.default_rng(8)
    declared = FeatureSettings([parse_setting("note=Text")])
    words = np.array(["ab", "cde", "fghi", "jk"])

    def notes(count, longer):
        table = rows(rng, count, features=1)
        german = np.array(table["country"].to_pylist()) == "DE"
        texts = [
            None if at % 7 == 0 else " ".join(rng.choice(words, 3 + (4 if longer and german[at] else 0)))
            for at in range(count)
        ]
        return table.append_column("note", pa.array(texts))

    found = compare(
        notes(4000, False), notes(1500, True), GERMAN, part("country", "FR", name="fr"), declared=declared
    )
    assert {("note.words", "de"), ("note.length", "de")} <= drifted(found)
    assert not {name for name, where in drifted(found) if where == "fr"}
    assert {each.name for each in found.of("fr")} == {each.name for each in found.of("")} - {"country"}


def test_captured_rows_are_cut_within_their_window_and_each_counts_once(tmp_path):
    rng = np.random.default_rng(9)
    folder = tmp_path / "deployment=d" / "date=2026-03-01" / "hour=12"
    folder.mkdir(parents=True)
    table = rows(rng, 3000, moved=0.6)
    moments = [NOON + timedelta(seconds=at) for at in range(3000)]
    ids = pa.array(
        [{"id": f"r{at}", "row": 0, "time": moment} for at, moment in enumerate(moments)],
        pa.struct([("id", pa.string()), ("row", pa.int32()), ("time", TIME_TYPE)]),
    )
    table = table.append_column("request", ids)
    pq.write_table(table, folder / "a.parquet")
    pq.write_table(table.slice(0, 500), folder / "b.parquet")  # twice
    pq.write_table(rows(rng, 20_000), tmp_path / "base.parquet")
    question = {
        "baseline": {"uri": f"file://{tmp_path}/base.parquet"},
        "window": {
            "uri": f"file://{tmp_path}/deployment=d",
            "since": "2026-03-01T12:00:00Z",
            "until": "2026-03-01T12:40:00Z",
        },
        "slices": [GERMAN.model_dump()],
        "minRows": 100,
        "ks": {"alpha": 0.01},
    }
    found = answer(question, "run-1")
    document = found.document
    assert isinstance(document, DriftReport), document
    german = table.slice(0, 2400).filter(pa.compute.equal(table.slice(0, 2400)["country"], "DE")).num_rows
    assert [(one.name, one.window_rows) for one in document.slices] == [("de", german)]
    assert [(each.name, each.slice) for each in document.features if each.drifted] == [("x0", "de")]
    assert document.drifted_features == ["x0"]
    assert parse_drift_report(document.to_json()) == document
    markdown, figures = render_markdown(document)
    assert "`x0 in slice de`" in markdown
    assert f"| `de` | {document.slices[0].baseline_rows} | {german} | 1 |" in markdown
    assert figures["driftedFeatures"] == 1
    page = found.page()
    assert "<h2>Slices</h2>" in page
    assert "x0 in slice de" in page
    assert page.count("<svg") == 1


def test_older_windows_are_replayed_as_they_would_have_been_judged(tmp_path):
    rng = np.random.default_rng(10)
    pq.write_table(rows(rng, 20_000), tmp_path / "base.parquet")
    paths = [tmp_path / f"{name}.parquet" for name in ("quiet", "moved")]
    for path, moved in zip(paths, (0.0, 0.45), strict=True):
        pq.write_table(rows(rng, 1000, moved), path)
    few = part("country", "LU", name="lu")
    question = parse_question(
        {
            "baseline": {"uri": "s3://b/a"},
            "window": {"uri": "s3://b/w"},
            "slices": [GERMAN.model_dump(), few.model_dump()],
            "minRows": 100,
            "ks": {"alpha": 0.01},
        }
    )
    found = [each for _, each in replay(tmp_path / "base.parquet", one_each(paths), question)]
    named = [{(each.name, each.slice) for each in one.features if each.drifted} for one in found]
    assert named == [set(), {("x0", "de")}]
    assert [[bool(one.problem) for one in each.slices] for each in found] == [[False, True]] * 2


def test_a_mistake_in_a_slice_is_the_answer_of_the_run(tmp_path):
    pq.write_table(rows(np.random.default_rng(11), 300), tmp_path / "a.parquet")
    uri = {"uri": f"file://{tmp_path}/a.parquet"}
    question = {"baseline": uri, "window": uri, "slices": [part("land", "DE").model_dump()], "minRows": 100}
    document = answer(question, "run-1").document
    assert isinstance(document, RunFailure)
    assert document.error.reason == "FeatureMissing"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"slices": [GERMAN.model_dump(), GERMAN.model_dump()]},
            r"slices\[1\].name: 'de' is the name of slices\[0\]",
        ),
        ({"slices": [{"name": "de", "column": "c", "values": []}]}, "slices.0.values"),
        ({"slices": [{"name": "de", "column": "c", "values": [35]}]}, "slices.0.values.0"),
        ({"slices": [part("c", "x", name=f"n{n}").model_dump() for n in range(11)]}, "slices"),
        (
            {
                "slices": [GERMAN.model_dump()],
                "baseline": {"uri": "s3://b/a", "counted": True},
                "window": {"uri": "s3://b/w", "since": NOON, "until": NOON + timedelta(hours=1)},
            },
            "slices need a baseline whose rows are read",
        ),
    ],
)
def test_a_question_with_other_slices_is_none(fields, said):
    question = {"baseline": {"uri": "s3://b/a"}, "window": {"uri": "s3://b/w"}, "minRows": 100}
    with pytest.raises(InputError, match=said):
        parse_question({**question, **fields})
