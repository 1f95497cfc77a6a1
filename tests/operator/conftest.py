"""The API emulator, and the operator before it."""

import asyncio
from contextlib import suppress

import pytest
from mooring_operator.adapters.api_server import Connection, load_config

from tests.operator.emulator import Emulator
from tests.operator.world import World
from tests.real_mlflow import running_mlflow


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory):
    """The address of a real server."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
async def emulator():
    async with Emulator() as emulator:
        yield emulator


@pytest.fixture
async def world(emulator, tmp_path):
    world = World(emulator, tmp_path)
    await world.start()
    yield world
    await world.stop()


@pytest.fixture
async def surroundings_act(world):
    """KServe and CI act by themselves, whatever happens."""

    async def play() -> None:
        while True:
            changed = world.objects.changed
            world.ci.play()
            world.kserve.play()
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), 0.1)

    playing = asyncio.create_task(play())
    yield
    playing.cancel()
    with suppress(asyncio.CancelledError):
        await playing


@pytest.fixture
async def players(world, emulator, tmp_path, monkeypatch):
    """A connection for those who play Kubernetes and KServe in place of the world's own KServe."""
    monkeypatch.setattr(world.kserve, "play", lambda: None)
    connection = Connection(load_config(emulator.kubeconfig(tmp_path / "played", "played")))
    yield connection
    await connection.close()
