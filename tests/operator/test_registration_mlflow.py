"""What was tested becomes a version, once, in a real MLflow server; whatever is in the way is told."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2 as httpx
import pytest
from mooring_artifacts.gates import Violation
from mooring_artifacts.run_documents import SCHEMA_VERSION, Verdict
from mooring_components.registration import step
from mooring_components.registration.client import Mlflow, open_client
from mooring_components.registration.step import Outcome, Wanted, register_tested

pytestmark = pytest.mark.timeout(240)
_names = (f"model-{number}" for number in itertools.count())
VIOLATION = Violation(metric="accuracy", value=0.5, min=0.9, max=None, message="accuracy 0.5 is below 0.9")


def digest(number=1):
    return f"sha256:{number:064x}"


@pytest.fixture
def name():
    return next(_names)


@pytest.fixture
def api(mlflow):
    with open_client({}) as client:
        yield Mlflow(client, mlflow)


def outcome(*, number=1, run="run-1", passed=True, **changes):
    verdict = Verdict(
        schema_version=SCHEMA_VERSION,
        run_id=run,
        model_uri=f"s3://models/digits/{number}",
        model_digest=digest(number),
        test_data_digest=digest(0xDA7A),
        passed=passed,
        metrics={"accuracy": 0.97, "latencyP95Ms": 1.5},
        violations=[] if passed else [VIOLATION],
    ).model_copy(update=changes)
    signature = '{"inputs":[],"outputs":[]}'
    gates = [{"metric": "accuracy", "min": 0.9}]
    return Outcome(
        verdict, gates, "", "s3://data/digits/test.parquet", "label", "onnxruntime_onnx", signature
    )


def versions(api, name):
    found = api.get("model-versions/search", filter=f"name = '{name}'", max_results=100)
    return found.get("model_versions", [])


def challenger(api, name):
    found = api.find("registered-models/alias", name=name, alias="challenger")
    return None if found is None else found["model_version"]["version"]


def tags(entry):
    return {tag["key"]: tag["value"] for tag in entry.get("tags", [])}


def wanted(mlflow, name, **fields):
    return Wanted(name=name, tracking_uri=mlflow, **fields)


def test_a_model_that_passed_is_a_version_with_all_that_was_found(mlflow, api, name):
    found = register_tested(wanted(mlflow, name), outcome())
    assert found.in_words() == f"registered as {name} version 1"
    made = api.get("model-versions/get", name=name, version="1")["model_version"]
    assert made["source"] == "s3://models/digits/1"
    assert tags(made) == {
        "mooring.digest": digest(),
        "mooring.run": "run-1",
        "mooring.verdict": "passed",
        "mooring.testData.digest": digest(0xDA7A),
        "mooring.signature": '{"inputs":[],"outputs":[]}',
    }
    assert f"# {name}" in made["description"]
    assert "| accuracy | 0.97 |" in made["description"]
    assert challenger(api, name) == "1"
    run = api.get("runs/get", run_id=made["run_id"])["run"]
    assert run["info"]["status"] == "FINISHED"
    assert {each["key"]: each["value"] for each in run["data"]["metrics"]} == {
        "accuracy": 0.97,
        "latencyP95Ms": 1.5,
    }
    assert {each["key"]: each["value"] for each in run["data"]["params"]}["model_digest"] == digest()
    dataset = run["inputs"]["dataset_inputs"][0]
    assert (dataset["dataset"]["name"], dataset["dataset"]["source"]) == (
        "test.parquet",
        "s3://data/digits/test.parquet",
    )
    assert tags(dataset)["mooring.digest"] == digest(0xDA7A)


def test_the_same_files_are_one_version_whatever_run_tests_them(mlflow, api, name):
    for run in ("run-1", "run-1", "run-2"):
        assert register_tested(wanted(mlflow, name), outcome(run=run)).version == "1"
    assert register_tested(wanted(mlflow, name), outcome(number=2)).version == "2"
    # Tested once more, what is older takes the alias from nothing later.
    again = register_tested(wanted(mlflow, name), outcome(run="run-3"))
    assert again.in_words() == (
        f"registered as {name} version 1; alias challenger stays at version 2, which is later"
    )
    assert len(versions(api, name)) == 2
    assert challenger(api, name) == "2"


def test_a_version_of_the_registry_is_not_registered_twice(mlflow, api, name):
    api.post("registered-models/create", name=name)
    api.post("model-versions/create", name=name, source="s3://models/digits/1", description="ours")
    assert register_tested(wanted(mlflow, name, version="1"), outcome()).version == "1"
    (only,) = versions(api, name)
    assert (only["description"], tags(only)["mooring.verdict"]) == ("ours", "passed")
    assert challenger(api, name) == "1"


def test_what_did_not_pass_is_no_version_and_no_challenger(mlflow, api, name):
    assert register_tested(wanted(mlflow, name), outcome(passed=False)).version is None
    assert versions(api, name) == []
    api.post("registered-models/create", name=name)
    api.post("model-versions/create", name=name, source="s3://models/digits/1")
    assert register_tested(wanted(mlflow, name, version="1"), outcome(passed=False)).version == "1"
    assert tags(versions(api, name)[0])["mooring.verdict"] == "failed"
    assert challenger(api, name) is None


def test_an_alias_that_was_deleted_is_set_anew(mlflow, api, name):
    register_tested(wanted(mlflow, name), outcome())
    api.delete("registered-models/alias", name=name, alias="challenger")
    register_tested(wanted(mlflow, name), outcome())
    assert challenger(api, name) == "1"


@pytest.mark.parametrize(
    ("fields", "changes", "problem"),
    [
        ({"version": "7"}, {}, "version=7"),
        ({}, {"model_digest": None}, "the digest of its files is not known"),
        ({}, {"model_uri": "file:///models/digits"}, "Invalid model version source"),
    ],
)
def test_what_cannot_be_registered_is_told_and_has_passed(mlflow, name, fields, changes, problem):
    found = register_tested(wanted(mlflow, name, **fields), outcome(**changes))
    assert found.version is None
    assert problem in found.problem


def test_two_runs_that_register_the_same_files_at_once_agree(mlflow, api, name):
    together = threading.Barrier(4)

    def run(number):
        together.wait()
        return register_tested(wanted(mlflow, name), outcome(run=f"run-{number}"))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, range(4)))
    assert {each.version for each in found} == {versions(api, name)[0]["version"]}, found
    assert len(versions(api, name)) == 1


class Forbidding(httpx.HTTPTransport):
    """Answers to one path as MLflow's access control does."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def handle_request(self, request):
        if request.url.path.endswith(self.path):
            return httpx.Response(403, stream=httpx.ByteStream(b"Permission denied"), request=request)
        return super().handle_request(request)


@pytest.mark.parametrize(
    ("path", "exists", "registers"),
    [
        # What is not there may not be read either.
        ("registered-models/get", False, True),
        ("registered-models/create", True, True),
        ("registered-models/create", False, False),
        ("model-versions/create", True, False),
        ("experiments/get-by-name", True, False),
    ],
)
def test_who_may_do_enough_registers(mlflow, api, name, path, exists, registers, monkeypatch):
    if exists:
        api.post("registered-models/create", name=name)
    monkeypatch.setattr(step, "open_client", lambda _: httpx.Client(transport=Forbidding(path), timeout=30))
    found = register_tested(wanted(mlflow, name), outcome(), sleep=lambda _: None)
    assert (found.version == "1") == registers
    assert ("answered 403 to" in found.problem or "not found" in found.problem) != registers


class Losing(httpx.HTTPTransport):
    """Does what the request says and loses the answer to one of them."""

    def __init__(self, number):
        super().__init__()
        self.number, self.count = number, 0

    def handle_request(self, request):
        self.count += 1
        answer = super().handle_request(request)
        if self.count == self.number:
            answer.read()
            raise httpx.ReadError("lost", request=request)
        return answer


def test_wherever_it_is_interrupted_it_is_finished_as_one_version(mlflow, api, monkeypatch):
    seen = []
    for number in itertools.count(1):
        name, transport = next(_names), Losing(number)
        monkeypatch.setattr(step, "open_client", lambda _, t=transport: httpx.Client(transport=t, timeout=30))
        found = register_tested(wanted(mlflow, name), outcome(), sleep=lambda _: None)
        assert found.in_words() == f"registered as {name} version 1", number
        assert len(versions(api, name)) == 1, number
        experiment = api.get("experiments/get-by-name", experiment_name=f"mooring/{name}")["experiment"]
        runs = api.post("runs/search", experiment_ids=[experiment["experiment_id"]])["runs"]
        assert [run["info"]["status"] for run in runs] == ["FINISHED"], number
        assert challenger(api, name) == "1", number
        seen.append(transport.count)
        if transport.count < number:
            break
    assert len(seen) > 10
