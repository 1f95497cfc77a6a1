"""A real MLflow server with its own access control: who may do what, and one line for who may not.

Its access control takes passwords alone: a token is refused as a wrong password is.
"""

import logging

import httpx
import pytest
from mooring_artifacts.digests import manifest_digest
from mooring_artifacts.errors import InputError
from mooring_artifacts.grants import Grant, Grants
from mooring_components.registration.resolving import fetch_named
from mooring_components.registration.step import register_tested
from mooring_operator.adapters.mlflow import MlflowAliases, MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.registry import RegistryUnavailable
from mooring_operator.api.model_deployment import ModelSpec

from tests.operator.test_registration_mlflow import outcome, wanted
from tests.real_mlflow import ADMIN, running_mlflow

pytestmark = pytest.mark.timeout(240)
PASSWORD, READER, READERS = "correct:horse battery", "rita", "staple-of-a-reader"
URI = "models:/digits@production"
TOLD = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, of the run's Secret"


def of_user(name, password):
    return {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}


WRONG = {
    "a wrong password": of_user(ADMIN, "gues5ed"),
    "an unknown user": of_user("mallory", "gues5ed"),
    "a token": {"MLFLOW_TRACKING_TOKEN": "gues5ed"},
    "nothing": {},
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """The address of a server with a model, and a user who may read there."""
    folder = tmp_path_factory.mktemp("guarded")
    with running_mlflow(folder, proxied=True, password=PASSWORD) as url:
        with httpx.Client(auth=(ADMIN, PASSWORD), timeout=60, base_url=f"{url}/api/2.0") as api:

            def post(path, **body):
                answer = api.post(f"/mlflow/{path}", json=body)
                assert answer.status_code == 200, answer.text
                return answer.json()

            post("users/create", username=READER, password=READERS)
            post("registered-models/create", name="digits")
            run = post("runs/create", experiment_id="0")["run"]["info"]
            place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
            put = api.put(f"/mlflow-artifacts/artifacts/{place}/m/model.onnx", content=b"weights")
            assert put.status_code == 200, put.text
            source = f"{run['artifact_uri']}/m"
            post("model-versions/create", name="digits", source=source, run_id=run["run_id"])
            post("registered-models/alias", name="digits", alias="production", version="1")
        yield url


def secrets_in(text):
    return [secret for secret in (PASSWORD, READERS, "gues5ed") if secret in text]


@pytest.mark.parametrize("user", [(ADMIN, PASSWORD), (READER, READERS)], ids=["who owns it", "who may read"])
def test_a_run_fetches_a_model_as_a_user_who_may_read_it(guarded, tmp_path, user):
    found = fetch_named(URI, tmp_path, "", guarded, of_user(*user))
    assert found.digest == manifest_digest(found.entries)
    assert [entry.path for entry in found.entries] == ["model.onnx"]


@pytest.mark.parametrize("environment", WRONG.values(), ids=WRONG)
def test_a_run_without_the_right_credentials_says_which_are_asked_for(guarded, tmp_path, environment):
    with pytest.raises(InputError) as raised:
        fetch_named(URI, tmp_path, "", guarded, environment)
    said = str(raised.value)
    assert said.startswith(f"{URI}: MLflow at {guarded} answered 401 to registered-models/alias")
    assert TOLD in said
    assert "\n" not in said
    assert not secrets_in(said)


def test_what_passed_is_registered_by_a_user_who_may(guarded):
    found = register_tested(wanted(guarded, "owned"), outcome(), of_user(ADMIN, PASSWORD))
    assert (found.version, found.problem) == ("1", "")


@pytest.mark.parametrize(
    ("environment", "status"),
    [*((wrong, 401) for wrong in WRONG.values()), (of_user(READER, READERS), 403)],
    ids=[*WRONG, "a user who may read alone"],
)
def test_who_may_not_register_is_told_at_once_and_nothing_is_registered(
    guarded, environment, status, caplog, capfd
):
    caplog.set_level(logging.DEBUG)

    def sleep(seconds):
        raise AssertionError("what is refused is not asked for again")

    found = register_tested(wanted(guarded, "digits"), outcome(), environment, sleep=sleep)
    assert found.version is None
    assert found.problem.startswith(f"MLflow at {guarded} answered {status} to ")
    assert TOLD in found.problem
    shown = capfd.readouterr()
    assert not secrets_in(found.problem + caplog.text + shown.out + shown.err)
    with httpx.Client(auth=(ADMIN, PASSWORD), timeout=60) as api:
        query = {"filter": "name = 'digits'"}
        listed = api.get(f"{guarded}/api/2.0/mlflow/model-versions/search", params=query).json()
    assert len(listed["model_versions"]) == 1


def registry(url, tmp_path, secret, user):
    """As the operator's settings say: the file has what a person's editor leaves at its end."""
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    return MlflowRest(url, file, user)


async def test_the_operator_resolves_and_moves_aliases_as_its_user(guarded, tmp_path):
    mlflow = registry(guarded, tmp_path, PASSWORD, ADMIN)
    sources = ModelSources(mlflow, lambda: Grants((Grant(("team-a",), ("models:/",)),), False))
    spec = ModelSpec.model_validate({"uri": URI, "format": "onnx"})
    assert (await sources.resolve(spec, "team-a")).registered == "digits/1"
    aliases = MlflowAliases(mlflow)
    await aliases.move("digits", "champion", "1")
    assert await aliases.version_at("digits", "champion") == "1"


@pytest.mark.parametrize(
    ("secret", "user", "status"),
    [("gues5ed", ADMIN, 401), ("gues5ed", None, 401), (READERS, READER, 403)],
    ids=["a wrong password", "a token", "a user who may read alone"],
)
async def test_the_operator_says_that_its_credentials_are_not_those(
    guarded, tmp_path, secret, user, status, caplog
):
    caplog.set_level(logging.DEBUG)
    mlflow = registry(guarded, tmp_path, secret, user)
    with pytest.raises(RegistryUnavailable) as raised:
        await MlflowAliases(mlflow).move("digits", "champion", "1")
    assert str(raised.value) == (
        f"MLflow at {guarded} answered {status}: the operator's MOORING_MLFLOW_USER and MOORING_MLFLOW_TOKEN_FILE "
        "have to be of a user who may do that"
    )
    assert not secrets_in(str(raised.value) + caplog.text)
