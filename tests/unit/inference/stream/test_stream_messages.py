"""Messages and addresses: values in, values out."""

from __future__ import annotations

from contextlib import suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.errors import RequestError
from mooring_inference.stream.addresses import parse_address
from mooring_inference.stream.command import main
from mooring_inference.stream.interfaces import StreamError
from mooring_inference.stream.messages import Codec, dead_letter, id_of
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec

FP32, INT64, BYTES = DATATYPES["FP32"], DATATYPES["INT64"], DATATYPES["BYTES"]
Y = (TensorSpec("y", FP32, (None, 1)),)
ONE = Signature((TensorSpec("x", FP32, (None, 2)),), Y)
OPEN = Signature((TensorSpec("x", FP32, (None, None)),), Y)
FLAT = Signature((TensorSpec("x", INT64, (None,)),), Y)
IMAGE = Signature((TensorSpec("x", FP32, (None, 2, 2)),), Y)
TWO = Signature((TensorSpec("age", FP32, (None, 1)), TensorSpec("name", BYTES, (None,))), Y)

COUNTS = Signature((TensorSpec("n", DATATYPES["INT64"], (None, 1)),), Y)


def codec(signature, names):
    return Codec(signature.with_columns({signature.inputs[0].name: names} if names else {}), "m", "1")


ROWS = {
    "a list": (ONE, (), [1, 2], {"x": [[1, 2]]}),
    "names in the model's order": (ONE, ("b", "a"), {"a": 1, "b": 2}, {"x": [[2, 1]]}),
    "the input's own name": (ONE, (), {"x": [1, 2]}, {"x": [[1, 2]]}),
    "an open width": (OPEN, (), [1, 2, 3], {"x": [[1, 2, 3]]}),
    "one value a row": (FLAT, ("a",), {"a": 7}, {"x": [7]}),
    "null": (ONE, ("a", "b"), {"a": None, "b": 2}, {"x": [[None, 2]]}),
    "nested lists": (IMAGE, (), [[1, 2], [3, 4]], {"x": [[[1, 2], [3, 4]]]}),
    "several inputs": (TWO, (), {"age": 3, "name": "z"}, {"age": [[3]], "name": ["z"]}),
}


@pytest.mark.parametrize(("signature", "names", "features", "expected"), ROWS.values(), ids=ROWS.keys())
def test_a_row_becomes_arrays(signature, names, features, expected):
    request = codec(signature, names).decode(orjson.dumps({"id": "i", "features": features}))
    found = {name: array.tolist() for name, array in request.inputs.items()}
    # NaN comes and goes as null.
    assert orjson.loads(orjson.dumps(found)) == expected
    assert (request.id, request.rows) == ("i", 1)


BAD_ROWS = {
    "too short": (ONE, (), [1], "features: expected 2 values, got 1 values"),
    "a missing name": (ONE, ("a", "b"), {"a": 1}, "features.b: missing"),
    "names nobody knows": (
        ONE,
        (),
        {"a": 1, "b": 2},
        "features.x: missing",
    ),
    "text": (ONE, (), [1, "2"], "features[1]: expected FP32, got string '2'"),
    "null where there is no NaN": (COUNTS, (), [None], "features[0]: expected INT64, got null None"),
    "an unknown name": (
        ONE,
        ("a", "b"),
        {"a": 1, "b": 2, "c": 3},
        "features.c: expected a name out of ['a', 'b']",
    ),
    "text by name": (ONE, ("a", "b"), {"a": 1, "b": "2"}, "features.b: expected FP32, got string '2'"),
    "text in an input": (
        TWO,
        (),
        {"age": "a", "name": "z"},
        "features.age[0]: expected FP32, got string 'a'",
    ),
    "a number": (ONE, (), 3, "features: expected object or array, got number"),
    "a missing input": (TWO, (), {"age": 1}, "features.name: missing"),
    "lists of other lengths": (
        IMAGE,
        (),
        [[1, 2], [3]],
        "features[1]: expected an array of 2, got an array of 1",
    ),
}


@pytest.mark.parametrize(
    ("signature", "names", "features", "message"), BAD_ROWS.values(), ids=BAD_ROWS.keys()
)
def test_a_row_that_does_not_fit_is_refused_with_its_field(signature, names, features, message):
    with pytest.raises(RequestError) as refusal:
        codec(signature, names).decode(orjson.dumps({"id": "i", "features": features}))
    assert refusal.value.message.startswith(message)


def test_inputs_of_different_numbers_of_rows_are_refused():
    tensors = [
        {"name": "age", "datatype": "FP32", "shape": [2, 1], "data": [1, 2]},
        {"name": "name", "datatype": "BYTES", "shape": [1], "data": ["a"]},
    ]
    with pytest.raises(RequestError, match="as many rows in each"):
        Codec(TWO, "m", "1").decode(orjson.dumps({"inputs": tensors}))


_KEYS = st.sampled_from(["id", "features", "x", "inputs", "name", "shape", "datatype", "data"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner),
    max_leaves=12,
)


@given(st.binary(max_size=60) | _JSON.map(orjson.dumps))
def test_no_message_raises_anything_but_a_refusal(body):
    for signature in (ONE, OPEN, FLAT, IMAGE, TWO):
        with suppress(RequestError):
            Codec(signature, "m", "1").decode(body)
    assert id_of(body) is None or isinstance(id_of(body), str)


def test_a_dead_letter_holds_the_message_cut_where_it_is_very_long():
    letter = orjson.loads(
        dead_letter(key="k", origin="o", reason="r", attempts=2, body=b"x" * 100_000 + b"\xff")
    )
    assert len(letter.pop("message")) == 65_536
    assert letter == {"id": "k", "origin": "o", "reason": "r", "attempts": 2, "message_bytes": 100_001}


def test_an_address_is_read_and_shown_without_its_password():
    address = parse_address("--source", "redis://me:s%40cret@host/events?field=body&db=2")
    assert (address.servers, address.name, address.user, address.password) == (
        ("host:6379",), "events", "me", "s@cret",
    )  # fmt: skip
    assert address.options == {"field": "body", "db": "2"}
    assert "cret" not in f"{address} {address!r}"
    assert parse_address("--sink", "kafka://a,b:9093,[::1]:1/t").servers == ("a:9092", "b:9093", "[::1]:1")


BAD_ADDRESSES = {
    "http://host/x": "expected a URL that begins with one of redis://",
    "redis://host": "expected redis://HOST[:PORT]/NAME",
    "redis://host:port/x": "'host:port' is not HOST or HOST:PORT",
    "nats://host/x?colour=red": "unknown option colour; nats:// takes stream",
    "redis://u:hidden@/x": "expected redis://HOST[:PORT]/NAME",
    "kafkas://u:hidden@host/x?mechanism=GSSAPI": "unknown mechanism GSSAPI; kafkas:// takes PLAIN, SCRAM-SHA-256",
    "kafka://u@host/x": "the user u needs a password: USER:PASSWORD@HOST",
    "kafka://:hidden@host/x": "the password needs a user: USER:PASSWORD@HOST",
    "kafka://host/x?mechanism=PLAIN": "mechanism PLAIN needs USER:PASSWORD@HOST",
}


@pytest.mark.parametrize(("url", "message"), BAD_ADDRESSES.items())
def test_what_is_no_address_is_refused(url, message, capsys):
    with pytest.raises(StreamError) as refusal:
        parse_address("--source", url)
    assert str(refusal.value).startswith(f"--source: {message}")
    assert main([f"--source={url}", "--sink=redis://host/x", "--group=g"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("mooring-inference stream: --source: ")
    assert "hidden" not in said
