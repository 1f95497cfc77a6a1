"""The operator moves an alias in a real MLflow server after what is promoted, and tells what is in the way."""

import itertools

import httpx2
import pytest
from mooring_artifacts.grants import parse_grants
from mooring_operator.adapters.mlflow import MlflowAliases, MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.reconcile.aliases import Aliases

from tests.operator.world import DIGITS, World

pytestmark = pytest.mark.timeout(240)
_names = (f"followed-{number}" for number in itertools.count())
GRANTED = parse_grants('[{namespaces: [ns], addresses: ["models:/"], aliases: ["models:/followed-"]}]')
UNGRANTED = parse_grants('[{namespaces: [ns], addresses: ["models:/"]}]')


class Registered:
    """A registered model with two versions, and the deployment of one of them."""

    def __init__(self, world: World, url: str) -> None:
        self.world, self.url, self.name = world, url, next(_names)
        self.client = httpx2.Client(base_url=f"{url}/api/2.0/mlflow/", timeout=60)
        self.post("registered-models/create", name=self.name)
        for version in ("v1", "v2"):
            self.post("model-versions/create", name=self.name, source=f"gs://m/{version}")

    def post(self, path, **body):
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text

    async def start(self, grants=GRANTED, url=None):
        self.world.models = ModelSources(MlflowRest(self.url), lambda: grants)
        adapter = MlflowAliases(MlflowRest(url or self.url))

        def clock():
            return self.world.now.timestamp()

        self.world.aliases = lambda: Aliases(adapter, lambda: grants, clock)
        await self.world.start()

    async def deploy(self, version):
        self.apply(version)
        return await self.settle()

    def apply(self, version):
        model = {"uri": f"models:/{self.name}/{version}", "format": "onnx", "promoteAlias": "champion"}
        self.world.objects.apply(DIGITS, {"metadata": {"name": "digits"}, "spec": {"model": model}}, "user")

    async def settle(self):
        """Go on until nothing more is to be done, also about the alias."""
        await self.world.settle()
        for _ in range(2):
            await self.world.step()
        return self.world.status

    @property
    def champion(self):
        answer = self.client.get("registered-models/alias", params={"name": self.name, "alias": "champion"})
        return answer.json()["model_version"]["version"] if answer.status_code == 200 else None


@pytest.fixture
async def registered(world, mlflow):
    made = Registered(world, mlflow)
    yield made
    made.client.close()


async def test_the_champion_is_what_is_promoted_and_back_after_a_rollback(registered, world):
    await registered.start()
    status = await registered.deploy(1)
    assert (status["phase"], registered.champion) == ("Promoted", "1")
    assert status["alias"] == {"name": "champion", "version": f"{registered.name}/1"}
    status = await registered.deploy(2)
    assert (status["phase"], registered.champion) == ("Promoted", "2")
    world.command("rollback", status["stable"]["revision"])
    status = await registered.settle()
    assert (status["stable"]["registered"], registered.champion) == (f"{registered.name}/1", "1")
    assert world.events().count("AliasMoved") == 3
    assert "AliasNotMoved" not in world.events()


async def test_an_alias_that_was_deleted_meanwhile_is_made(registered):
    await registered.start()
    await registered.deploy(1)
    alias = {"name": registered.name, "alias": "champion"}
    registered.client.request("DELETE", "registered-models/alias", json=alias).raise_for_status()
    await registered.deploy(2)
    assert registered.champion == "2"


async def test_a_registry_that_is_away_keeps_nobody_from_traffic(registered, world):
    await registered.start(url="http://127.0.0.1:9")
    status = await registered.deploy(1)
    assert status["phase"] == "Promoted"
    why = f"alias champion is not moved to {registered.name}/1: cannot reach MLflow at http://127.0.0.1:9"
    assert why in status["message"]
    assert world.events().count("AliasNotMoved") == 1
    await registered.start()
    status = await registered.settle()
    assert registered.champion == "1"
    assert "not moved" not in status["message"]


async def test_without_a_grant_no_alias_is_touched_and_the_line_is_told(registered):
    await registered.start(UNGRANTED)
    status = await registered.deploy(1)
    assert (status["phase"], registered.champion) == ("Promoted", None)
    line = status["message"].partition("mooring-grants: ")[2]
    assert parse_grants(line).lets_move("ns", registered.name, "champion")
    assert not parse_grants(line).lets_move("ns", registered.name, "champion2")


async def test_a_version_that_is_gone_is_told(registered, world):
    await registered.start()
    gone = {"name": registered.name, "version": "2"}
    registered.apply(2)
    await world.step()
    registered.client.request("DELETE", "model-versions/delete", json=gone).raise_for_status()
    status = await registered.settle()
    assert status["phase"] == "Promoted"
    assert "MLflow knows no name" in status["message"]
    assert registered.champion is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(403, json={"error_code": "PERMISSION_DENIED"}), RegistryUnavailable),
        (httpx2.Response(302, headers={"Location": "http://elsewhere"}), RegistryUnavailable),
        (httpx2.Response(200, content=b"<html>"), RegistryUnavailable),
        (httpx2.Response(404, json={}), ModelNotFound),
    ],
)
async def test_whatever_answers_to_a_move_is_one_of_two_errors(answer, error, tmp_path):
    asked = []

    def handle(request):
        asked.append(request)
        return answer

    (tmp_path / "password").write_text("secret\n")
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(handle)) as client:
        rest = MlflowRest("http://mlflow", tmp_path / "password", "mooring", client=client)
        with pytest.raises(error) as raised:
            await MlflowAliases(rest).move("digits", "champion", "1")
    assert "secret" not in str(raised.value)
    assert [request.headers["Authorization"] for request in asked] == ["Basic bW9vcmluZzpzZWNyZXQ="]


async def test_a_registry_that_refuses_is_asked_less_and_less_often(registered, world):
    await registered.start(url="http://127.0.0.1:9")
    await registered.deploy(1)
    began, looks = world.now, 0
    while (world.now - began).total_seconds() < 3600:
        pause = await world.step()
        looks += 1
        world.now += world.now.resolution * round((pause or 1) * 1e6)
    assert looks < 40
    assert pause > 200
