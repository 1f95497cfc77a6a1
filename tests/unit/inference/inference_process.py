"""The server as a process of its own, and models for it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import httpx
from onnx import TensorProto, helper, save

BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
SLOW_BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1]}]}


def save_negation(folder):
    """y = -x on [n, 2]."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
    )
    _save(graph, folder / "model.onnx")
    return folder


def save_slow(folder):
    """Products of large matrices that are made from one number, so that the file stays small."""
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["x", "shape"], ["a0"]),
            *(helper.make_node("MatMul", [f"a{i}", f"a{i}"], [f"a{i + 1}"]) for i in range(4)),
            helper.make_node("ReduceMax", ["a4"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1])],
        [helper.make_tensor("shape", TensorProto.INT64, [2], [2000, 2000])],
    )
    _save(graph, folder / "model.onnx")
    return folder


def save_slow_to_load(folder):
    """Products of large constants, which ONNX Runtime works out while it loads: for minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [3000, 3000])
    one = helper.make_tensor("one", TensorProto.FLOAT, [1, 1], [1e-4])
    nodes = [helper.make_node("Expand", ["one", "shape"], ["a0"])]
    nodes += [helper.make_node("MatMul", [f"a{i}", f"a{i}"], [f"a{i + 1}"]) for i in range(500)]
    nodes += [helper.make_node("ReduceMax", ["a500"], ["max"]), helper.make_node("Add", ["x", "max"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [shape, one],
    )
    _save(graph, folder / "model.onnx")
    return folder


def _save(graph, path):
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


async def spawn(*flags, env=None):
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mooring_inference",
        *flags,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | (env or {}),
    )


class Running:
    """A ready server, its log lines so far, and a client."""

    def __init__(self, process, lines, client):
        self.process = process
        self.lines = lines
        self.client = client

    def __iter__(self):
        return iter((self.process, self.client))

    @property
    def port(self):
        return next(line["port"] for line in self.lines if line["message"] == "listening")

    async def line(self, message):
        """The next log line of this message."""
        while True:
            line = await self.process.stdout.readline()
            assert line, f"the log ended before {message!r}"
            self.lines.append(json.loads(line))
            if self.lines[-1]["message"] == message:
                return self.lines[-1]


@asynccontextmanager
async def running(model_dir, *flags, env=None, ready=1):
    """A server that has said ``ready`` times that a model is; it is killed at the end if it still runs.

    For 0 it has no client.
    """
    model = ["--model_name=m", f"--model_dir={model_dir}"] if model_dir is not None else []
    process = await spawn(*model, "--host=127.0.0.1", "--http_port=0", *flags, env=env)
    try:
        server = Running(process, [], None)
        for _ in range(ready):
            await server.line("model ready")
        if not ready:
            yield server
            return
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{server.port}", timeout=30, trust_env=False
        ) as client:
            server.client = client
            yield server
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
