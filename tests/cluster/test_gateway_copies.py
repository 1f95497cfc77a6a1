"""Requests and their copies behind a real Envoy: both revisions keep them under one id, and are compared by that."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from mooring_artifacts.measuring import QUESTION
from mooring_components.agreement.__main__ import run
from mooring_operator.planning.routing import Mirror

from cluster.programs import ProgramUnavailableError
from tests.cluster.gateway_lab import gateway_lab, routing

ASKED = 40


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    capture = {"capture_uri": folder / "capture", "deployment": "digits", "capture_flush_seconds": 1}
    try:
        with gateway_lab(folder, ("r1", "r2"), **capture) as lab:
            yield lab
    except ProgramUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
async def lab(everything):
    async with everything.connected() as lab:
        await lab.settled(replace(routing(r1=100, r2=0), mirror=Mirror("r2", 100)))
        yield lab


def compared(lab, since):
    """What the program of a pod finds of the two revisions."""
    folder, says = f"file://{lab.folder}/capture/deployment=digits", lab.folder / "says"
    question = {
        "stable": f"{folder}/revision=r1",
        "candidate": f"{folder}/revision=r2",
        "since": since.isoformat(),
        "until": (since + timedelta(minutes=5)).isoformat(),
        "output": "",
        "tolerance": 0.0,
    }
    assert run({QUESTION: json.dumps(question)}, says) == 0
    return json.loads(says.read_text())


async def kept(lab, since, count):
    """What is found once both have kept so many requests."""
    async with asyncio.timeout(30):
        while True:
            found = compared(lab, since)
            if found["stable"] >= count and found["candidate"] >= count:
                return found
            await asyncio.sleep(0.1)


def ids(lab, revision, since):
    files = (lab.folder / "capture/deployment=digits" / f"revision={revision}").rglob("*.parquet")
    rows = [row["request"] for file in files for row in pq.ParquetFile(file).read().to_pylist()]
    return sorted(row["id"] for row in rows if row["time"] >= since)


@pytest.mark.parametrize("sent", [None, "x-request-id"], ids=["made-up", "of-the-caller"])
async def test_a_request_and_its_copy_have_one_id(lab, sent):
    since = datetime.now(UTC)
    for number in range(ASKED):
        headers = {} if sent is None else {sent: f"caller-{number:02}"}
        assert (await lab.ask(1, headers=headers)).failed == []
    found = await kept(lab, since, ASKED)
    assert (found["pairs"], found["disagreements"], found["repeated"]) == (ASKED, 0, 0)
    stable = ids(lab, "r1", since)
    assert stable == ids(lab, "r2", since)
    assert len(set(stable)) == ASKED
    if sent is not None:
        assert stable == [f"caller-{number:02}" for number in range(ASKED)]


async def test_without_copies_there_are_no_pairs(lab):
    await lab.settled(routing(r1=50, r2=50))
    since = datetime.now(UTC)
    assert (await lab.ask(2 * ASKED)).failed == []
    async with asyncio.timeout(30):
        while (found := compared(lab, since))["stable"] + found["candidate"] < 2 * ASKED:
            await asyncio.sleep(0.1)
    assert found["pairs"] == 0
