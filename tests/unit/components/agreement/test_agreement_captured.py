"""What the runtime's capture keeps of two revisions, read and joined by the program of a pod that measures."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.measuring import QUESTION
from mooring_artifacts.webhooks import INSUFFICIENT
from mooring_components.agreement.__main__ import run
from mooring_inference.capture.columns import TIME_TYPE

from tests.unit.inference.capture.capture_records import SECONDS, Clock, capturing, record, signature, spec

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLASSES = signature(outputs=[spec("label", "INT64", (None,)), spec("scores", "FP32", (None, 3))])
SCORES = signature(outputs=[spec("scores", "FP32", (None, 3))])
NUMBER = signature(outputs=[spec("y", "FP32", (None, 1))])
TEXT = signature(outputs=[spec("text", "BYTES", (None,))])


def keep(folder, revision, requests, sig):
    """Keep requests of a revision: id, seconds after noon, answers of its rows (None where it failed)."""
    clock = Clock()
    capture = capturing(folder, sig=sig, clock=clock, deployment="iris")
    capture.register("m", revision, sig)
    for request_id, second, answers in requests:
        clock.now = NOON.timestamp() + second
        y = answers if isinstance(answers, dict) else answers and {sig.outputs[0].name: answers}
        rows = len(next(iter(y.values()))) if y else 1
        record(capture, request_id, [[1.0, 2.0]] * rows, y, sig=sig, revision=revision)
    assert capture.close(SECONDS)


def ask(folder, tmp_path, *, since=0, until=600, output="", tolerance=None):
    """Give the exit code and the words of the program."""
    question = {
        "stable": f"file://{folder}/deployment=iris/revision=s",
        "candidate": f"file://{folder}/deployment=iris/revision=c",
        "since": (NOON + timedelta(seconds=since)).isoformat(),
        "until": (NOON + timedelta(seconds=until)).isoformat(),
        "output": output,
        "tolerance": tolerance,
    }
    code = run({QUESTION: json.dumps(question)}, tmp_path / "says")
    said = (tmp_path / "says").read_text()
    return code, json.loads(said) if code == 0 else said


def compared(folder, tmp_path, stable, candidate, sig, **asked):
    keep(folder, "s", stable, sig)
    keep(folder, "c", candidate, sig)
    code, said = ask(folder, tmp_path, **asked)
    assert code == 0, said
    return said


def test_classes_are_equal_or_not(tmp_path):
    both = [(f"r{number}", number, [number % 3]) for number in range(90)]
    other = [(name, second + 1, [0 if second < 9 else answer[0]]) for name, second, answer in both]
    found = compared(tmp_path, tmp_path, both, [*other, ("alone", 5, [1])], CLASSES)
    assert found == {
        "pairs": 90,
        "disagreements": 6,
        "failed": 0,
        "repeated": 0,
        "stable": 90,
        "candidate": 91,
        "until": (NOON + timedelta(seconds=600)).isoformat(),
    }


def test_of_scores_the_largest_is_compared_and_with_a_tolerance_each(tmp_path):
    stable = [("a", 1, [[0.6, 0.3, 0.1]]), ("b", 2, [[0.6, 0.3, 0.1]]), ("c", 3, [[0.5, 0.4, 0.1]])]
    candidate = [("a", 1, [[0.62, 0.28, 0.1]]), ("b", 2, [[0.8, 0.1, 0.1]]), ("c", 3, [[0.45, 0.46, 0.09]])]
    found = compared(tmp_path, tmp_path, stable, candidate, SCORES)
    assert (found["pairs"], found["disagreements"]) == (3, 1)
    found = ask(tmp_path, tmp_path, tolerance=0.1)[1]
    assert (found["pairs"], found["disagreements"]) == (3, 1)
    found = ask(tmp_path, tmp_path, tolerance=0.03)[1]
    assert (found["pairs"], found["disagreements"]) == (3, 2)


def test_texts_are_equal_or_not(tmp_path):
    found = compared(
        tmp_path, tmp_path, [("a", 1, ["yes"]), ("b", 2, ["no"])], [("a", 1, ["yes"]), ("b", 2, ["No"])], TEXT
    )
    assert (found["pairs"], found["disagreements"]) == (2, 1)


def test_one_row_of_a_request_counts_and_failures_are_no_pairs(tmp_path):
    stable = [("a", 1, [0, 1, 2, 3]), ("b", 2, [1]), ("c", 3, None)]
    candidate = [("a", 1, [9, 9, 9, 9]), ("b", 2, None), ("c", 3, [1])]
    found = compared(tmp_path, tmp_path, stable, candidate, CLASSES)
    assert {name: found[name] for name in ("pairs", "disagreements", "failed", "stable", "candidate")} == {
        "pairs": 1,
        "disagreements": 1,
        "failed": 2,
        "stable": 3,
        "candidate": 3,
    }


def test_looks_that_follow_each_other_count_each_pair_once(tmp_path):
    """The copy may be answered in another look, an hour or a file than the request."""
    stable = [(f"r{number}", number * 10, [1]) for number in range(-30, 30)]
    candidate = [(name, second + (12 if second % 20 else -12), answers) for name, second, answers in stable]
    keep(tmp_path, "s", stable, CLASSES)
    keep(tmp_path, "c", candidate, CLASSES)
    found = [ask(tmp_path, tmp_path, since=at, until=at + 60)[1]["pairs"] for at in range(-300, 300, 60)]
    assert found == [6] * 10


def test_an_output_is_named(tmp_path):
    rows = {"label": [1], "scores": [[0.1, 0.8, 0.1]]}
    other = {"label": [1], "scores": [[0.8, 0.1, 0.1]]}
    found = compared(tmp_path, tmp_path, [("a", 1, rows)], [("a", 1, other)], CLASSES, output="scores")
    assert (found["pairs"], found["disagreements"]) == (1, 1)
    assert ask(tmp_path, tmp_path, output="label")[1]["disagreements"] == 0


def test_nothing_kept_is_no_pairs(tmp_path):
    code, said = ask(tmp_path, tmp_path)
    assert (code, said["pairs"], said["stable"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("sig", "answers", "asked", "why"),
    [
        (
            NUMBER,
            [[1.5]],
            {},
            "prediction.y is a number: say what tolerance two answers may differ by, 0 for none",
        ),
        (TEXT, ["yes"], {"tolerance": 0.1}, "prediction.text is no number: leave tolerance out"),
        (TEXT, ["yes"], {"output": "score"}, "has no output 'score'; it has text"),
    ],
)
def test_what_cannot_be_compared_so_is_said(tmp_path, sig, answers, asked, why):
    keep(tmp_path, "s", [("a", 1, answers)], sig)
    code, said = ask(tmp_path, tmp_path, **asked)
    assert code == INSUFFICIENT
    assert said.startswith("stable ")
    assert why in said


def _file(folder, table):
    path = folder / "deployment=iris/revision=s/date=2026-03-01/hour=12/x.parquet"
    path.parent.mkdir(parents=True)
    if isinstance(table, bytes):
        path.write_bytes(table)
    else:
        pq.write_table(table, path)


REQUEST = pa.struct([("id", pa.string()), ("row", pa.int32()), ("time", TIME_TYPE)])


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (b"PAR1", "is not Parquet"),
        (pa.table({"prediction.y": [1]}), "cannot be read"),
        (pa.table({"request": pa.array([{"id": "a"}], REQUEST)}), "it has none: are they masked?"),
    ],
)
def test_files_of_others_are_refused_in_a_sentence(tmp_path, table, why):
    _file(tmp_path, table)
    code, said = ask(tmp_path, tmp_path)
    assert code == INSUFFICIENT
    assert why in said
    assert len(said) <= 400


def test_rows_that_name_no_request_are_none(tmp_path):
    rows = [
        {"id": None, "row": 0, "time": NOON},
        {"id": "a", "row": None, "time": NOON},
        {"id": "a", "row": -7, "time": NOON},
        {"id": "b", "row": 0, "time": None},
        {"id": "c", "row": 0, "time": NOON},
    ]
    _file(tmp_path, pa.table({"request": pa.array(rows, REQUEST), "prediction.y": [1] * 5}))
    code, said = ask(tmp_path, tmp_path)
    assert (code, said["stable"]) == (0, 1)


def test_files_that_were_complete_before_the_look_are_not_read(tmp_path):
    _file(tmp_path, b"no Parquet")
    [path] = tmp_path.rglob("*.parquet")
    path.rename(path.with_name("20260301T120000Z-1-a.parquet"))
    assert ask(tmp_path, tmp_path, since=960, until=1000)[0] == 0
    assert ask(tmp_path, tmp_path, since=840, until=1000)[0] == INSUFFICIENT
