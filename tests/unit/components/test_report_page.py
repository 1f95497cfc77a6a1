"""The page of a verdict: what its pictures show, and that it stands alone whatever things are called."""

import json
import re

import numpy as np
import pytest
from mooring_artifacts.gates import Difference, Interval, parse_gates
from mooring_artifacts.importances import Feature, Importances
from mooring_artifacts.judging import Findings
from mooring_artifacts.run_documents import describe_failure
from mooring_artifacts.scans import Scan, ScanFinding
from mooring_components.evidence import MOST_LABELS, Evidence, OtherForm, gather
from mooring_components.outcomes import NONE, Classified, Estimated
from mooring_components.quality import measure
from mooring_components.report import pictures
from mooring_components.report.markdown import render_markdown
from mooring_components.report.page import Tested, render_failure, render_page
from mooring_components.report.step import write_reports
from mooring_components.verdicts import Subject, make_verdict
from sklearn import calibration, metrics

DIGEST = "sha256:" + "0" * 64


def classified(rows=400, classes=("no", "yes"), seed=0):
    """Labels and scores that know something of them."""
    rng = np.random.default_rng(seed)
    actual = rng.integers(0, len(classes), rows)
    raw = rng.random((rows, len(classes))) + np.eye(len(classes))[actual] * rng.random((rows, 1))
    scores = raw / raw.sum(axis=1, keepdims=True)
    return Classified(list(classes), actual, scores.argmax(axis=1), scores, range(len(classes)))


def page_of(outcome, gates=(), milliseconds=(1.0, 2.0, 5.0), importances=None, **changes):
    quality = measure(outcome)
    evidence = quality.evidence.model_copy(update={"importances": importances})
    found = quality.findings({"latencyP95Ms": 2.0})
    found = Findings(**{**vars(found), **changes})
    verdict = make_verdict("run-1", Subject("s3://m/<b>x</b>", DIGEST, DIGEST), found, list(gates))
    return render_page(Tested(verdict, parse_gates(list(gates)), found, quality.hint, evidence, milliseconds))


def test_a_roc_curve_is_scikit_learns():
    outcome = classified()
    (curve,) = gather(outcome).curves
    score = outcome.scores[:, 1]
    assert (curve.label, curve.area) == ("yes", pytest.approx(metrics.roc_auc_score(outcome.actual, score)))
    false, true, _ = metrics.roc_curve(outcome.actual, score, drop_intermediate=False)
    points = set(zip(np.round(false, 4), np.round(true, 4), strict=True))
    assert set(zip(curve.false, curve.true, strict=True)) <= points
    assert (curve.false[0], curve.true[0], curve.false[-1], curve.true[-1]) == (0, 0, 1, 1)
    # What is left out of the curve does not change its area much.
    assert metrics.auc(curve.false, curve.true) == pytest.approx(curve.area, abs=0.02)


def test_calibration_is_scikit_learns():
    outcome = classified(2000)
    confidence = outcome.scores.max(axis=1)
    right, sure = calibration.calibration_curve(outcome.predicted == outcome.actual, confidence, n_bins=15)
    found = gather(outcome).calibration
    assert [each.right for each in found] == pytest.approx(right.tolist())
    assert [each.confidence for each in found] == pytest.approx(sure.tolist())
    assert sum(each.rows for each in found) == 2000


def test_the_confusion_is_that_of_all_rows():
    outcome = classified(classes=("a", "b", "c"))
    found = gather(outcome).confusion
    expected = metrics.confusion_matrix(outcome.actual, outcome.predicted)
    assert found.labels == ["a", "b", "c"]
    assert [row[:-1] for row in found.counts] == expected.tolist()
    assert found.left_out == 0


def test_rows_without_an_answer_are_in_the_last_column():
    outcome = Classified(["a", "b"], np.array([0, 0, 1]), np.array([0, NONE, NONE]))
    assert gather(outcome).confusion.counts == [[1, 0, 1], [0, 0, 1]]


def test_of_many_labels_those_with_most_errors_are_shown():
    rng = np.random.default_rng(1)
    labels = [f"label {i:05}" for i in range(50_000)]
    actual = rng.integers(0, 50_000, 20_000)
    predicted = actual.copy()
    actual[:500], predicted[:500] = 777, 4242
    evidence = gather(Classified(labels, actual, predicted))
    assert len(evidence.confusion.labels) == MOST_LABELS
    assert "label 00777" in evidence.confusion.labels
    row = evidence.confusion.counts[evidence.confusion.labels.index("label 00777")]
    # 4242 is no label of many rows, so that its column may be among the others.
    assert sum(row) == (actual == 777).sum()
    assert len(evidence.model_dump_json()) < 3000


def test_evidence_survives_its_file():
    for outcome in (classified(), Estimated(np.arange(9.0), np.arange(9.0) + 1)):
        evidence = gather(outcome)
        assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "predicted",
    [
        np.array([1.0, 2.0, 3.5]),
        np.array([np.nan, 2.0, 3.0]),
        np.full(3, np.nan),
        np.array([1e308, -1e308, 0]),
    ],
    ids=["close", "one is none", "none", "huge"],
)
def test_amounts_of_any_size_are_drawn(predicted):
    broken = int((~np.isfinite(predicted)).sum())
    outcome = Estimated(np.array([1.0, 2.0, 3.0]), predicted, broken, "some are not finite" if broken else "")
    pictured = page_of(outcome).split("</style>")[1].split("<h2>All metrics")[0]
    assert not re.search(r'"(nan|inf|-inf)"', pictured)
    grid = gather(outcome).amounts
    rows = int(np.isfinite(predicted).sum())
    assert (grid is None) == (rows == 0)
    assert grid is None or np.sum(grid.counts) == rows


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_amounts_too_large_to_be_squared_are_not_measured_and_end_nothing():
    quality = measure(Estimated(np.array([1.0, 2.0, 3.0]), np.array([1e200, 2.0, -1e200])))
    assert quality.unmeasured["rmse"] == "the amounts are too large to reckon with"
    assert quality.metrics["mae"] == pytest.approx(2e200 / 3)
    assert np.isfinite([*quality.metrics.values()]).all()


def test_the_page_needs_nothing_else():
    page = page_of(classified(classes=("a", "b", "c")))
    assert not re.search(r"<script|<link|<img|<iframe|url\(|@import|(src|href)=|https?://", page)
    assert "default-src 'none'" in page


def test_the_result_comes_first_and_each_gate_says_whether_it_holds():
    gates = [
        {"metric": "accuracy", "min": 0.1},
        {"metric": "accuracy", "min": 0.999},
        {"metric": "mae", "max": 1},
    ]
    page = page_of(classified(), gates)
    title = re.search(r"<h1 class=\"no\">(.*)</h1>", page)[1]
    assert re.fullmatch(r"Rejected: accuracy 0\.\d+ is below the minimum 0\.999", title)
    assert page.index("<h1") < page.index("mae was not measured") < page.index("<h2>")
    assert re.findall(r'<td class="(?:yes|good)">(yes|no)</td>', page) == ["yes", "no", "no"]
    assert "<h1>Passed: 1 gate holds</h1>" in page_of(classified(), gates[:1])


def test_a_difference_from_the_champion_is_drawn_beside_zero():
    difference = Difference(value=-0.02, low=-0.05, high=0.01)
    page = page_of(
        classified(),
        [{"metric": "accuracy", "notWorseThan": "champion", "margin": 0.01}],
        champion=True,
        differences={"accuracy": difference},
        incomparable={"rocAuc": "the champion gives no scores"},
    )
    assert "Rejected: accuracy" in page
    assert "rocAuc: the champion gives no scores" in page
    strip = pictures.draw_strip(-0.02, difference, [0.0])
    assert strip.low < strip.value < strip.marks[0] < strip.high


def test_names_are_text_whatever_they_hold():
    nasty = ("<script>alert(1)</script>", '"><img src=x>', "a\u202eb")
    page = page_of(classified(classes=nasty))
    assert "<script" not in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "<b>x</b>" not in page
    failure = describe_failure("run-1", "InvalidInput", "no <b>model</b>")
    assert "<b>" not in render_failure(failure, "s3://<b>", "s3://<b>")
    assert "No verdict: no &lt;b&gt;model&lt;/b&gt;" in render_failure(failure, "s3://m", "s3://d")


@pytest.mark.parametrize("times", [[3.0], [0.0, 0.0], [1.0] * 99 + [1000.0]], ids=["one", "none", "one slow"])
def test_each_request_is_in_a_bar(times):
    found = pictures.draw_latencies(times)
    counted = [int(bar.title.split()[0]) for bar in found.bars]
    assert sum(counted) == len(times)
    assert all(0 <= place <= pictures.WIDTH + 0.5 for place, _ in found.quantiles)


def test_a_strip_holds_all_that_is_on_it():
    for value, interval, marks in (
        (0.9, Interval(low=0.8, high=0.95), [0.5, 1.0]),
        (5.0, None, [5.0]),
        (1e308, None, [-1e308]),
        (0.0, Interval(low=None, high=None), []),
    ):
        strip = pictures.draw_strip(value, interval, marks)
        places = [strip.value, *strip.marks, *(each for each in (strip.low, strip.high) if each is not None)]
        assert all(0 <= place <= pictures.STRIP for place in places)


def test_the_report_is_written_where_a_run_asks_for_it(tmp_path):
    quality = measure(classified())
    found = quality.findings({})
    verdict = make_verdict("run-1", Subject("s3://m/x", DIGEST, DIGEST), found, [])
    (tmp_path / "evidence").write_text(quality.evidence.model_dump_json())
    (tmp_path / "timings").write_text(json.dumps([1.0, 2.0]))
    write_reports(
        verdict,
        [],
        found,
        "",
        (tmp_path / "evidence", tmp_path / "timings"),
        (tmp_path / "report.md", tmp_path / "page"),
        f"file://{tmp_path}/page.html",
    )
    assert (tmp_path / "page.html").read_text() == (tmp_path / "page").read_text()
    assert (tmp_path / "report.md").read_text().startswith("# Passed\n")


def test_features_that_move_the_model_are_bars_with_their_names():
    features = [Feature(name="<b>income", size=3.0, share=0.75), Feature(name="age", size=1.0, share=0.25)]
    found = Importances(rows=8, output="score", features=features, left_out=5)
    long, short = pictures.draw_importances(found)
    assert (long.width, short.width) == (pictures.WIDTH, pictures.WIDTH / 3)
    page = page_of(classified(), importances=found)
    assert "&lt;b&gt;income: 3, 75.0% of all" in page
    assert "over 8 rows. 5 more features are left out." in page
    page = page_of(classified(), importances=Importances(rows=8, problem="no batch <axis>"))
    assert "Not found: no batch &lt;axis&gt;" in page
    assert "What moves the model most" not in page_of(classified())


def test_what_moves_the_model_is_in_the_verdict_and_its_markdown():
    outcome = classified()
    quality = measure(outcome)
    ranked = Importances(rows=8, output="y", features=[Feature(name="a|b", size=0.25, share=0.625)])
    found = quality.findings({})
    verdict = make_verdict("r", Subject("s3://m", DIGEST, DIGEST), found, [])
    told = render_markdown(verdict.model_copy(update={"importances": ranked}), [])
    assert "| `a\\|b` | 0.25 | 0.625 |" in told
    problem = Importances(rows=8, problem="a fixed batch")
    told = render_markdown(verdict.model_copy(update={"importances": problem}), [])
    assert "What moves the model is not known: `a fixed batch`" in told
    assert "moves" not in render_markdown(verdict, [])


def test_what_is_in_the_files_is_told_as_text_wherever_it_is_shown():
    found = measure(classified()).findings({})
    verdict = make_verdict("r", Subject("s3://m", DIGEST, DIGEST), found, [])
    finding = ScanFinding(kind="pickle", file="<b>|x", message="is a pickle")
    verdict = verdict.model_copy(update={"scan": Scan(files=2, findings=[finding])})
    assert "| `<b>\\|x` | `is a pickle` |" in render_markdown(verdict, [])
    page = render_page(Tested(verdict, [], found, "", Evidence(), [1.0]))
    assert "&lt;b&gt;|x" in page
    assert "1 finding in 2 files: pickle" in page


def test_other_formats_are_told_with_what_differs_most():
    found = measure(classified()).findings({})
    verdict = make_verdict("r", Subject("s3://m", DIGEST, DIGEST), found, [])
    forms = [
        OtherForm(file="forms/<a>.pt2", difference=0.25, output="scores", row=7),
        OtherForm(file="forms/b.onnx", problem="it is <torn>"),
    ]
    page = render_page(Tested(verdict, [], found, "", Evidence(other_forms=forms), [1.0]))
    assert '<td>forms/&lt;a&gt;.pt2</td><td class="n">0.25</td><td class="wanted">scores, row 7</td>' in page
    assert '<td>forms/b.onnx</td><td class="n"></td><td class="wanted">it is &lt;torn&gt;</td>' in page
