"""What reads and writes stores tells a store that is out from one that has answered, at a real S3 server."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.demands import Demands, Wanted
from mooring_artifacts.errors import AccessError, InputError, StoreUnavailable
from mooring_artifacts.storage import content_digest, list_files, locate, put_file, read_entry, write
from mooring_artifacts.uris import parse
from mooring_components.champions import evaluate_beside
from mooring_components.datasets import load_test_data
from mooring_components.fetching import fetch_model
from mooring_components.inspection import inspect_model
from mooring_components.options import parse_options
from mooring_components.signatures.step import verify_files
from mooring_operator.cli.main import run

from tests.cluster.between import CUT, Between
from tests.unit.components.test_importances import linear, rows_of

ROOT = "s3://mooring/outages"


@pytest.fixture
def between(s3_store, monkeypatch):
    """The server with a few files, and what stands before it; clients give up after their second try."""
    opened = obstore.store.from_url
    few = {
        "max_retries": 1,
        "retry_timeout": timedelta(seconds=20),
        "backoff": {
            "init_backoff": timedelta(milliseconds=1),
            "max_backoff": timedelta(milliseconds=2),
            "base": 2,
        },
    }
    monkeypatch.setattr(obstore.store, "from_url", lambda url, **_: opened(url, retry_config=few))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1.0], "label": [1]}), sink)
    bucket = obstore.store.from_url("s3://mooring/")
    obstore.put(bucket, "outages/rows.parquet", sink.getvalue().to_pybytes())
    obstore.put(bucket, "outages/card.md", b"# digits")
    obstore.put(bucket, "outages/model/weights.bin", b"x" * 100_000)
    with Between(s3_store.environment["AWS_ENDPOINT"]) as between:
        monkeypatch.setenv("AWS_ENDPOINT", between.endpoint)
        yield between


@pytest.fixture
def actions(tmp_path):
    """Everything that asks a store, by name."""
    (tmp_path / "made").write_bytes(b"made")

    def read():
        location = locate(f"{ROOT}/model", "model_uri")
        return [read_entry(location, file) for file in list_files(location, "model_uri")]

    return {
        "list": lambda: list_files(locate(f"{ROOT}/model", "model_uri"), "model_uri"),
        "read": read,
        "digest": lambda: content_digest(f"{ROOT}/model"),
        "write": lambda: write(f"{ROOT}/out.json", b"{}", "report_uri"),
        "put": lambda: put_file(tmp_path / "made", f"{ROOT}/out.bin", "staging_uri"),
        "rows": lambda: load_test_data(f"{ROOT}/rows.parquet", "label"),
        "model": lambda: fetch_model(f"{ROOT}/model", tmp_path / "copy"),
        "versions": lambda: DataStore(parse(f"{ROOT}/versions")).records("iris"),
    }


ACTIONS = ["list", "read", "digest", "write", "put", "rows", "model", "versions"]


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_that_is_out_is_unavailable(between, actions, name, status):
    between.meddle = lambda path: status
    with pytest.raises(StoreUnavailable, match=str(status)):
        actions[name]()
    between.meddle = lambda path: None
    actions[name]()


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_store_that_refuses_has_answered(between, actions, name, status):
    between.meddle = lambda path: status
    with pytest.raises(InputError, match="the store refuses the credentials"):
        actions[name]()


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "SignatureDoesNotMatch"),
        ("AWS_ACCESS_KEY_ID", "nobody", "the store refuses the credentials: .*No user exists"),
        ("AWS_REGION", "mars-north-1", "the bucket is in another region than AWS_REGION says"),
    ],
)
def test_settings_that_the_server_refuses_are_told_by_its_reason(
    between, actions, name, variable, value, says, monkeypatch
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=says) as refused:
        actions[name]()
    assert "<?xml" not in str(refused.value)


def test_a_bucket_that_does_not_exist_is_told_as_that(between):
    with pytest.raises(InputError, match=r"there is no such bucket: 404 Not Found, .*NoSuchBucket"):
        list_files(locate("s3://elsewhere/model", "model_uri"), "model_uri")


@pytest.mark.parametrize("name", ["list", "read", "rows", "model"])
def test_a_bucket_that_is_not_there_is_bad_input(between, actions, name):
    between.meddle = lambda path: 404
    with pytest.raises(InputError):
        actions[name]()


@pytest.mark.parametrize("name", ACTIONS)
def test_where_nothing_listens_the_store_is_unavailable(between, actions, name, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailable, match=r"HTTP error"):
        actions[name]()


def test_an_answer_that_ends_in_its_middle_is_an_outage(between):
    between.meddle = lambda path: CUT if path.endswith("weights.bin") else None
    with pytest.raises(StoreUnavailable, match=r"'weights.bin' cannot be read"):
        content_digest(f"{ROOT}/model")


def test_an_outage_is_no_missing_document_and_no_missing_signature(between, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"x")
    fetched = fetch_model((tmp_path / "model").as_uri(), tmp_path / "copy")
    demands = Demands(documents=[Wanted(name="card", address=f"{ROOT}/card.md")])
    assert inspect_model(ROOT, fetched, demands)["documents"][0].get("digest")
    between.meddle = lambda path: 503
    with pytest.raises(StoreUnavailable):
        inspect_model(ROOT, fetched, demands)
    with pytest.raises(StoreUnavailable):
        verify_files(f"{ROOT}/model", fetched.entries, [], is_file=False)


def test_a_champion_in_a_store_that_is_out_or_refuses_is_not_called_incomparable(between, tmp_path):
    (tmp_path / "candidate").mkdir()
    linear(tmp_path / "candidate")
    beside = partial(
        evaluate_beside,
        tmp_path / "candidate",
        rows_of(8),
        parse_options({}),
        [],
        f"{ROOT}/gone",
        "",
        tmp_path,
    )
    assert beside().incomparable
    between.meddle = lambda path: 403
    with pytest.raises(
        AccessError,
        match=r"the model that serves now cannot be tested: champion_uri .* the store refuses the credentials",
    ):
        beside()
    between.meddle = lambda path: 503
    with pytest.raises(StoreUnavailable):
        beside()


KEY = Path(__file__).parents[1] / "unit" / "components" / "signed_by_model_signing.pem"
MONITOR = """
apiVersion: mooring.dev/v1alpha1
kind: DriftMonitor
metadata: {name: digits}
spec: {target: {name: digits}, baseline: {uri: s3://mooring/a.parquet}, window: {uri: s3://mooring/b.parquet}}
"""
COMMANDS = {
    "schema": ["schema", "infer", f"{ROOT}/rows.parquet"],
    "push": ["data", "push", f"{ROOT}/rows.parquet", f"{ROOT}/versions/iris"],
    "list": ["data", "list", f"{ROOT}/versions"],
    "verify": ["ci", "verify", f"{ROOT}/model", "--key", str(KEY)],
    "replay": [
        *("drift", "replay", "monitor.yaml", "--baseline", "rows.parquet", "--captured", f"{ROOT}/kept"),
        *("--since", "2026-03-01", "--until", "2026-03-02", "--every", "24h"),
    ],
    "audit": ["audit", f"{ROOT}/audit"],
}


@pytest.mark.parametrize("status", [403, 503])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_in_a_line_that_the_store_fails(
    between, command, status, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("monitor.yaml").write_text(MONITOR)
    pq.write_table(pa.table({"x": [1.0, 2.0]}), "rows.parquet")
    between.meddle = lambda path: status
    assert run(COMMANDS[command]) == 2
    said = capsys.readouterr().err
    assert str(status) in said
    assert "Traceback" not in said
    assert said.strip().count("\n") <= 1
