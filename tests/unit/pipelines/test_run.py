"""What the environment says of a run is checked before anything of it happens."""

import json
import signal

import pytest
from mooring_artifacts.errors import InputError
from mooring_pipelines.run import Log, LogRecorder, check_run, read_parameters
from mooring_pipelines.stopping import Stopped, StopSignals

GOOD = {"model_uri": "s3://m/digits", "test_data_uri": "s3://d/test.parquet", "verdict_uri": "s3://a/v.json"}
SIGNED = "https://store.example/b/v.json?X-Amz-Signature=0123"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "MOORING_RUN_PARAMETERS is not set"),
        ("", "MOORING_RUN_PARAMETERS is not JSON"),
        ("{", "MOORING_RUN_PARAMETERS is not JSON"),
        ("[" * 100_000, "MOORING_RUN_PARAMETERS is not JSON"),
        ('{"gates": [NaN]}', "NaN is no JSON number"),
        ("[]", "MOORING_RUN_PARAMETERS is not a JSON object but list"),
        ("null", "MOORING_RUN_PARAMETERS is not a JSON object but NoneType"),
    ],
)
def test_parameters_that_are_no_json_object_are_refused(text, message):
    with pytest.raises(InputError, match="MOORING_RUN_PARAMETERS") as error:
        read_parameters({} if text is None else {"MOORING_RUN_PARAMETERS": text})
    assert message in str(error.value)


def test_the_run_id_is_a_parameter_that_need_not_be_given_twice():
    run = check_run("model-ci", "run-1", GOOD)
    assert run.parameters == {**GOOD, "run_id": "run-1"}
    assert json.loads(run.spec)["pipelineInfo"]["name"] == "model-ci"


@pytest.mark.parametrize(
    ("run_id", "changes", "message"),
    [
        ("", {}, "MOORING_RUN_ID '' is not allowed"),
        ("../x", {}, r"MOORING_RUN_ID '\.\./x' is not allowed"),
        ("a\nb", {}, r"MOORING_RUN_ID 'a\\nb' is not allowed"),
        ("x" * 129, {}, "MOORING_RUN_ID 'xxx"),
        ("run-1", {"run_id": "run-2"}, "run_id 'run-2' is not MOORING_RUN_ID 'run-1'"),
        ("run-1", {"colour": "red"}, r"parameter\(s\) provided are not required by pipeline: colour"),
        (
            "run-1",
            {"model_uri": 7},
            "input parameter model_uri requires type string, but the parameter value 7",
        ),
        ("run-1", {"gates": "all"}, "input parameter gates requires type list"),
        ("run-1", {"gates": True}, "input parameter gates requires type list"),
        (
            "run-1",
            {"verdict_uri": "http://store.example/v"},
            "verdict_uri 'http://store.example/v' is not allowed",
        ),
        ("run-1", {"verdict_uri": "s3://a/../v"}, "the segment '..'"),
        ("run-1", {"label_column": "{{$.inputs.parameters['verdict_uri']}}"}, r"label_column holds '\{\{\$'"),
        ("run-1", {"gates": [{"metric": "a{{$}}"}]}, r"gates holds '\{\{\$'"),
        ("run-1", {"verdict_uri": ""}, "verdict_uri '' is not allowed"),
        ("run-1", {"x" * 10_000: 1}, "parameter.s. provided"),
    ],
)
def test_what_does_not_fit_is_named(run_id, changes, message):
    with pytest.raises(InputError, match=message) as error:
        check_run("model-ci", run_id, {**GOOD, **changes})
    assert len(str(error.value)) < 500


def test_a_parameter_that_is_missing_is_named():
    with pytest.raises(InputError, match="parameter test_data_uri is not optional"):
        check_run("model-ci", "run-1", {name: GOOD[name] for name in ("model_uri", "verdict_uri")})


def test_a_drift_question_needs_its_place():
    with pytest.raises(InputError, match="parameter report_uri is not optional"):
        check_run("drift-evaluation", "run-1", {"question": {}})
    assert check_run("drift-evaluation", "run-1", {"question": {}, "report_uri": SIGNED})


class Stream:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_no_line_of_the_log_holds_a_query_or_breaks():
    stream = Stream()
    log = Log(stream, "run-1")
    recorder = LogRecorder(log)
    log.write(f"asked {SIGNED} twice\n{SIGNED}", error=f"no answer from {SIGNED}", seconds=1.5)
    recorder.wrote("fetch-model", f'  "uri": "{SIGNED}",')
    first, second = map(json.loads, stream.text.splitlines())
    assert (
        first["message"]
        == "asked https://store.example/b/v.json?... twice\nhttps://store.example/b/v.json?..."
    )
    assert (first["error"], first["seconds"]) == ("no answer from https://store.example/b/v.json?...", 1.5)
    assert second["message"] == '  "uri": "https://store.example/b/v.json?...",'
    assert second["step"] == "fetch-model"


@pytest.fixture
def signals():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield StopSignals()
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_first_signal_stops_and_later_ones_do_nothing(signals):
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGINT)
    assert signals.received is signal.SIGTERM


def test_what_would_go_on_is_ended_first(signals):
    ended = []
    signals.before = lambda: bool(ended.append("steps")) or True
    with pytest.raises(Stopped):
        signal.raise_signal(signal.SIGINT)
    assert ended == ["steps"]


def test_a_signal_while_a_step_is_started_waits_for_it(signals):
    signals.before = lambda: False
    signal.raise_signal(signal.SIGTERM)
    assert signals.received is signal.SIGTERM
