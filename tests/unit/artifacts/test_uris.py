"""An address means one place, to every reader, or it is refused."""

import os
import time
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mooring_artifacts import uris
from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import SCHEMES, Address, find_fault, hide_queries, is_web_address, parse, redact

# Text that is likely to be an address, and likely to be a bad one.
pieces = st.sampled_from(
    [
        *[
            ".",
            "..",
            "/",
            "//",
            "\\",
            "?",
            "#",
            "@",
            ":",
            "a",
            "b-1",
            "%",
            "%2e",
            "%2E%2e",
            "%2f",
            "%252e",
            "%252f",
            "%00",
            "%ff",
            "%C3%A9",
            "é",
            "*",
            "~",
            "$(X)",
        ],
        *(" ", "\n", "\t", "\x00", "\u202e"),
    ]
)
tails = st.lists(pieces | st.text(max_size=3), max_size=8).map("".join)
written = st.builds("{}{}{}".format, st.sampled_from([*SCHEMES, "http", "S3", ""]), st.just("://"), tails)


@pytest.mark.parametrize(
    ("uri", "address", "canonical"),
    [
        ("s3://models/digits/v2", Address("s3", "models", "digits/v2"), None),
        ("s3://models/digits/v2/", Address("s3", "models", "digits/v2"), "s3://models/digits/v2"),
        ("gs://b.example.com/a=1/b c", Address("gs", "b.example.com", "a=1/b c"), None),
        ("az://container/é.parquet", Address("az", "container", "é.parquet"), None),
        ("s3://b/100%25", Address("s3", "b", "100%25"), None),
        ("file:///data/a%20b", Address("file", "", "data/a b"), None),
        ("file:///data/a b", Address("file", "", "data/a b"), "file:///data/a%20b"),
        ("file:///data/100%25", Address("file", "", "data/100%"), None),
        ("file://localhost/data", Address("file", "", "data"), "file:///data"),
        ("s3://b/...", Address("s3", "b", "..."), None),
    ],
)
def test_an_address_is_parsed_and_written(uri, address, canonical):
    assert parse(uri) == address
    assert str(address) == (canonical or uri)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "its scheme is none of file, s3, gs, az"),
        ("models:/digits@champion", "its scheme"),
        ("/data/test.parquet", "its scheme"),
        ("https://h/x", "its scheme"),
        ("S3://b/x", "its scheme"),
        (" s3://b/x", "its scheme"),
        ("s3:/b/x", "its scheme"),
        ("s3:///x", "it names no bucket"),
        ("s3://user:secret@b/x", "it names no possible bucket"),
        ("s3://b:9000/x", "it names no possible bucket"),
        ("s3://../x", "it names no possible bucket"),
        ("s3://%2e%2e/x", "it names no possible bucket"),
        ("s3://b", "it names no file or folder"),
        ("s3://b/", "it names no file or folder"),
        ("file:///", "it names no file or folder"),
        ("file://host/x", "it names a host"),
        ("file://user@localhost/x", "it names a host"),
        ("s3://b/a/../../c", "the segment '..'"),
        ("s3://b/..", "the segment '..'"),
        ("file:///a/./b", "the segment '.'"),
        ("s3://b//a", "an empty segment"),
        ("s3://b/a//", "an empty segment"),
        ("file:////etc/passwd", "an empty segment"),
        ("s3://b/a\\..\\b", "a character that is not allowed"),
        ("s3://b/a\n../b", "cannot be printed"),
        ("s3://b/\u202egpj", "cannot be printed"),
        ("s3://b/x?versionId=1", "a query or a fragment"),
        ("s3://b?x", "a query or a fragment"),
        ("s3://b/x#y", "a query or a fragment"),
        ("file:///a%3Fb", "a query or a fragment"),
        ("file:///a/%2e%2e/b", "the segment '..'"),
        ("s3://b/a/%2E%2e/b", "percent-encoded"),
        ("s3://b/a%2F..%2Fb", "percent-encoded"),
        ("s3://b/a%252f%252e%252e", "percent-encoded"),
        ("file:///a%2Fb", "percent-encoded"),
        ("file:///a/%252e%252e/b", "percent-encoded"),
        ("file:///a%00b", "a character that is not allowed"),
        ("file:///a%FFb", "a character that is not allowed"),
        ("s3://b/a%0Ab", "percent-encoded"),
        ("s3://b/" + "x" * 5000, "more than 4096 characters"),
    ],
)
def test_anything_else_is_refused_with_one_text(uri, why):
    with pytest.raises(InputError) as error:
        parse(uri, "spec.window.uri")
    text = str(error.value)
    assert text.startswith("spec.window.uri '")
    assert text.endswith("; write file:///PATH, s3://BUCKET/KEY, gs://BUCKET/KEY or az://CONTAINER/KEY")
    assert why in text
    assert text.isprintable()
    assert len(text) < 500


def test_a_whole_bucket_is_an_address_only_where_that_is_asked_for():
    assert parse("s3://b", whole_bucket=True) == parse("s3://b/", whole_bucket=True) == Address("s3", "b", "")
    for uri in ("file:///", "file://", "s3://b//", "s3://"):
        with pytest.raises(InputError):
            parse(uri, whole_bucket=True)


@given(written | st.text())
@example("s3://b/%2525252e/..")
def test_no_text_parses_into_an_address_that_leads_elsewhere(text):
    try:
        address = parse(text)
    except InputError:
        return
    segments = address.key.split("/")
    assert not {"", ".", ".."} & set(segments)
    for reading in (address.key, unquote(address.key), unquote(unquote(address.key))):
        assert os.path.normpath("/" + reading) == "/" + reading
        assert reading.isprintable()
        assert not set("\\?#") & set(reading)
    assert address.path.as_posix() == "/" + address.key
    # The standard library, which KServe and MLflow read with, sees the same place.
    parts = urlsplit(str(address))
    assert (parts.scheme, parts.netloc) == (address.scheme, address.bucket)
    assert (unquote(parts.path) if address.scheme == "file" else parts.path) == "/" + address.key
    assert not parts.query
    assert not parts.fragment


@given(written | st.text())
def test_what_was_parsed_is_written_so_that_it_parses_the_same(text):
    try:
        address = parse(text, whole_bucket=True)
    except InputError:
        return
    assert parse(str(address), whole_bucket=True) == address


keys = st.lists(st.text("abz09 ._-=+%é$~*'", min_size=1, max_size=6), min_size=1, max_size=4).map("/".join)


@given(st.sampled_from(SCHEMES), keys)
def test_any_key_without_a_fault_can_be_written_and_read_back(scheme, key):
    address = Address(scheme, "" if scheme == "file" else "b", key)
    try:
        assert parse(str(address)) == address
    except InputError:
        # Only what somebody else could decode into another key.
        stages = [unquote(stage, errors="surrogateescape") for stage in (key, unquote(key))]
        assert any(find_fault(stage) for stage in (key, *stages))


@given(st.text(alphabet="abc/?#@:\n=&", max_size=400))
def test_what_messages_show_has_no_credentials_and_no_query(tail):
    shown = redact("https://user:secret@host/path?X-Amz-Signature=0123" + tail)
    assert "secret" not in shown
    assert "Signature" not in shown
    assert shown.isprintable()
    assert "host/path" in shown


def test_an_address_below_a_root_has_the_segments_that_were_given():
    assert (
        uris.below("s3://b/runs/", "team-a", "fraud", "verdict.json")
        == "s3://b/runs/team-a/fraud/verdict.json"
    )


@pytest.mark.parametrize("segment", ["..", ".", "", "a/b", "a%2fb", "a\\b", "a?b", "a#b", "a\nb", "a\x00"])
def test_a_segment_below_a_root_that_is_none_is_refused(segment):
    with pytest.raises(InputError, match="is no name of a file or folder"):
        uris.below("s3://b/runs", "team-a", segment)


@given(st.lists(st.text(max_size=8), min_size=1, max_size=3))
def test_no_segments_lead_out_of_their_root(segments):
    try:
        address = uris.parse(uris.below("file:///runs", *segments))
    except InputError:
        return
    assert address.key.split("/") == ["runs", *segments]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PUT https://h/a?sig=s3cr3t: 403", "PUT https://h/a?... 403"),
        ("'http://h/a?x=1&y=2' and \"https://h?z\"", "'http://h/a?...' and \"https://h?...\""),
        ("(see:https://h/a?b)", "(see:https://h/a?..."),
        ("why? see https://h/a", "why? see https://h/a"),
        ("s3://b/k?x", "s3://b/k?x"),
    ],
)
def test_queries_of_urls_are_hidden(text, shown):
    assert hide_queries(text) == shown


@pytest.mark.parametrize("part", ["http://", "https://a", "http", "?", "http://a?"])
def test_queries_are_hidden_in_time_in_proportion_to_the_text(part):
    """What a run says may be anything, and the operator's event loop shows it."""
    text = part * ((1 << 20) // len(part))
    began = time.process_time()
    hide_queries(text)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("http://prometheus:9090", True),
        ("https://[::1]:9090/prometheus", True),
        ("http://user:word@host", True),
        ("http://", False),
        ("http://[::1", False),
        ("http://host:none", False),
        ("http://host:0", False),
        ("http://host:65536", False),
        ("http:// host", False),
        ("http://host\n", False),
        ("ftp://host", False),
        ("host:9090", False),
    ],
)
def test_a_web_address_has_a_host_and_a_port_that_can_be(text: str, fits: bool) -> None:
    assert is_web_address(text) is fits
