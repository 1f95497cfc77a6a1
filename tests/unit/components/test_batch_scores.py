"""Rows through a model, as the pipeline that people start does it."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.storage import content_digest
from mooring_components.batch_scores import score_rows
from mooring_components.registration.client import TOKEN
from onnx import TensorProto, helper


@pytest.fixture
def world(tmp_path):
    """A model that adds two columns, and rows of them."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [1.0, 1.0])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "model").mkdir()
    onnx.save(made, tmp_path / "model" / "model.onnx")
    rows = {"id": ["p", "q", "r"], "a": [1.0, 2.0, 3.0], "b": [10.0, 20.0, 30.0]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    return tmp_path


def score(world, *arguments, model="model", folder="fetched", **options):
    place = world / folder
    place.mkdir(exist_ok=True)
    uri = model if ":" in model else f"file://{world}/{model}"
    rows = f"file://{world}/rows.parquet"
    options = {"environment": {}, **options}
    return score_rows(uri, rows, f"file://{world}/scores", ["--id_column=id", *arguments], place, **options)


def scores(world):
    table = pq.read_table(world / "scores", ignore_prefixes=["_"])
    [column] = [name for name in table.column_names if name.startswith("y")]
    return dict(zip(table["id"].to_pylist(), np.ravel(table[column].to_pylist()).tolist(), strict=True))


def test_all_rows_are_scored_and_the_report_names_the_model(world):
    found = score(world)
    assert scores(world) == {"p": 11.0, "q": 22.0, "r": 33.0}
    assert found.metrics == {"rows": 3, "scored": 3, "badRows": 0, "files": 1}
    assert found.model_digest == content_digest(f"file://{world}/model")
    report = found.to_markdown("m", "d", "o")
    assert report.startswith("# 3 of 3 rows scored")
    assert found.model_digest in report


def test_the_same_question_scores_nothing_twice(world):
    score(world)
    assert score(world, folder="again").summary.reused_parts == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"expected_digest": "sha256:" + "0" * 64}, "does not match the content"),
        ({"model": "models:/iris"}, "write models:/NAME@ALIAS or models:/NAME/VERSION"),
        ({"model": "models:/iris@champion"}, "no MLflow is named: tracking_uri"),
        ({"model": "none"}, "does not exist"),
    ],
)
def test_a_model_that_cannot_be_had_is_told(world, options, told):
    tracking = {"tracking_uri": "http://127.0.0.1:9"} if options.get("model") == "models:/iris" else {}
    with pytest.raises(InputError, match=re.escape(told)):
        score(world, **options, **tracking)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--output=file:///elsewhere", "--output=file:///elsewhere is said by a parameter of the run"),
        ("--model-dir=/etc", "--model-dir=/etc is said by a parameter of the run"),
        ("--epochs=3", "are not those of mooring-inference score"),
        ("--columns=x=nothing", "nothing"),
    ],
)
def test_arguments_that_do_not_fit_are_told(world, word, told):
    with pytest.raises(InputError, match=re.escape(told)):
        score(world, word)


def test_bad_rows_fail_the_run_where_that_is_asked_for(world):
    rows = {"id": ["p", "q"], "a": [1.0, None], "b": [10.0, 20.0]}
    (world / "rows.parquet").unlink()
    pq.write_table(pa.table(rows), world / "rows.parquet")
    assert score(world, "--nulls=reject").metrics["badRows"] == 1
    with pytest.raises(InputError, match="1 of 2 rows could not be scored"):
        score(world, "--nulls=reject", "--fail_on_bad_rows", folder="again")


@contextmanager
def registry(source, status=200):
    """An MLflow whose model iris has version 7 at `source`; and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            answer = {"model_version": {"version": "7"}} if "alias" in self.path else {"artifact_uri": source}
            content = json.dumps(answer if status == 200 else {"error_code": "X", "message": "no"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", asked
    finally:
        listening.shutdown()


def test_a_registered_model_is_looked_up_with_the_runs_credentials(world):
    with registry(f"file://{world}/model") as (url, asked):
        score(world, model="models:/iris@champion", tracking_uri=url, environment={TOKEN: "t"})
    assert scores(world)["q"] == 22.0
    api = "/api/2.0/mlflow"
    assert asked == [
        (f"{api}/registered-models/alias?name=iris&alias=champion", "Bearer t"),
        (f"{api}/model-versions/get-download-uri?name=iris&version=7", "Bearer t"),
    ]


@pytest.mark.parametrize(("status", "error"), [(404, InputError), (503, StoreUnavailable)])
def test_a_registry_that_says_no_or_nothing_is_told_apart(world, status, error):
    with registry("file:///none", status) as (url, _), pytest.raises(error):
        score(world, model="models:/iris/7", tracking_uri=url)
