"""The server's command line."""

import resource

import pytest
from mooring_inference.settings import parse_settings

MODEL = ["--model_name=m"]


def test_dashes_and_underscores_are_the_same():
    one, two = (
        parse_settings(MODEL + flags)
        for flags in (["--max-batch-size=4", "--grpc-port=0"], ["--max_batch_size", "4", "--grpc_port", "0"])
    )
    assert one == two
    assert (one.batching.max_batch_rows, one.grpc_port) == (4, 0)


def test_values_keep_their_dashes():
    assert str(parse_settings([*MODEL, "--model-dir=/a-b/c-d"]).model_dir) == "/a-b/c-d"


def test_the_revision_comes_from_the_flag_then_from_the_environment():
    assert parse_settings(MODEL, {}).revision == "1"
    assert parse_settings(MODEL, {"MOORING_REVISION": "r2"}).revision == "r2"
    assert parse_settings([*MODEL, "--revision=r3"], {"MOORING_REVISION": "r2"}).revision == "r3"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "one of --model_name and --model_repository is needed"),
        ([*MODEL, "--model_repository=/r"], "one of --model_name and --model_repository is needed"),
        ([*MODEL, "--http_port=70000"], "expected a port from 0 to 65535, got '70000'"),
        ([*MODEL, "--max_batch_size=0"], "expected a whole number above 0, got '0'"),
        ([*MODEL, "--drain_seconds=-1"], "expected a number, 0 or more, got '-1'"),
        ([*MODEL, "--drain_seconds=nan"], "expected a number, 0 or more, got 'nan'"),
        ([*MODEL, "--tls_cert=/c"], "--tls_cert and --tls_key go together"),
        ([*MODEL, "--tls_client_ca=/c"], "--tls_client_ca needs"),
        (
            [*MODEL, "--max_inflight_bytes=1000"],
            "expected at least twice --max_request_bytes, 134217728, got 1000",
        ),
        ([*MODEL, "--max_connections=0"], "expected a whole number above 0, got '0'"),
        ([*MODEL, "--max_batch=4"], "unrecognized arguments: --max_batch=4"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_exit_code_2(flags, said, capsys):
    with pytest.raises(SystemExit) as ended:
        parse_settings(flags)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_what_requests_may_take_follows_from_what_one_may():
    settings = parse_settings([*MODEL, "--max_request_bytes=1000000000"])
    assert settings.max_inflight_bytes >= 2_000_000_000
    assert settings.max_grpc_message_bytes == 8 << 20
    assert parse_settings([*MODEL, "--max_request_bytes=1000"]).max_grpc_message_bytes == 1000
    assert parse_settings([*MODEL, "--max_inflight_bytes=200000000"]).max_inflight_bytes == 200_000_000


def test_there_are_fewer_connections_than_files_may_be_open(monkeypatch):
    for files, connections in ((1024, 384), (1 << 20, 4096), (100, 1), (resource.RLIM_INFINITY, 4096)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert parse_settings(MODEL).max_connections == connections
