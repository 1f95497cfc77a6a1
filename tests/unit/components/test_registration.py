"""What is said where a registry does not answer, or not as MLflow does; and what of a test a version shows."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import SCHEMA_VERSION, Registration, Slice, Verdict
from mooring_artifacts.storage import content_digest
from mooring_components.registration.card import LONGEST_CARD, render_card
from mooring_components.registration.client import PASSWORD, TOKEN, URL, USER
from mooring_components.registration.signatures import describe_signature
from mooring_components.registration.step import Outcome, Wanted, describe_rows, parse_wanted, register_tested
from mooring_components.registration.trained import register_trained
from mooring_inference.backends.mlflow.signature import parse_signature
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

DIGEST = "sha256:" + "1" * 64


def verdict(**changes):
    made = Verdict(
        schema_version=SCHEMA_VERSION,
        run_id="run-1",
        model_uri="s3://models/digits/1",
        model_digest=DIGEST,
        test_data_digest=DIGEST,
        passed=True,
        metrics={"accuracy": 0.97},
        violations=[],
    )
    return made.model_copy(update=changes)


OUTCOME = Outcome(verdict(), [], "", "s3://data/test.parquet", "label", "onnxruntime_onnx", "")


@pytest.mark.parametrize(
    ("uri", "name", "source"),
    [
        ("s3://data/iris@latest", "iris", f"s3://data/iris@{DIGEST}"),
        ("s3://data/iris@3", "iris", "s3://data/iris@3"),
        ("s3://data/rows/", "rows", "s3://data/rows/"),
        ("s3://data/test@v2.parquet", "test@v2.parquet", "s3://data/test@v2.parquet"),
    ],
)
def test_the_dataset_is_the_version_that_was_read(uri, name, source):
    assert describe_rows(uri, DIGEST) == {"name": name, "digest": DIGEST, "source": source}
    assert describe_rows(uri, "")["source"] == uri


@contextmanager
def server(status, content, **headers):
    """What answers everything with this; and what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def log_message(self, *_):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_port}", asked
    finally:
        listening.shutdown()
        listening.server_close()


class Clock:
    """Goes on only where somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def register(url, environment=None, **wanted):
    clock = Clock()
    asked = Wanted(name="digits", tracking_uri=url, **wanted)
    return register_tested(asked, OUTCOME, environment or {}, sleep=clock.sleep, clock=clock), clock.now


def mlflow_error(code, message):
    return json.dumps({"error_code": code, "message": message}).encode()


def test_a_registry_that_is_away_is_asked_for_a_minute_and_told():
    found, waited = register("http://127.0.0.1:9")
    assert found.version is None
    assert found.problem == "cannot reach MLflow at http://127.0.0.1:9 (ConnectError); tried for 60 s"
    assert 40 < waited <= 60


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (503, b"", "answered 503"),
        (429, mlflow_error("REQUEST_LIMIT_EXCEEDED", "slow down"), "answered 429"),
        (400, mlflow_error("BAD_REQUEST", "UNIQUE constraint failed"), "UNIQUE constraint failed"),
        (200, b"<html>login</html>", "no answer of MLflow's"),
        (302, b"", "no answer of MLflow's"),
        (404, b"<html>", "no answer of MLflow's"),
        (200, b" " * (5 << 20), "does not answer as MLflow does"),
    ],
)
def test_what_may_be_over_soon_is_tried_again(status, content, said):
    with server(status, content, Location="http://127.0.0.1:9/") as (url, asked):
        found, _ = register(url)
    assert said in found.problem
    assert found.problem.endswith("; tried for 60 s")
    assert len(asked) > 3


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (401, b"You are not authenticated", "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (403, mlflow_error("PERMISSION_DENIED", "Permission denied"), ": Permission denied: MLFLOW_"),
        (400, mlflow_error("INVALID_PARAMETER_VALUE", "no\x1b[2J\nsuch"), "no\\u001b[2J such"),
    ],
)
def test_what_is_refused_is_asked_once_and_told(status, content, said):
    with server(status, content) as (url, asked):
        found, waited = register(url, {USER: "ann", PASSWORD: "very-secret"})
    assert said in found.problem
    assert (len(asked), waited) == (1, 0.0)
    assert "very-secret" not in found.problem


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["model_versions", "experiment", "runs", "version", "info"]), inner
            )
        ),
        max_leaves=6,
    )
)
def test_any_json_is_no_surprise(value):
    with server(200, json.dumps(value).encode()) as (url, _):
        found, _ = register(url)
    assert isinstance(Registration.model_validate(found.model_dump()), Registration)


def test_credentials_are_mlflows_own_variables():
    with server(401, b"") as (url, asked):
        register(url, {USER: "ann", PASSWORD: "pass"})
        register(url, {TOKEN: "token\n"})
        register(url, {})
    assert [sent for _, sent in asked] == ["Basic YW5uOnBhc3M=", "Bearer token", None]


@pytest.mark.parametrize(
    "url",
    ["ftp://mlflow", "mlflow:5000", "http://", "http://ann:secret@mlflow", "http://mlflow/?token=secret"],
)
def test_an_address_that_is_none_of_a_server_is_told_without_what_it_holds(url):
    found, _ = register(url)
    assert found.version is None
    assert "the tracking server's address" in found.problem
    assert "secret" not in found.problem


def test_the_registry_is_the_operators_before_the_secrets():
    with server(401, b"") as (url, asked):
        register_tested(Wanted(name="digits", tracking_uri=url), OUTCOME, {URL: "http://127.0.0.1:9"})
        register_tested(Wanted(name="digits"), OUTCOME, {URL: url})
    assert len(asked) == 2
    assert URL in register_tested(Wanted(name="digits"), OUTCOME, {}).problem


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "registration.name"),
        ({"name": "a' or name = 'b"}, "registration.name"),
        ({"name": "a", "version": "latest"}, "registration.version"),
        ({"name": "a", "alias": "champion"}, "registration.alias"),
    ],
)
def test_a_parameter_of_another_form_is_named(document, field):
    with pytest.raises(InputError, match=field):
        parse_wanted(document)


def test_a_card_says_what_was_found_and_fits_where_mlflow_keeps_it():
    card = render_card("digits", verdict(), [{"metric": "accuracy", "min": 0.9}], {"digest": DIGEST, "x": ""})
    assert card.startswith(f"# digits\n\n- digest: `{DIGEST}`\n\n## Passed\n")
    assert "| accuracy | 0.97 |  | 0.9 |  |" in card
    many = [
        Slice(column="c" * 60, name=f"{number}", rows=20, metric="accuracy", value=0.5)
        for number in range(80)
    ]
    long = render_card("digits", verdict(slices=many), [], {})
    assert LONGEST_CARD - 200 < len(long) <= LONGEST_CARD
    assert long.rstrip().endswith("the run's report has the rest.")


def test_a_signature_is_one_that_mlflow_models_are_read_by():
    shape = (None, 2)
    specs = tuple(TensorSpec(name, datatype, shape) for name, datatype in DATATYPES.items())
    document = json.loads(describe_signature(Signature(specs, specs[:1])))
    read = parse_signature({key: json.dumps(value) for key, value in document.items()})
    assert [(each.name, each.datatype, each.shape) for each in read.inputs] == [
        (spec.name, spec.datatype, shape) for spec in specs
    ]
    assert np.dtype(document["outputs"][0]["tensor-spec"]["dtype"])


def trained(tmp_path, **registration):
    (tmp_path / "model.onnx").write_bytes(b"m" * 2_000_000)
    return register_trained(f"file://{tmp_path}", registration, "run-7", {})


def test_what_a_training_left_is_known_by_its_digest_without_a_registry(tmp_path):
    found = trained(tmp_path)
    assert (found.model_digest, found.registration) == (content_digest(f"file://{tmp_path}"), None)
    assert (found.metrics, found.run_id, found.passed) == ({"modelSizeMB": 2.0}, "run-7", True)


def test_a_training_that_left_nothing_is_told(tmp_path):
    with pytest.raises(InputError, match="the training left no file at 'file://"):
        register_trained(f"file://{tmp_path}/none", {}, "run-7", {})


def test_a_registry_nobody_names_is_told_and_loses_no_model(tmp_path):
    found = trained(tmp_path, name="iris")
    assert found.model_digest == content_digest(f"file://{tmp_path}")
    assert found.registration.version is None
    assert "no registry is named" in found.registration.problem


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "a/b"}, "registration.name 'a/b' is not allowed"),
        ({"name": "a", "alias": "a b"}, "registration.alias 'a b' is not allowed"),
        ({"name": "a", "epochs": 3}, "registration.epochs 3 is not allowed"),
        ({"name": "a", "rows": ["s3://a"] * 5}, "registration.rows"),
    ],
)
def test_a_registration_of_another_form_is_told(tmp_path, wrong, told):
    with pytest.raises(InputError, match=told):
        trained(tmp_path, **wrong)
