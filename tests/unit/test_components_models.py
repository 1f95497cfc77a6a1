"""Fetch, run and measure real ONNX models, and refuse what is not one."""

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import content_digest
from mooring_components.datasets import load_test_data
from mooring_components.feeding import feed_model
from mooring_components.fetching import fetch_model
from mooring_components.latency import summarize_latency, time_requests
from mooring_components.models import open_model
from mooring_components.outcomes import Classified
from mooring_components.quality import evaluate, measure
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn import datasets, linear_model, metrics


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with a classifier of 8x8 digits, its test data in two forms, and what scikit-learn predicts."""
    folder = tmp_path_factory.mktemp("digits")
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    classifier = linear_model.LogisticRegression(max_iter=200).fit(x[:900], y[:900])
    graph = to_onnx(classifier, x[:1], options={"zipmap": False})
    (folder / "model").mkdir()
    (folder / "model" / "model.onnx").write_bytes(graph.SerializeToString())
    columns = {f"p{i}": x[900:, i] for i in range(64)}
    pq.write_table(pa.table({**columns, "label": y[900:]}), folder / "columns.parquet")
    pixels = pa.FixedSizeListArray.from_arrays(pa.array(x[900:].ravel()), 64)
    pq.write_table(pa.table({"label": y[900:], "pixels": pixels}), folder / "lists.parquet")
    return folder, y[900:], classifier.predict(x[900:])


def linear_graph(features, outputs=1, batch=None):
    """y = x @ ones: a graph of one MatMul."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, [features, outputs], np.ones(features * outputs))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, outputs])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def save(model, folder):
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    return open_model(folder)


def write_rows(path, **columns):
    pq.write_table(pa.table(columns), path)
    return f"file://{path}"


@pytest.mark.parametrize("data", ["columns.parquet", "lists.parquet"])
def test_quality_agrees_with_scikit_learn(digits, tmp_path, data):
    folder, actual, predicted = digits
    fetched = fetch_model(f"file://{folder}/model", tmp_path)
    quality = evaluate(open_model(fetched.folder), load_test_data(f"file://{folder}/{data}", "label"))
    p, r, f1, _ = metrics.precision_recall_fscore_support(actual, predicted, average="macro")
    expected = {"accuracy": metrics.accuracy_score(actual, predicted), "precision": p, "recall": r, "f1": f1}
    found = {name: quality.metrics[name] for name in (*expected, "rows", "invalidPredictions")}
    assert found == pytest.approx({**expected, "rows": len(actual), "invalidPredictions": 0})
    assert quality.confusion == metrics.confusion_matrix(actual, predicted).tolist()
    assert quality.categories == [str(i) for i in range(10)]


@pytest.mark.filterwarnings("ignore")
def test_macro_averages_agree_with_scikit_learn_when_labels_are_missing_on_one_side():
    rng = np.random.default_rng(3)
    for _ in range(50):
        actual, predicted = rng.integers(0, 5, 6), rng.integers(2, 8, 6)
        p, r, f1, _ = metrics.precision_recall_fscore_support(
            actual, predicted, average="macro", zero_division=0
        )
        found = measure(Classified(range(8), actual, predicted)).metrics
        assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((p, r, f1))


def test_a_float_label_means_regression(tmp_path):
    model = save(linear_graph(2), tmp_path / "m")
    uri = write_rows(tmp_path / "d.parquet", a=[1.0, 2.0], b=[1.0, 2.0], label=[2.0, 1.0])
    metrics = {"mae": 1.5, "rmse": np.sqrt(4.5), "r2": -17.0, "mape": 1.5, "rows": 2, "invalidPredictions": 0}
    sound = {"repeatDifference": 0, "batchDifference": 0, "oddInputsFailed": 0, "parameters": 2}
    assert evaluate(model, load_test_data(uri, "label")).metrics == pytest.approx({**metrics, **sound})


def test_a_model_of_a_fixed_batch_size_sees_every_row_once(tmp_path):
    model = save(linear_graph(1, batch=4), tmp_path / "m")
    uri = write_rows(tmp_path / "d.parquet", a=np.arange(10.0), label=np.arange(10.0))
    assert evaluate(model, load_test_data(uri, "label")).metrics == {
        "mae": 0.0,
        "rmse": 0.0,
        "r2": 1.0,
        "rows": 10.0,
        "invalidPredictions": 0.0,
        "repeatDifference": 0.0,
        "oddInputsFailed": 0.0,
        "parameters": 1.0,
    }
    fed = feed_model(model, load_test_data(uri, "label"), {})
    assert min(time_requests(fed, requests=5, warm_up=1)) > 0


def test_the_digest_of_what_was_fetched_is_the_digest_of_the_source(digits, tmp_path):
    uri = f"file://{digits[0]}/model"
    fetched = fetch_model(uri, tmp_path / "a", content_digest(uri))
    assert fetched.digest == content_digest(uri) == content_digest(f"file://{tmp_path}/a")
    assert fetched.size_bytes == (digits[0] / "model" / "model.onnx").stat().st_size
    assert fetched.facts["brought"] == {"digest": fetched.digest, "isFolder": True}


def test_another_digest_is_refused_and_both_are_named(digits, tmp_path):
    other = "sha256:" + "0" * 64
    with pytest.raises(InputError, match=f"model_digest '{other}' does not match .* is 'sha256:"):
        fetch_model(f"file://{digits[0]}/model/model.onnx", tmp_path, other)


@pytest.mark.parametrize("digest", ["0" * 64, "md5:00", "sha256:xyz"])
def test_what_is_no_digest_is_refused(digits, tmp_path, digest):
    with pytest.raises(InputError, match="write sha256: and 64 hex digits"):
        fetch_model(f"file://{digits[0]}/model", tmp_path, digest)


def test_a_file_that_is_not_onnx_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"^model 's3://m': model\.onnx is not a usable ONNX model"):
        open_model(tmp_path, "s3://m")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.onnx": b"", "b.onnx": b""}, r"2 models in .*, expected one: a\.onnx, b\.onnx"),
        ({"notes.txt": b"x"}, "no model in "),
        ({"m.pkl": b"\x80\x04}."}, "no model in "),
        ({"model": b"\x80\x04}."}, "no model in "),
        ({"model.pt": b"\x80\x04}."}, "model.pt is a pickle, which runs code when it is loaded"),
    ],
)
def test_what_would_not_be_served_is_not_tested(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_model(tmp_path)


def test_what_may_run_code_is_named_in_a_form(tmp_path):
    with pytest.raises(
        InputError, match=r"allow 'os\.system' is not allowed: write 'torchscript', 'pyfunc' or"
    ):
        open_model(tmp_path, allow=["torchscript", "os.system"])


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(InputError, match=r"model_uri 'file://.*/none' does not exist"):
        fetch_model(f"file://{tmp_path}/none", tmp_path / "out")


def test_a_missing_label_column_is_an_error_that_lists_the_columns(tmp_path):
    uri = write_rows(tmp_path / "d.parquet", a=[1.0], target=[1])
    with pytest.raises(InputError, match=r"label_column 'label' is not in .*; its columns are 'a', 'target'"):
        load_test_data(uri, "label")


def test_a_wrong_number_of_features_is_an_error_that_gives_both(tmp_path):
    model = save(linear_graph(3), tmp_path / "m")
    uri = write_rows(tmp_path / "d.parquet", a=[1.0], b=[1.0], label=[1])
    with pytest.raises(
        InputError, match=r"has 2 columns of kind number \('a', 'b'\); the model's input 'x' takes 3"
    ):
        evaluate(model, load_test_data(uri, "label"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0, 2.0], "label": [1, None]}, "label 'label' holds 1 nulls"),
        ({"a": [1.0], "label": [[1]]}, "label 'label' is of type list"),
        ({"label": [1]}, "no column but the label"),
        ({"a": pa.array([], pa.float64()), "label": pa.array([], pa.int64())}, "holds no rows"),
        ({"a": [1.0], "label": [np.inf]}, "label 'label' holds values that are not finite"),
    ],
)
def test_unusable_columns_are_refused_by_name(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        load_test_data(write_rows(tmp_path / "d.parquet", **columns), "label")


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    (tmp_path / "d.parquet").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(InputError, match=r"'d\.parquet' is not Parquet"):
        load_test_data(f"file://{tmp_path}/d.parquet", "label")


def test_a_folder_of_parquet_files_is_one_table_and_other_files_do_not_count(tmp_path):
    write_rows(tmp_path / "1.parquet", a=[1.0], label=[1])
    write_rows(tmp_path / "2.parquet", a=[2.0], label=[2])
    (tmp_path / "_SUCCESS").touch()
    data = load_test_data(f"file://{tmp_path}", "label")
    assert (data.columns["a"].to_pylist(), data.labels.tolist()) == ([1.0, 2.0], [1, 2])


def test_string_labels_do_not_fit_a_model_of_scores(tmp_path):
    model = save(linear_graph(1, outputs=3), tmp_path / "m")
    uri = write_rows(tmp_path / "d.parquet", a=[1.0], label=["cat"])
    with pytest.raises(InputError, match="label column holds strings, but the model gives float32 of shape"):
        evaluate(model, load_test_data(uri, "label"))


@pytest.fixture
def fed(digits):
    data = load_test_data(f"file://{digits[0]}/columns.parquet", "label")
    return feed_model(open_model(digits[0] / "model", threads=1), data, {})


def test_latency_is_measured_in_milliseconds_and_its_percentiles_are_ordered(fed):
    found = summarize_latency(time_requests(fed, requests=50, warm_up=2))
    assert 0 < found["latencyP50Ms"] <= found["latencyP95Ms"] <= found["latencyP99Ms"]
    assert summarize_latency([1.0, 2.0, 3.0]) == pytest.approx(
        {"latencyMeanMs": 2.0, "latencyP50Ms": 2.0, "latencyP95Ms": 2.9, "latencyP99Ms": 2.98}
    )


def test_a_slow_model_gets_fewer_requests_but_at_least_one(fed, monkeypatch):
    calls = []
    predict = fed.model.backend.predict
    monkeypatch.setattr(
        fed.model.backend, "predict", lambda *given: (calls.append(given), predict(*given))[1]
    )
    time_requests(fed, requests=1000, warm_up=1000, max_seconds=0.0)
    assert len(calls) == 2
