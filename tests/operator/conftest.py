"""The API emulator, and the operator before it."""

import pytest

from tests.operator.emulator import Emulator
from tests.operator.world import World


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
