"""Accuracy of requests that no label has come for: estimated from the scores that the runtime kept."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_components.drift.report import answer
from mooring_components.performance.measuring import measure_performance

from tests.unit.components.performance.test_performance import MEMORY, Traffic, ask
from tests.unit.inference.capture.capture_records import signature, spec

BINARY = signature([spec("x", shape=(None, 1))], [spec("p", shape=(None, 1))])
THREE = signature([spec("x", shape=(None, 1))], [spec("p", shape=(None, 3))])
RULES = {"rules": [{"metric": "accuracy", "margin": 0.05}], "estimate": True}


def binary(count, seed, scale=3.0):
    """Probabilities of a calibrated model, (count, 1), and what is true; a smaller scale is harder."""
    random = np.random.default_rng(seed)
    chance = 1 / (1 + np.exp(-random.normal(0, scale, count)))
    return chance.astype(np.float32)[:, None], (random.random(count) < chance).astype(np.int64)


def baseline(folder, scores, truth, name="base"):
    columns = {"prediction.p": scores[:, 0]}
    if scores.shape[1] > 1:
        columns = {f"prediction.p[{place}]": scores[:, place] for place in range(scores.shape[1])}
    pq.write_table(pa.table({**columns, "label": truth}), folder / f"{name}.parquet")
    return {"uri": f"file://{folder}/{name}.parquet"}


def estimated(folder, sig, scores, asked):
    """What is found of requests with these scores, none of which has a label."""
    traffic = Traffic(folder, sig)
    traffic.answer({"p": scores})
    traffic.close()
    found = measure_performance(asked, MEMORY, asked.requests)
    assert found.problem.reason == "InsufficientLabels"
    return found.estimate


def test_harder_traffic_breaks_a_rule_before_any_label_has_come(tmp_path):
    before = baseline(tmp_path, *binary(20_000, 0))
    scores, truth = binary(1500, 1, scale=0.8)
    found = estimated(tmp_path, BINARY, scores, ask(tmp_path, baseline=before, **RULES))
    right = ((scores[:, 0] >= 0.5) == truth).mean()
    assert (found.rows, found.reference, found.problem) == (1500, 20_000, "")
    assert found.metric.low <= right <= found.metric.high
    assert found.metric.baseline > 0.8
    assert [each.metric for each in found.broken] == ["accuracy"]


def test_the_same_traffic_breaks_none(tmp_path):
    before = baseline(tmp_path, *binary(20_000, 0))
    found = estimated(tmp_path, BINARY, binary(1500, 1)[0], ask(tmp_path, baseline=before, **RULES))
    assert found.metric.value == pytest.approx(found.metric.baseline, abs=0.03)
    assert found.broken == []


def test_several_classes_are_estimated_by_the_best_of_their_scores(tmp_path):
    random = np.random.default_rng(0)
    scores = random.dirichlet([0.4, 0.4, 0.4], 12_000)
    truth = (random.random((12_000, 1)) > scores.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    before = baseline(tmp_path, scores[:10_000], truth[:10_000])
    asked = ask(tmp_path, baseline=before, **RULES)
    found = estimated(tmp_path, THREE, scores[10_000:].astype(np.float32), asked)
    right = (scores[10_000:].argmax(axis=1) == truth[10_000:]).mean()
    assert found.metric.low <= right <= found.metric.high


def test_labels_of_earlier_requests_are_the_reference_where_no_rows_are_named(tmp_path):
    scores, truth = binary(1200, 0)
    traffic = Traffic(tmp_path, BINARY)
    traffic.answer({"p": scores})
    traffic.label({f"r{place}": int(value) for place, value in enumerate(truth)})
    traffic.close()
    asked = ask(tmp_path, figures={"accuracy": 0.99}, figureRows=5000, **RULES)
    found = measure_performance(asked, MEMORY, asked.requests)
    assert found.problem is None
    assert (found.estimate.reference, found.estimate.rows) == (1200, 1200)
    assert [each.metric for each in found.estimate.broken] == ["accuracy"]
    assert measure_performance(ask(tmp_path), MEMORY, asked.requests).estimate is None


@pytest.mark.parametrize(
    ("scores", "truth", "problem"),
    [
        (np.full((3000, 1), 0.95, np.float32), np.arange(3000) % 2, "confidence is no chance of being right"),
        (*binary(900, 0), "900 labelled rows cannot show"),
        (np.full((3000, 1), 7.5, np.float32), np.full(3000, 7.5), "there is no loss to learn from"),
    ],
)
def test_where_the_assumption_does_not_hold_there_is_no_estimate(tmp_path, scores, truth, problem):
    before = baseline(tmp_path, scores, truth)
    found = estimated(tmp_path, BINARY, binary(300, 1)[0], ask(tmp_path, baseline=before, **RULES))
    assert found.metric is None
    assert problem in found.problem


def test_without_labelled_rows_and_without_a_readable_baseline_it_says_so(tmp_path):
    scores, _ = binary(300, 1)
    gone = {"uri": f"file://{tmp_path}/gone.parquet"}
    traffic = Traffic(tmp_path, BINARY)
    traffic.answer({"p": scores})
    traffic.close()
    for fields, problem in (
        ({}, "there are no labelled rows to learn from"),
        ({"baseline": gone}, "does not exist"),
    ):
        asked = ask(tmp_path, estimate=True, **fields)
        assert problem in measure_performance(asked, MEMORY, asked.requests).estimate.problem


def test_the_page_says_that_it_is_an_estimate(tmp_path):
    before = baseline(tmp_path, *binary(20_000, 0))
    traffic = Traffic(tmp_path, BINARY)
    traffic.answer({"p": binary(1500, 1, scale=0.8)[0]})
    traffic.close()
    asked = ask(tmp_path, baseline=before, **RULES)
    rows = {"uri": f"file://{tmp_path}/deployment=m/revision=v1"}
    performance = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    question = {
        "baseline": rows,
        "window": rows,
        "minRows": 100,
        "ks": {"alpha": 0.01},
        "performance": performance,
    }
    page = answer(question, "run-1").page()
    assert "0 of 1500 requests have a label" in page
    assert "estimated without labels, of 1500 requests: accuracy 0." in page
    assert "worse by at least" in page
    young = {**performance, "labels": {"uri": ""}}
    del young["requests"]
    page = answer({**question, "performance": young}, "run-1").page()
    assert "estimated without labels, of 1500 requests" in page
    assert "labels had no time to come yet" in page
    assert "requests have a label" not in page
