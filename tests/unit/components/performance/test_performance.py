"""Predictions that the runtime kept, joined with labels that came later."""

import csv
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.drift_question import PerformanceQuestion
from mooring_artifacts.run_documents import DriftReport, RunFailure, parse_drift_report
from mooring_components.drift.markdown import render_markdown
from mooring_components.drift.report import answer
from mooring_components.performance.measuring import measure_performance
from sklearn import metrics as oracle

from tests.unit.inference.capture.capture_records import (
    NOON,
    SECONDS,
    Clock,
    capturing,
    record,
    signature,
    spec,
)

MEMORY = 1 << 30
SINCE = datetime.fromtimestamp(NOON, UTC) - timedelta(hours=1)
CLASSES = signature(
    [spec("x", shape=(None, 1))], [spec("label", "INT64", (None,)), spec("p", shape=(None, 3))]
)
AMOUNTS = signature([spec("x", shape=(None, 1))], [spec("y", shape=(None, 1))])


class Traffic:
    """Requests with ids r0, r1, ... that the real runtime keeps."""

    def __init__(self, folder, sig):
        self.folder, self.clock, self.sig = folder, Clock(), sig
        self.capture = capturing(folder, sig=sig, clock=self.clock)

    def answer(self, outputs, ids=None, **changes):
        for place in range(len(next(iter(outputs.values())))):
            row = {name: value[place : place + 1] for name, value in outputs.items()}
            name = ids[place] if ids else f"r{place}"
            record(self.capture, name, [[0.0]], row, sig=self.sig, **changes)

    def label(self, labels, later=timedelta(hours=3)):
        self.clock.now = NOON + later.total_seconds()
        for request, value in labels.items():
            values = value if isinstance(value, list) else [value]
            assert self.capture.labels.record("m", request, values)

    def close(self):
        assert self.capture.close(SECONDS)


def classes_of(count, seed=0, right=0.8):
    """Three classes with their probabilities, and what was true."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, count)
    said = np.where(random.random(count) < right, truth, (truth + 1) % 3)
    scores = random.dirichlet([1, 1, 1], count).astype(np.float32)
    scores[np.arange(count), said] += 2
    scores /= scores.sum(axis=1, keepdims=True)
    return said, scores, truth


def ask(folder, labels=None, **fields):
    since, until = SINCE, SINCE + timedelta(hours=2)
    if labels is None:
        labels = {
            "uri": f"file://{folder}/labels/deployment=m",
            "since": since,
            "until": until + timedelta(days=1),
        }
    question = {
        "requests": {"uri": f"file://{folder}/deployment=m/revision=v1", "since": since, "until": until},
        "labels": labels,
        "minLabels": 20,
        **fields,
    }
    return PerformanceQuestion.model_validate(question)


def measured(asked):
    found = measure_performance(asked, MEMORY)
    assert found.problem is None, found.problem
    return found, {each.metric: each for each in found.metrics}


def test_labels_sent_to_the_runtime_are_joined_by_request_and_measured_as_in_ci(tmp_path):
    said, scores, truth = classes_of(300)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    # In another order, and not for all.
    order = np.random.default_rng(1).permutation(300)[:250]
    traffic.label({f"r{place}": int(truth[place]) for place in order})
    traffic.close()
    found, metrics = measured(ask(tmp_path))
    assert (found.counts.answered, found.counts.labelled) == (300, 250)
    there = np.sort(order)
    shares = scores / scores.sum(axis=1, keepdims=True, dtype=np.float64)
    assert metrics["accuracy"].value == pytest.approx(oracle.accuracy_score(truth[there], said[there]))
    assert metrics["f1"].value == pytest.approx(oracle.f1_score(truth[there], said[there], average="macro"))
    assert metrics["logLoss"].value == pytest.approx(oracle.log_loss(truth[there], shares[there]), rel=1e-6)
    assert metrics["rocAuc"].value == pytest.approx(
        oracle.roc_auc_score(truth[there], shares[there], multi_class="ovr"), rel=1e-6
    )
    assert metrics["accuracy"].low < metrics["accuracy"].value < metrics["accuracy"].high


def test_amounts_are_measured_by_their_errors(tmp_path):
    random = np.random.default_rng(0)
    y = random.normal(10, 3, 200).astype(np.float32)
    truth = y + random.normal(0, 1, 200)
    traffic = Traffic(tmp_path, AMOUNTS)
    traffic.answer({"y": y[:, None]})
    traffic.label({f"r{place}": float(value) for place, value in enumerate(truth)})
    traffic.close()
    _, metrics = measured(ask(tmp_path))
    assert metrics["mae"].value == pytest.approx(np.abs(truth - y).mean())
    assert metrics["rmse"].value == pytest.approx(np.sqrt(np.square(truth - y).mean()))
    assert metrics["r2"].value == pytest.approx(oracle.r2_score(truth, y))


def write_labels(folder, form, rows):
    folder.mkdir(exist_ok=True)
    names = list(rows[0])
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    elif form == "jsonl":
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with (folder / "a.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_labels_of_a_dataset_in_any_format(tmp_path, form):
    said, scores, truth = classes_of(100)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.close()
    rows = [{"order": f"r{place}", "class": int(value), "note": "x"} for place, value in enumerate(truth)]
    write_labels(tmp_path / "data", form, rows[::-1])
    labels = {"uri": f"file://{tmp_path}/data", "idColumn": "order", "labelColumn": "class"}
    found, metrics = measured(ask(tmp_path, labels))
    assert found.counts.labelled == 100
    assert metrics["accuracy"].value == pytest.approx((said == truth).mean())


def test_ids_that_are_numbers_and_files_of_different_types_fit_together(tmp_path):
    said, scores, truth = classes_of(60)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores}, ids=[str(1000 + place) for place in range(60)])
    traffic.close()
    folder = tmp_path / "data"
    write_labels(folder, "csv", [{"id": 1000 + place, "label": int(truth[place])} for place in range(30)])
    rest = {"id": [str(1000 + place) for place in range(30, 60)], "label": truth[30:].astype(float)}
    pq.write_table(pa.table(rest), folder / "b.parquet")
    found, metrics = measured(ask(tmp_path, {"uri": f"file://{folder}"}))
    assert found.counts.labelled == 60
    assert metrics["accuracy"].value == pytest.approx((said == truth).mean())


def test_duplicates_corrections_strangers_and_gaps_are_counted(tmp_path):
    said, scores, truth = classes_of(60)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.clock.now += 1
    traffic.answer({"label": said[:5], "p": scores[:5]})  # the same ids again
    traffic.answer({"label": said[:3], "p": scores[:3]}, ids=["f0", "f1", "f2"], status=500)
    traffic.close()
    rows = [{"id": f"r{place}", "label": int(value)} for place, value in enumerate(truth)]
    wrong = [{"id": f"r{place}", "label": int((truth[place] + 1) % 3)} for place in range(4)]
    same = [dict(rows[place]) for place in range(10, 13)]
    strangers = [{"id": f"s{place}", "label": 0} for place in range(7)]
    gaps = [{"id": None, "label": 1}, {"id": "r1", "label": None}]
    # What comes last corrects what came before.
    write_labels(tmp_path / "data", "parquet", [*wrong, *rows, *same, *strangers, *gaps])
    found, metrics = measured(ask(tmp_path, {"uri": f"file://{tmp_path}/data"}))
    counts = found.counts
    assert (counts.labelled, counts.duplicates, counts.conflicting) == (60, 7, 4)
    assert (counts.unknown, counts.empty, counts.repeated) == (7, 2, 5)
    assert metrics["accuracy"].value == pytest.approx((said == truth).mean())


def test_rows_of_one_request_have_labels_of_their_own(tmp_path):
    said, scores, truth = classes_of(90)
    traffic = Traffic(tmp_path, CLASSES)
    for first in range(0, 90, 3):
        part = slice(first, first + 3)
        outputs = {"label": said[part], "p": scores[part]}
        record(traffic.capture, f"r{first}", np.zeros((3, 1)), outputs, sig=CLASSES)
    labels = {f"r{first}": truth[first : first + 3].tolist() for first in range(0, 90, 3)}
    traffic.label(labels)
    traffic.close()
    found, metrics = measured(ask(tmp_path))
    assert (found.counts.answered, found.counts.labelled) == (90, 90)
    assert metrics["accuracy"].value == pytest.approx((said == truth).mean())
    # Without the number of the row a label is of the first.
    rows = [{"id": request, "label": values[0]} for request, values in labels.items()]
    write_labels(tmp_path / "data", "csv", rows)
    found, metrics = measured(ask(tmp_path, {"uri": f"file://{tmp_path}/data"}))
    assert found.counts.labelled == 30
    assert metrics["accuracy"].value == pytest.approx((said[::3] == truth[::3]).mean())


def test_labels_that_came_after_the_grace_count_nowhere(tmp_path):
    said, scores, truth = classes_of(60)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.label({f"r{place}": int(truth[place]) for place in range(40)})
    # In the same hour as the last that count, and long after.
    traffic.label(
        {f"r{place}": int(truth[place]) for place in range(40, 50)}, later=timedelta(hours=25, minutes=0.1)
    )
    traffic.label({f"r{place}": int(truth[place]) for place in range(50, 60)}, later=timedelta(hours=30))
    traffic.close()
    found, _ = measured(ask(tmp_path))
    assert (found.counts.labelled, found.counts.unknown) == (40, 0)


def test_too_few_labels_say_nothing_and_ids_of_others_are_suspected(tmp_path):
    said, scores, _ = classes_of(60)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.close()
    write_labels(tmp_path / "data", "csv", [{"id": f"other{place}", "label": 1} for place in range(50)])
    found = measure_performance(ask(tmp_path, {"uri": f"file://{tmp_path}/data"}), MEMORY)
    assert found.problem.reason == "InsufficientLabels"
    assert found.problem.message.startswith(
        "0 of 60 requests have a label; spec.performance.minLabels wants 20"
    )
    assert "50 labels are of other requests" in found.problem.message
    assert (found.counts.answered, found.counts.unknown) == (60, 50)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"uri": "file:///nowhere/at/all"}, "does not exist"),
        ({"idColumn": "key"}, "has no column 'key'; its columns are 'id', 'label'"),
        ({"labelColumn": "y"}, "has no column 'y'"),
        ({"idColumn": "label"}, "column 'label' is of type double; ids are strings or integers"),
        ({"rowColumn": "label"}, "column 'label' is of type double; rows are integers"),
    ],
)
def test_labels_that_cannot_be_read_are_said_by_field_and_column(tmp_path, labels, message):
    said, scores, _ = classes_of(30)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.close()
    write_labels(tmp_path / "data", "parquet", [{"id": "r1", "label": 0.5}])
    found = measure_performance(ask(tmp_path, {"uri": f"file://{tmp_path}/data", **labels}), MEMORY)
    assert found.problem.reason == "LabelsUnreadable"
    assert "spec.performance.labels.uri" in found.problem.message
    assert message in found.problem.message


def test_labels_that_do_not_fit_what_the_model_says_name_the_field_of_the_monitor(tmp_path):
    random = np.random.default_rng(0)
    traffic = Traffic(tmp_path, AMOUNTS)
    traffic.answer({"y": random.normal(10, 3, (60, 1)).astype(np.float32)})
    traffic.label({f"r{place}": "good" for place in range(60)})
    traffic.close()
    found = measure_performance(ask(tmp_path), MEMORY)
    assert found.problem.reason == "LabelsUnreadable"
    assert "name their labels in spec.performance.classes" in found.problem.message


def test_an_output_whose_columns_are_classes_says_which_they_are(tmp_path):
    named = replace(spec("p", shape=(None, 3)), columns=("c", "a", "b"))
    sig = signature([spec("x", shape=(None, 1))], [named])
    _, scores, truth = classes_of(60)
    traffic = Traffic(tmp_path, sig)
    traffic.answer({"p": scores})
    traffic.label({f"r{place}": "cab"[value] for place, value in enumerate(truth)})
    traffic.close()
    _, metrics = measured(ask(tmp_path))
    assert metrics["accuracy"].value == pytest.approx((scores.argmax(axis=1) == truth).mean())


def test_a_rule_compares_with_the_figure_of_the_test_or_of_a_labelled_baseline(tmp_path):
    said, scores, truth = classes_of(400, right=0.7)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.label({f"r{place}": int(value) for place, value in enumerate(truth)})
    traffic.close()
    rules = [{"metric": "accuracy", "margin": 0.05}]
    found, metrics = measured(ask(tmp_path, rules=rules, figures={"accuracy": 0.95}, figureRows=2000))
    assert [each.metric for each in found.broken] == ["accuracy"]
    assert "was 0.95: worse by at least 0.2" in found.broken[0].message
    assert metrics["accuracy"].baseline == 0.95
    found, _ = measured(ask(tmp_path, rules=rules, figures={"accuracy": 0.75}, figureRows=2000))
    assert found.broken == []
    value = metrics["accuracy"].value
    for figure, broken in ((value + 0.055, ["accuracy"]), (value + 0.045, [])):
        more = {"figures": {"accuracy": figure}, "figureRows": 2000}
        assert measured(ask(tmp_path, **more))[0].broken == []
        found, _ = measured(ask(tmp_path, plain=True, **more))
        assert [each.metric for each in found.broken] == broken
    before, _, right = classes_of(2000, seed=5, right=0.95)
    pq.write_table(pa.table({"prediction.label": before, "label": right}), tmp_path / "base.parquet")
    baseline = {"uri": f"file://{tmp_path}/base.parquet"}
    found, metrics = measured(ask(tmp_path, rules=rules, baseline=baseline))
    assert [each.metric for each in found.broken] == ["accuracy"]
    assert metrics["accuracy"].baseline == pytest.approx((before == right).mean())


def test_a_rule_that_cannot_be_judged_says_why(tmp_path):
    said, scores, truth = classes_of(60)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.label({f"r{place}": int(value) for place, value in enumerate(truth)})
    traffic.close()
    rules = [{"metric": "mae", "margin": 1}, {"metric": "accuracy", "margin": 0.05}]
    found, _ = measured(ask(tmp_path, rules=rules))
    assert found.broken == []
    assert "mae: it was not measured" in found.hint
    assert "accuracy: there is no figure of the baseline" in found.hint
    gone = {"uri": f"file://{tmp_path}/gone.parquet"}
    found, _ = measured(ask(tmp_path, rules=rules, baseline=gone))
    assert "no figures of the baseline: spec.performance.baseline.uri" in found.hint


def test_an_evaluation_writes_it_beside_what_drifted_and_in_place_of_it(tmp_path):
    said, scores, truth = classes_of(300)
    traffic = Traffic(tmp_path, CLASSES)
    traffic.answer({"label": said, "p": scores})
    traffic.label({f"r{place}": int(value) for place, value in enumerate(truth)})
    traffic.close()
    asked = ask(tmp_path, rules=[{"metric": "accuracy", "limit": 0.99}], minLabels=20.0)
    performance = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    rows = {"uri": f"file://{tmp_path}/deployment=m/revision=v1"}
    question = {
        "baseline": rows,
        "window": rows,
        "minRows": 100,
        "ks": {"alpha": 0.01},
        "performance": performance,
    }
    found = answer(question, "run-1")
    document = parse_drift_report(found.document.to_json())
    assert isinstance(document, DriftReport)
    assert document.performance.counts.labelled == 300
    assert [each.metric for each in document.performance.broken] == ["accuracy"]
    page = found.page()
    assert "300 of 300 requests have a label (100.0%)" in page
    assert "it must be at least 0.99" in page
    markdown, metrics = render_markdown(document)
    assert "| accuracy |" in markdown
    assert (metrics["brokenRules"], metrics["labelled"]) == (1, 300)
    assert metrics["accuracy"] == pytest.approx((said == truth).mean())
    # Too few rows to compare say nothing about labels of earlier ones.
    found = answer({**question, "minRows": 1000}, "run-2")
    document = parse_drift_report(found.document.to_json())
    assert isinstance(document, RunFailure)
    assert document.error.reason == "InsufficientData"
    assert document.performance.counts.labelled == 300
    assert "it must be at least 0.99" in found.page()
    assert "it must be at least 0.99" in render_markdown(document)[0]
