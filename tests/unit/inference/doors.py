"""The doors that rows come in by, each with a way to put rows in and read what became of each.

A door takes rows, lists of plain values, and gives a list with one outcome a row: its values, NaN as None, or REFUSED.
What a door has no form for raises Inexpressible.
"""

from __future__ import annotations

import csv
import io
import json
import math
import select
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import grpc
import httpx
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.loading import load_model
from mooring_inference.backends.warm_up import warm_up
from mooring_inference.grpc_front.schema import SERVICE, message
from mooring_inference.models.feature_names import read_feature_names
from mooring_inference.score.command import main as score
from mooring_inference.stream.answering import Answerer
from mooring_inference.stream.interfaces import Delivery
from mooring_inference.stream.messages import Codec
from mooring_inference.tensors import DATATYPES
from onnx import TensorProto, helper, save

REFUSED = "refused"
NAMES = ("a", "b")
TYPES = {
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
}
ONE_ROW = "FP32-one-row"
KINDS = (*TYPES, ONE_ROW)
_CONTENTS = {
    "FP32": "fp32",
    "FP64": "fp64",
    "INT64": "int64",
    "UINT8": "uint",
    "BOOL": "bool",
    "BYTES": "bytes",
}
_LARGEST_FP32 = float(np.finfo(np.float32).max)


class Inexpressible(Exception):
    """A door has no form for these rows."""


def save_models(root: Path) -> Path:
    """A folder of models by datatype: y = x on [n, 2], whose features are called a and b.

    That of ``ONE_ROW`` works for one row at a time, by a shape that an export has fixed.
    """
    for name in KINDS:
        folder = root / name
        folder.mkdir()
        kind = TYPES[_datatype(name)]
        nodes = [helper.make_node("Identity", ["x"], ["y"])]
        if name == ONE_ROW:
            nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", kind, ["n", 2])],
            [helper.make_tensor_value_info("y", kind, ["n", 2])],
            [helper.make_tensor("shape", TensorProto.INT64, [2], [1, 2])] if name == ONE_ROW else [],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        save(model, folder / "model.onnx")
        (folder / "features.json").write_text(json.dumps(NAMES))
    return root


class Doors:
    """A server of the models, and the commands; ``all`` has every door by name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mooring_inference", f"--model_repository={root}", "--host=127.0.0.1",
             "--http_port=0", "--grpc_port=0"],
            stdout=subprocess.PIPE,
            # What a buffer holds already, no select tells.
            bufsize=0,
        )  # fmt: skip
        ports = {"listening": 0, "listening for gRPC": 0}
        ready = 0
        while ready < len(KINDS) or not all(ports.values()):
            assert select.select([self._process.stdout], [], [], 60)[0], "the server is not ready"
            line = json.loads(self._process.stdout.readline())
            ready += line["message"] == "model ready"
            if line["message"] in ports:
                ports[line["message"]] = line["port"]
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{ports['listening']}", trust_env=False, timeout=30
        )
        while self.http.get("/v2/health/ready").status_code != 200:
            pass
        self._channel = grpc.insecure_channel(f"127.0.0.1:{ports['listening for gRPC']}")
        self.all = {
            "V1": self.v1,
            "V1 by name": self.v1_by_name,
            "explain": self.explain,
            "V2": self.v2,
            "V2 nested": self.v2_nested,
            "V2 by column": self.v2_by_column,
            "V2 binary": self.v2_binary,
            "V2 binary by column": self.v2_binary_by_column,
            "gRPC": self.grpc_typed,
            "gRPC raw": self.grpc_raw,
            "gRPC by column": self.grpc_by_column,
            "score JSON lines": self.score_jsonl,
            "score JSON lists": self.score_json_lists,
            "score CSV": self.score_csv,
            "score Parquet": self.score_parquet,
            "stream": self.stream,
            "stream V2": self.stream_v2,
        }

    def close(self):
        self.http.close()
        self._channel.close()
        self._process.kill()
        self._process.communicate()

    def v1(self, kind, rows):
        return self._predictions(rows, self.post(f"/v1/models/{kind}:predict", {"instances": _json(rows)}))

    def v1_by_name(self, kind, rows):
        return self._predictions(
            rows,
            self.post(f"/v1/models/{kind}:predict", {"instances": _objects(_json(rows), backwards=True)}),
        )

    def explain(self, kind, rows):
        if kind in ("BYTES", "BOOL") or not rows:
            raise Inexpressible
        return self._predictions(rows, self.post(f"/v1/models/{kind}:explain", {"instances": _json(rows)}))

    def v2(self, kind, rows):
        flat = [value for row in _json(rows) for value in row]
        return self._v2(
            kind, rows, [{"name": "x", "datatype": _datatype(kind), "shape": [len(rows), 2], "data": flat}]
        )

    def v2_nested(self, kind, rows):
        return self._v2(
            kind,
            rows,
            [{"name": "x", "datatype": _datatype(kind), "shape": [len(rows), 2], "data": _json(rows)}],
        )

    def v2_by_column(self, kind, rows):
        return self._v2(kind, rows, _columns(kind, _json(rows)))

    def v2_binary(self, kind, rows):
        return self._v2_binary(kind, rows, [("x", [len(rows), 2], _raw(kind, rows))])

    def v2_binary_by_column(self, kind, rows):
        tensors = [
            (name, [len(rows)], _raw(kind, [[row[place]] for row in _even(rows)]))
            for place, name in enumerate(NAMES)
        ]
        return self._v2_binary(kind, rows, tensors)

    def grpc_typed(self, kind, rows):
        request = message("ModelInferRequest")(model_name=kind)
        tensor = request.inputs.add(name="x", datatype=_datatype(kind), shape=[len(rows), 2])
        _fill(tensor, kind, [value for row in _even(rows) for value in row])
        return self._infer(rows, request)

    def grpc_by_column(self, kind, rows):
        request = message("ModelInferRequest")(model_name=kind)
        for place, name in reversed(list(enumerate(NAMES))):
            tensor = request.inputs.add(name=name, datatype=_datatype(kind), shape=[len(rows), 1])
            _fill(tensor, kind, [row[place] for row in _even(rows)])
        return self._infer(rows, request)

    def grpc_raw(self, kind, rows):
        request = message("ModelInferRequest")(model_name=kind)
        request.inputs.add(name="x", datatype=_datatype(kind), shape=[len(rows), 2])
        request.raw_input_contents.append(_raw(kind, rows))
        return self._infer(rows, request)

    def score_jsonl(self, kind, rows):
        return self._score(kind, rows, "rows.jsonl", b"\n".join(map(_dump, _objects(_json(rows)))))

    def score_json_lists(self, kind, rows):
        return self._score(
            kind,
            rows,
            "rows.jsonl",
            b"\n".join(_dump({"x": row}) for row in _json(rows)),
            "--columns=x",
        )

    def score_csv(self, kind, rows):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(NAMES)
        for row in rows:
            writer.writerow([_cell(kind, value) for value in row])
        try:
            content = text.getvalue().encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise Inexpressible from error
        if not all(rows):
            raise Inexpressible  # a line of nothing is no row
        return self._score(kind, rows, "rows.csv", content)

    def score_parquet(self, kind, rows):
        columns = {name: [row[place] for row in _even(rows)] for place, name in enumerate(NAMES)}
        try:
            table = pa.table(
                {name: pa.array(values, _arrow(kind, values)) for name, values in columns.items()}
            )
        except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
            raise Inexpressible from error
        sink = io.BytesIO()
        pq.write_table(table, sink)
        return self._score(kind, rows, "rows.parquet", sink.getvalue())

    def stream(self, kind, rows):
        bodies = [_dump({"features": row}) for row in _objects(_json(rows), backwards=True)]
        return [
            REFUSED if body is None else orjson.loads(body)["outputs"]["y"]
            for body in self.consume(kind, bodies)
        ]

    def stream_v2(self, kind, rows):
        flat = [value for row in _json(rows) for value in row]
        tensor = {"name": "x", "datatype": _datatype(kind), "shape": [len(rows), 2], "data": flat}
        (body,) = self.consume(kind, [_dump({"inputs": [tensor]})])
        return _whole(rows) if body is None else _split(orjson.loads(body)["outputs"][0]["data"])

    def post(self, path, content):
        """The document of an answer; None for a refusal."""
        answer = self.send(path, content if isinstance(content, bytes) else _dump(content))
        return orjson.loads(answer.content) if answer.status_code == 200 else None

    def send(self, path, body, headers=None):
        answer = self.http.post(path, content=body, headers=headers)
        assert answer.status_code in (200, 400), answer.text
        return answer

    def consume(self, kind, bodies):
        """The answers to messages; None for a refusal, which must be final."""
        folder = self.root / kind
        backend = load_model(folder, LoadOptions())
        signature = backend.signature.with_columns(read_feature_names(folder, backend.signature))
        deliveries = [Delivery(body, f"s/{place}", 1, place) for place, body in enumerate(bodies)]
        warm = warm_up(backend)
        answerer = Answerer(
            backend, Codec(signature, "m", "1"), batchable=warm.batchable, one_row=warm.one_row
        )
        outcomes = answerer.answer(deliveries)
        assert all(outcome.body is not None or outcome.final for outcome in outcomes), outcomes
        return [outcome.body for outcome in outcomes]

    def call(self, content):
        """The answer to a gRPC message; None for INVALID_ARGUMENT."""
        infer = self._channel.unary_unary(f"/{SERVICE}/ModelInfer")
        try:
            return message("ModelInferResponse").FromString(infer(content, timeout=30))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None

    def score_file(self, kind, name, content, *flags):
        """(exit code, output rows by number, numbers of bad rows) of a file."""
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in"), Path(folder, "out")
            source.mkdir()
            (source / name).write_bytes(content)
            code = score(
                [
                    f"--model_dir={self.root / kind}",
                    f"--input={source}",
                    f"--output={target}",
                    "--threads=1",
                    *flags,
                ]
            )
            good, bad = {}, set()
            for part in target.glob("*.parquet"):
                good |= {row["row_number"]: row["y"] for row in pq.read_table(part).to_pylist()}
            for file in target.glob("_bad/*.jsonl"):
                bad |= {json.loads(line)["row"] for line in file.read_text().splitlines()}
        return code, good, bad

    def _predictions(self, rows, document):
        return _whole(rows) if document is None else document["predictions"]

    def _v2(self, kind, rows, tensors):
        document = self.post(f"/v2/models/{kind}/infer", {"inputs": tensors})
        return _whole(rows) if document is None else _split(document["outputs"][0]["data"])

    def _v2_binary(self, kind, rows, tensors):
        head = orjson.dumps(
            {
                "inputs": [
                    {
                        "name": name,
                        "datatype": _datatype(kind),
                        "shape": shape,
                        "parameters": {"binary_data_size": len(raw)},
                    }
                    for name, shape, raw in tensors
                ],
                "parameters": {"binary_data_output": True},
            }
        )
        answer = self.send(
            f"/v2/models/{kind}/infer",
            head + b"".join(raw for _, _, raw in tensors),
            {"inference-header-content-length": str(len(head))},
        )
        if answer.status_code != 200:
            return _whole(rows)
        return _split(
            _elements(kind, answer.content[int(answer.headers["inference-header-content-length"]) :])
        )

    def _infer(self, rows, request):
        response = self.call(request.SerializeToString())
        if response is None:
            return _whole(rows)
        (output,) = response.outputs
        if response.raw_output_contents:
            return _split(_elements(output.datatype, response.raw_output_contents[0]))
        found = list(getattr(output.contents, f"{_CONTENTS[output.datatype]}_contents"))
        return _split([value.decode() if isinstance(value, bytes) else value for value in found])

    def _score(self, kind, rows, name, content, *flags):
        if not rows and name.endswith("jsonl"):
            raise Inexpressible  # a file without a line has no columns
        code, good, bad = self.score_file(kind, name, content, *flags)
        if code:
            return [REFUSED for _ in rows]
        assert good.keys() | bad == set(range(len(rows)))
        return [good.get(number, REFUSED) for number in range(len(rows))]


def _datatype(kind):
    return kind.partition("-")[0]


def _dump(document):
    """JSON in ASCII: whole numbers of any size, and halves of surrogate pairs."""
    return json.dumps(document, allow_nan=False).encode()


def _whole(rows):
    """A refusal of a request is one of all its rows."""
    return [REFUSED for _ in rows] or REFUSED


def _json(rows):
    """Rows as JSON has them: NaN is null, and there are no infinities and no bytes."""
    found = []
    for row in rows:
        values = []
        for value in row:
            if isinstance(value, bytes) or (isinstance(value, float) and math.isinf(value)):
                raise Inexpressible
            values.append(None if isinstance(value, float) and math.isnan(value) else value)
        found.append(values)
    return found


def _even(rows):
    if any(len(row) != len(NAMES) for row in rows):
        raise Inexpressible
    return rows


def _objects(rows, backwards=False):
    if any(len(row) > len(NAMES) for row in rows):
        raise Inexpressible
    order = list(enumerate(NAMES))[:: -1 if backwards else 1]
    return [{name: row[place] for place, name in order if place < len(row)} for row in rows]


def _columns(kind, rows):
    return [
        {
            "name": name,
            "datatype": _datatype(kind),
            "shape": [len(rows)],
            "data": [row[place] for row in _even(rows)],
        }
        for place, name in reversed(list(enumerate(NAMES)))
    ]


def _cell(kind, value):
    """A cell of CSV; what is only text there is no number of the wrong kind."""
    if kind == "BYTES":
        if not isinstance(value, str | bytes):
            raise Inexpressible
        return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    if isinstance(value, str | bytes) or (isinstance(value, bool) != (kind == "BOOL")):
        raise Inexpressible
    return "" if value is None else str(value).lower()


def _raw(kind, rows):
    kind = _datatype(kind)
    values = [_typed(kind, value) for row in rows for value in row]
    if kind == "BYTES":
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    return np.array(values, DATATYPES[kind].dtype).tobytes()


def _typed(kind, value):
    """A value as a typed field holds it; raises Inexpressible for one that has none there."""
    if kind == "BYTES":
        if not isinstance(value, str | bytes):
            raise Inexpressible
        try:
            return value.encode() if isinstance(value, str) else value
        except UnicodeEncodeError as error:
            raise Inexpressible from error
    if kind == "BOOL":
        if not isinstance(value, bool):
            raise Inexpressible
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Inexpressible
    if kind in ("FP32", "FP64"):
        if kind == "FP32" and math.isfinite(value) and abs(value) > _LARGEST_FP32:
            raise Inexpressible
        return float(value)
    limits = np.iinfo(DATATYPES[kind].dtype)
    if not isinstance(value, int) or not limits.min <= value <= limits.max:
        raise Inexpressible
    return value


def _fill(tensor, kind, values):
    kind = _datatype(kind)
    values = [_typed(kind, value) for value in values]
    getattr(tensor.contents, f"{_CONTENTS[kind]}_contents").extend(values)


def _elements(kind, raw):
    """Elements of raw contents, which bytes come in only where all is raw."""
    kind = _datatype(kind)
    if kind != "BYTES":
        return np.frombuffer(raw, DATATYPES[kind].dtype).tolist()
    found = []
    while raw:
        (length,) = struct.unpack_from("<I", raw)
        found.append(raw[4 : 4 + length].decode())
        raw = raw[4 + length :]
    return found


def _arrow(kind, values):
    """The column's type: that of the values where they are of one kind."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bytes} or (kinds == {bytes, str} and kind == "BYTES"):
        return pa.binary()
    if kinds <= {int} and any(value is not None and value > 2**63 - 1 for value in values):
        return pa.uint64()
    if len(kinds) > 1 and kinds != {int, float}:
        raise Inexpressible
    if kinds == {int, float}:
        return pa.float64()
    return None if kinds else pa.float64()


def _split(flat):
    return [flat[start : start + 2] for start in range(0, len(flat), 2)]
