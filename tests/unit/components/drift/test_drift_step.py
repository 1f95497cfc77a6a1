"""What an evaluation leaves: a document for the operator, and a page for people beside it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.run_documents import DriftReport, RunFailure, parse_drift_report
from mooring_components.drift import report
from mooring_components.drift.report import answer
from mooring_components.drift.step import write_answer


@pytest.fixture
def question(tmp_path):
    rng = np.random.default_rng(0)
    for name, shift in (("baseline", 0.0), ("window", 1.0)):
        columns = {"age": rng.normal(shift, size=1000), "<income>": rng.normal(size=1000)}
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    rows = {name: {"uri": f"file://{tmp_path}/{name}.parquet"} for name in ("baseline", "window")}
    return {**rows, "minRows": 100, "ks": {"alpha": 0.01}}


def write(found, folder, page_uri=None):
    targets = folder / "m.md", folder / "p.html"
    uri = f"file://{folder}/out/report.html" if page_uri is None else page_uri
    metrics = write_answer(found, targets, f"file://{folder}/out/report.json", uri)
    document = parse_drift_report((folder / "out" / "report.json").read_bytes())
    return metrics, document, targets[1].read_text()


def test_the_page_lies_beside_the_document_which_says_so(tmp_path, question):
    metrics, document, page = write(answer(question, "run-1"), tmp_path)
    assert isinstance(document, DriftReport)
    assert document.page
    assert metrics["driftedFeatures"] == 1
    assert (tmp_path / "out" / "report.html").read_text() == page
    assert "1 of 2 features drifted: age" in page
    assert "run-1" in page
    assert page.count("<svg") == 1
    assert "&lt;income&gt;" in page
    assert "<income>" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_shows_the_windows_before_this_one(tmp_path, question):
    past = [
        {"time": f"2026-03-01T{hour:02}:00:00Z", "tested": 2, "drifted": 1, "evidence": 9.5}
        for hour in range(3)
    ]
    _, _, page = write(answer({**question, "past": past, "limit": 1000}, "run-1"), tmp_path)
    assert "Windows before this one" in page
    assert page.count("<svg") == 2
    assert "2026-03-01 02:00: 1 of 2 features drifted, evidence 9.5" in page
    _, _, page = write(answer({**question, "past": past[:1]}, "run-1"), tmp_path)
    assert "Windows before this one" not in page


def test_the_page_and_the_document_say_how_large_a_difference_is(tmp_path, question):
    _, document, page = write(answer(question, "run-1"), tmp_path)
    moved = document.features[0]
    assert moved.test == "Rank"
    assert moved.wasserstein == pytest.approx(1.0, abs=0.2)
    assert f"decided by Rank, Jensen-Shannon distance {moved.jensen_shannon:.3f}, moved by " in page
    assert '<th class="n">out of range</th>' in page
    markdown = (tmp_path / "m.md").read_text()
    assert (
        f"| {moved.jensen_shannon:.3f} | {moved.wasserstein:.4g} |  | {moved.out_of_range:.1%} |" in markdown
    )


@pytest.mark.parametrize("uri", ["", "ftp://x/y", "file:///dev/null/report.html"])
def test_a_page_that_cannot_be_written_keeps_no_answer_from_the_operator(tmp_path, question, uri):
    _, document, page = write(answer(question, "run-1"), tmp_path, uri)
    assert not document.page
    assert document.drifted_features == ["age"]
    assert "age" in page


def test_a_mistake_has_a_page_for_who_looks_at_the_run_and_none_beside_its_document(tmp_path, question):
    question["window"]["uri"] = f"file://{tmp_path}/<gone>.parquet"
    _, document, page = write(answer(question, "run-1"), tmp_path)
    assert isinstance(document, RunFailure)
    assert "WindowUnreadable" in page
    assert "%3Cgone%3E.parquet&#39; does not exist" in page
    assert not (tmp_path / "out" / "report.html").exists()


def test_without_memory_for_pictures_there_is_a_page_without(tmp_path, question, monkeypatch, capsys):
    found = answer(question, "run-1")

    def draw(*_):
        raise MemoryError("too much")

    monkeypatch.setattr(report, "draw_rows", draw)
    _, document, page = write(found, tmp_path)
    assert document.page
    assert "There is nothing to draw." in page
    assert "without pictures: MemoryError: too much" in capsys.readouterr().out
