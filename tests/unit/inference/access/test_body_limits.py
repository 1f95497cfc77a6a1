"""Limits on request bodies: what parsing them may cost, and what decompressing them may make of them."""

from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_inference.access.json_limits import JsonLimits, bound_parsed_bytes, exceeds_depth
from mooring_inference.errors import RequestError
from mooring_inference.rest.content_encoding import inflate

BOMBS = {
    "empty arrays": lambda size: b"[" + b"[]," * (size // 3) + b"[]]",
    "empty objects": lambda size: b"[" + b"{}," * (size // 3) + b"{}]",
    "deep arrays": lambda size: b"[" + (b"[" * 100 + b"]" * 100 + b",") * (size // 201) + b"[]]",
    "objects of one key": lambda size: b"[" + b'{"a":1},' * (size // 8) + b"1]",
    "deep objects": lambda size: b"[" + (b'{"":' * 100 + b"1" + b"}" * 100 + b",") * (size // 502) + b"1]",
    "distinct keys": lambda size: b"{" + b",".join(b'"%x":0' % i for i in range(size // 9)) + b"}",
    "small integers": lambda size: b"[" + b"300," * (size // 4) + b"1]",
    "digits": lambda size: b"[" + b"1," * (size // 2) + b"1]",
    "short floats": lambda size: b"[" + b"1e9," * (size // 4) + b"1]",
    "short strings": lambda size: b"[" + b'"ab",' * (size // 5) + b"1]",
    "wide strings": lambda size: b'["' + b"a" * size + "😀".encode() + b'"]',
    "strings with escapes": lambda size: b'["' + b"\\ud83d\\ude00" * (size // 12) + b'"]',
}


@pytest.mark.parametrize("name", BOMBS)
def test_parsing_never_takes_more_than_the_bound(name):
    body = BOMBS[name](1 << 18)
    tracemalloc.start()
    document = orjson.loads(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert document
    assert peak <= bound_parsed_bytes(body)


def test_the_bound_of_an_ordinary_request_is_near_the_cost_of_floats():
    body = orjson.dumps({"inputs": np.random.default_rng(0).random(10_000).tolist()})
    assert bound_parsed_bytes(body) < 31 * len(body)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_is_parsed(name):
    limits = JsonLimits(max_parsed_bytes=1 << 20)
    with pytest.raises(RequestError) as caught:
        limits.check(BOMBS[name](1 << 20))
    assert caught.value.status == 413
    assert "when parsed" in caught.value.message


def test_a_body_is_limited_by_its_size_first():
    limits = JsonLimits(max_bytes=10)
    limits.check(b"[1,2,3,45]")
    with pytest.raises(RequestError) as caught:
        limits.check(b"[1,2,3,456]")
    assert (caught.value.status, caught.value.expected) == (413, "at most 10 bytes")


def test_depth_is_unlimited_here_unless_it_is_set():
    body = b"[" * 50 + b"]" * 50
    JsonLimits().check(body)
    JsonLimits(max_depth=50).check(body)
    with pytest.raises(RequestError) as caught:
        JsonLimits(max_depth=49).check(body)
    assert (caught.value.status, caught.value.expected) == (400, "at most 49 levels")


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


TEXT = st.text('[]{}"\\,:y_Y\n\x7fé', max_size=8)
DOCUMENTS = st.recursive(
    st.none() | st.integers(-9, 9) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=20,
)


@given(DOCUMENTS, st.integers(0, 8), st.booleans())
def test_depth_is_that_of_the_parsed_document_whatever_the_strings_hold(document, limit, indented):
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else None)
    assert exceeds_depth(body, limit) == (depth(document) > limit)


@given(st.binary(max_size=200), st.integers(0, 10))
def test_any_bytes_have_a_depth(body, limit):
    assert exceeds_depth(body, limit) in (True, False)


CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
    "": bytes,
}


def raw_deflate(body):
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


@given(st.sampled_from(sorted(CODERS)), st.binary(max_size=300), st.integers(1, 700))
def test_what_was_compressed_comes_back_unless_it_is_over_the_limit(encoding, part, times):
    body = part * times
    encoded = CODERS[encoding](body)
    assert inflate(encoded, encoding, len(body)) == body
    if body:
        with pytest.raises(RequestError) as caught:
            inflate(encoded, encoding, len(body) - 1)
        assert caught.value.status == 413


@given(st.binary(max_size=300), st.integers(1, 700))
def test_a_bare_deflate_stream_is_taken_too(part, times):
    assert inflate(raw_deflate(part * times), "deflate", len(part) * times) == part * times


def test_large_bodies_that_do_not_compress_come_back():
    body = os.urandom(300_000)
    for encoding, coder in CODERS.items():
        assert inflate(coder(body), encoding, len(body)) == body


def test_several_gzip_members_are_one_body_but_not_endlessly_many():
    assert inflate(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", 4) == b"abcd"
    with pytest.raises(RequestError) as caught:
        inflate(gzip.compress(b"ab") + gzip.compress(b"cd"), "gzip", 3)
    assert caught.value.status == 413
    with pytest.raises(RequestError) as caught:
        inflate(gzip.compress(b"") * 10_000, "gzip", 100)
    assert caught.value.status == 400


def test_a_zip_bomb_takes_no_more_memory_than_its_limit_allows():
    bomb = gzip.compress(bytes(256 << 20), compresslevel=9)
    limit = 4 << 20
    tracemalloc.start()
    with pytest.raises(RequestError) as caught:
        inflate(bomb, "gzip", limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.status == 413
    assert peak < limit * 9 // 8 + (1 << 19)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip,identity", "x" * 500])
def test_other_codings_are_415_and_the_known_ones_are_named(encoding):
    with pytest.raises(RequestError) as caught:
        inflate(b"", encoding, 10)
    assert caught.value.status == 415
    assert caught.value.expected == ["gzip", "deflate", "identity"]
    assert len(caught.value.message) < 150


@given(st.sampled_from(["gzip", "deflate"]), st.binary(min_size=1, max_size=200), st.data())
def test_a_body_cut_short_or_with_more_behind_it_is_400(encoding, body, data):
    encoded = CODERS[encoding](body)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"!"):
        with pytest.raises(RequestError) as caught:
            inflate(wrong, encoding, 1000)
        assert caught.value.status == 400


@given(
    st.sampled_from(["gzip", "deflate"]),
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x1f\x8b\x08", b"\x78\x9c"]),
)
def test_any_bytes_are_inflated_or_refused(encoding, body, prefix):
    try:
        assert len(inflate(prefix + body, encoding, 500)) <= 500
    except RequestError as exc:
        status = exc.status
    else:
        status = 400
    assert status in (400, 413)


def test_depth_is_found_across_the_pieces_in_which_a_body_is_read():
    body = b"[" * 40 + b"1," * 100_000 + b"[" * 40
    assert exceeds_depth(body, 79)
    assert not exceeds_depth(body, 80)


def test_strings_without_an_end_cost_no_more_than_others():
    # Quadratic work would take hours here.
    assert not exceeds_depth(b'"\\' * 2_000_000 + b'"' + b"[" * 20, 10)
    assert exceeds_depth(b'"a' * 1_000_000 + b"[" * 20, 10)
