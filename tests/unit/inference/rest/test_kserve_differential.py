"""The same bodies to this server and to kserve.ModelServer with one model: they agree, or the table says why not.

Needs an environment with kserve, which the benchmarks make: build/peers/kserve.
"""

from __future__ import annotations

import asyncio
import copy
import json
import random
import socket
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.unit.inference.inference_process import running, save_negation

ROOT = Path(__file__).parents[4]
KSERVE = ROOT / "build" / "peers" / "kserve" / "bin" / "python"
CLIENT = Path(__file__).with_name("kserve_client.py")
PROGRAM = ROOT / "tests" / "benchmarks" / "serving" / "peers" / "kserve_server.py"
BODIES = 400

pytestmark = pytest.mark.skipif(
    not KSERVE.exists(), reason=f"no environment with kserve in {KSERVE.parents[1]}"
)


def change(**values):
    return lambda body: body["inputs"][0].update(values)


def put(key, value):
    return lambda body: body.update({key: value})


def without(key):
    return lambda body: body["inputs"][0].pop(key, None)


def nested(data):
    return [data[start : start + 2] for start in range(0, len(data), 2)]


# Both take these, and give the same numbers.
HARMLESS = {
    "nested data": lambda body: change(data=nested(body["inputs"][0]["data"]))(body),
    "null": change(data=[None, 2.5]),
    "truths": change(data=[True, False]),
    "the least denormal": change(data=[1e-45, -1e-45]),
    "large numbers": change(data=[3e38, -(2**70)]),
    "whole numbers": change(data=[2**53 + 1, -7]),
    "two rows": change(shape=[2, 2], data=[1, -2, 3.25, 4e-3]),
    "no rows": change(shape=[0, 2], data=[]),
    "an id": put("id", "a"),
    "parameters": put("parameters", {"a": 1, "b": "c"}),
    "parameters of a tensor": change(parameters={"content_type": "np"}),
    "unknown keys": lambda body: (put("foo", 1)(body), change(bar=[])(body)),
    "no outputs": put("outputs", []),
}
# Both refuse these; KServe with 400, 422 or 500, this server with 400.
WRONG = {
    "text": change(data=["a", 2]),
    "too few elements": change(data=[1]),
    "too wide": change(shape=[1, 3], data=[1, 2, 3]),
    "ragged": change(shape=[2, 2], data=[[1, 2], [3]]),
    "another datatype": change(datatype="INT64"),
    "no datatype": change(datatype="X"),
    "without a shape": without("shape"),
    "without data": without("data"),
    "without a datatype": without("datatype"),
    "without a name": without("name"),
    "no list of sizes": change(shape="2"),
    "data that is no list": change(data={"a": 1}),
    "no inputs": put("inputs", []),
    "inputs that are none": put("inputs", 3),
    "an id that is a number": put("id", 3),
    "parameters that are none": put("parameters", 3),
    "an unknown output": put("outputs", [{"name": "z"}]),
}
# KServe answers, and this server refuses:
STRICTER = {
    # numpy reads the text; a caller that sends text by mistake is told here.
    "numbers as text": change(data=["1", "2"]),
    # The name is not looked at; a tensor for another model would go unseen.
    "another name": change(name="z"),
    # The second one is not looked at.
    "an input twice": lambda body: body["inputs"].append(copy.deepcopy(body["inputs"][0])),
    # numpy takes -1 for whatever is left.
    "a size of -1": change(shape=[-1, 2]),
    # It becomes infinity without a word, and null in the answer.
    "a number beyond the datatype": change(data=[1e39, 1]),
    "sizes with a point": change(shape=[1.0, 2]),
    # numpy looks at the number of elements alone.
    "nested in another way than the shape": change(shape=[2, 2], data=[[1, 2, 3, 4]]),
}
# This server answers, and the program behind KServe's server refuses: its outputs have no names of the model's.
WIDER = {"an output by name": put("outputs", [{"name": "y"}])}
CHANGES = HARMLESS | WRONG | STRICTER | WIDER


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_negation(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def kserve(model):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [KSERVE, PROGRAM, model / "model.onnx", f"--http_port={port}", "--enable_grpc=false"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        # It ends a connection after each 500, without saying so.
        once = httpx.Limits(max_keepalive_connections=0)
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False, limits=once) as client:
            deadline = time.monotonic() + 120
            while not is_ready(client):
                assert process.poll() is None, "it ended"
                assert time.monotonic() < deadline, "it is not ready"
            yield client
    finally:
        process.kill()
        process.wait()


def is_ready(client):
    try:
        return client.get("/v2/models/m/ready").status_code == 200
    except httpx.TransportError:
        return False


def bodies():
    """(names of changes, body): a valid one with no change, each change, and random ones together."""
    draw = random.Random(20261126)
    chosen = [[], *([name] for name in CHANGES)]
    chosen += [draw.sample(list(CHANGES), draw.choice((2, 2, 3))) for _ in range(BODIES)]
    for names in chosen:
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2]}]}
        try:
            for name in names:
                CHANGES[name](body)
        except (AttributeError, IndexError, KeyError, TypeError):
            continue  # one change has taken away what another is about
        yield names, body


def numbers(answer):
    (output,) = answer.json()["outputs"]
    return output["datatype"], output["shape"], np.array(output["data"], np.float32).ravel()


async def test_answers_agree_with_kserves_server_but_for_what_the_table_says(model, kserve):
    seen = {"both": 0, "neither": 0, "stricter": 0, "wider": 0}
    async with running(model) as server:
        for names, body in bodies():
            theirs = kserve.post("/v2/models/m/infer", json=body)
            ours = await server.client.post("/v2/models/m/infer", json=body)
            said = f"{names} {json.dumps(body)}: {ours.text[:200]} | {theirs.text[:200]}"
            assert ours.status_code in (200, 400), said
            if ours.status_code == theirs.status_code == 200:
                mine, other = numbers(ours), numbers(theirs)
                assert mine[:2] == other[:2], said
                np.testing.assert_array_equal(mine[2], other[2], said)
                seen["both"] += 1
            elif theirs.status_code == 200:
                # Made stricter by one change, or by two that together make another tensor's data.
                assert STRICTER.keys() & names, said
                seen["stricter"] += 1
            elif ours.status_code == 200:
                assert WIDER.keys() & names, said
                seen["wider"] += 1
            else:
                seen["neither"] += 1
    assert seen["both"] > 40
    assert seen["neither"] > 100
    assert seen["stricter"] >= len(STRICTER)
    assert seen["wider"] >= 1


async def test_a_word_that_json_lacks_is_refused_though_kserve_reads_it(model, kserve):
    body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [NaN, 2]}]}'
    headers = {"content-type": "application/json"}
    assert kserve.post("/v2/models/m/infer", content=body, headers=headers).status_code == 200
    async with running(model) as server:
        assert (
            await server.client.post("/v2/models/m/infer", content=body, headers=headers)
        ).status_code == 400


async def test_kserves_rest_client_gets_what_it_asks_for(model):
    async with running(model) as server:
        asking = await asyncio.create_subprocess_exec(
            *(KSERVE, CLIENT, f"http://127.0.0.1:{server.port}"), stdout=asyncio.subprocess.PIPE
        )
        found, _ = await asking.communicate()
    rows = [[-1.5, 2.0], [-0.0, -3.0]]
    answer = ["r-1", "y", "FP32", rows]
    assert json.loads(found) == {
        "v1 live": True,
        "v1 model": True,
        "v1 missing": 404,
        "v1": rows,
        "explained": ["predictions", "explanations"],
        "v2 live": True,
        "v2 ready": True,
        "v2 model": True,
        "v2 missing": False,
        "v2 False": answer,
        "v2 True": answer,
    }
