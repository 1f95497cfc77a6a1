"""Documents go where a signed URL says, once where it says so, and nobody reads the URL in a message."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx2
import obstore
import obstore.store
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.uploads import check_destination, put_document

from tests.unit.signed_store import KEY_ID, REGION, SECRET, signed_store

DOCUMENT = b'{"passed": true}\n'
SIGNED = "https://store.example/b/k?X-Amz-Signature=0123456789abcdef"


@pytest.fixture
def store():
    with signed_store() as store:
        yield store


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def put(pauses):
    """Put a document; time passes by pauses alone."""

    def put(url, content=DOCUMENT, seconds=60.0):
        put_document(
            url, content, "verdict_uri", seconds=seconds, sleep=pauses.append, clock=lambda: sum(pauses)
        )

    return put


def error_of(put, url, kind=InputError, **options):
    with pytest.raises(kind) as error:
        put(url, **options)
    text = str(error.value)
    assert "X-Amz-Signature" not in text
    assert "0123456789abcdef" not in text
    assert "\n" not in text
    return text


def test_a_document_is_put_to_a_signed_url_and_may_be_put_again(store, put):
    url = store.sign("/b/ci/verdict.json")
    put(url, b"first")
    put(url)
    assert store.objects == {"/b/ci/verdict.json": DOCUMENT}


def test_urls_that_obstore_signs_are_understood_by_the_stand_in(store, put):
    bucket = obstore.store.S3Store(
        "b",
        endpoint=f"http://127.0.0.1:{store.port}",
        access_key_id=KEY_ID,
        secret_access_key=SECRET,
        region=REGION,
        client_options={"allow_http": True},
    )
    put(obstore.sign(bucket, "PUT", "a b/verdict.json", timedelta(minutes=1)))
    assert list(store.objects.values()) == [DOCUMENT]


def test_a_condition_that_is_signed_is_sent_and_the_second_writer_is_told(store, put):
    url = store.sign("/b/v.json", once=True)
    put(url, b"theirs")
    text = error_of(put, url)
    assert text.startswith(
        f"verdict_uri 'http://127.0.0.1:{store.port}/b/v.json?...' has been written already"
    )
    assert "another writer won" in text
    assert store.objects == {"/b/v.json": b"theirs"}


def test_an_object_that_is_readable_and_ours_is_no_other_writers(store, put):
    store.is_readable = True
    url = store.sign("/b/v.json", once=True)
    put(url)
    put(url)
    assert store.requests == [("PUT", 200), ("PUT", 412), ("GET", 200)]
    for other in (b"", DOCUMENT + b" ", DOCUMENT[:-1]):
        assert "another writer won" in error_of(put, url, content=other)


def test_an_answer_that_was_lost_is_ours_where_that_can_be_read(store, put, pauses):
    store.is_readable = True
    store.script = ["lost"]
    put(store.sign("/b/v.json", once=True))
    assert store.requests == [("PUT", "lost"), ("PUT", 412), ("GET", 200)]
    assert len(pauses) == 1


def test_an_answer_that_was_lost_is_ours_where_that_cannot_be_read(store, put):
    store.script = ["lost"]
    put(store.sign("/b/v.json", once=True))
    assert store.requests[:2] == [("PUT", "lost"), ("PUT", 412)]
    assert store.objects == {"/b/v.json": DOCUMENT}


def test_a_busy_store_is_no_lost_answer(store, put):
    put(store.sign("/b/v.json", once=True), b"theirs")
    store.script = [(503, "SlowDown")]
    assert "another writer won" in error_of(put, store.sign("/b/v.json", once=True))


@pytest.mark.parametrize(
    "answer",
    [(503, "SlowDown"), (500, "InternalError"), (429, ""), (409, "ConditionalRequestConflict"), "lost"],
)
def test_what_passes_is_waited_for(store, put, pauses, answer):
    store.script = [answer, answer, answer]
    put(store.sign("/b/v.json"))
    assert store.objects == {"/b/v.json": DOCUMENT}
    assert [round(pause / 2**i, 2) <= 0.5 for i, pause in enumerate(pauses)] == [True] * 3
    assert all(pause >= 0.25 * 2**i for i, pause in enumerate(pauses))


def test_a_store_that_stays_away_is_unavailable_after_a_time(store, put, pauses):
    store.script = [(503, "SlowDown")] * 100
    text = error_of(put, store.sign("/b/v.json"), StoreUnavailable, seconds=30.0)
    assert text.endswith("cannot be written: the store answered 503 SlowDown; tried for 30 s")
    assert sum(pauses) < 30 < sum(pauses) + 8


def test_a_store_that_nobody_answers_for_is_unavailable(put):
    text = error_of(put, "http://127.0.0.1:9/b/v.json?X-Amz-Signature=0123456789abcdef", StoreUnavailable)
    assert "the store does not answer (ConnectError)" in text


@pytest.mark.timeout(30)
def test_a_store_that_stalls_is_left(store):
    store.script = ["stall"] * 3
    with pytest.raises(StoreUnavailable, match=r"does not answer \(ReadTimeout\)"):
        put_document(store.sign("/b/v.json"), DOCUMENT, "verdict_uri", seconds=0.5)


def test_a_url_that_has_expired_or_is_signed_for_something_else_is_refused(store, put):
    past = datetime.now(UTC) - timedelta(hours=2)
    expired = store.sign("/b/v.json", now=past)
    borrowed = store.sign("/b/v.json").replace("/b/v.json", "/b/other.json")
    for url, code in ((expired, "AccessDenied"), (borrowed, "SignatureDoesNotMatch")):
        text = error_of(put, url)
        assert f"the store answered 403 {code}; the URL is signed for another request, or has expired" in text
    assert store.objects == {}
    assert store.requests == [("PUT", 403)] * 2


def test_a_condition_that_is_signed_and_not_sent_is_refused_by_the_stand_in(store):
    url = store.sign("/b/v.json", once=True)
    assert httpx2.put(url, content=DOCUMENT).status_code == 403


@pytest.mark.parametrize("status", [301, 307, 400, 404, 418])
def test_other_answers_are_final_and_nothing_is_followed(store, put, status):
    store.script = [(status, "")]
    assert f"the store answered {status}" in error_of(put, store.sign("/b/v.json"))
    assert store.requests == [("PUT", status)]


def test_blobs_of_azure_are_named_as_such(store, put):
    store.script = [(201, "")]
    put(f"http://127.0.0.1:{store.port}/c/v.json?sv=2025-01-05&sr=b&sp=cw&sig=0123456789abcdef")
    assert store.headers["x-ms-blob-type"] == "BlockBlob"
    assert "if-none-match" not in {name.lower() for name in store.headers}


@pytest.mark.parametrize("code", ["BlobAlreadyExists", "UnauthorizedBlobOverwrite"])
def test_a_blob_of_azure_that_is_there_already_is_another_writers(store, put, code):
    store.script = [(409 if code == "BlobAlreadyExists" else 403, code)]
    url = f"http://127.0.0.1:{store.port}/c/v.json?sv=2025-01-05&sp=c&sig=0123456789abcdef"
    assert "another writer won" in error_of(put, url)


def test_conditions_of_google_are_sent_where_they_are_signed(store, put):
    store.script = [(200, "")]
    signed = "X-Goog-SignedHeaders=host%3Bx-goog-if-generation-match&X-Goog-Signature=0123456789abcdef"
    put(f"http://127.0.0.1:{store.port}/b/v.json?{signed}")
    assert store.headers["x-goog-if-generation-match"] == "0"


def test_an_address_in_a_store_is_written_there(tmp_path, put):
    put(f"file://{tmp_path}/deep/v.json")
    assert (tmp_path / "deep/v.json").read_bytes() == DOCUMENT


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("http://store.example/b/k?X-Amz-Signature=0123456789abcdef", "http:// is for 127.0.0.1 alone"),
        ("http://127.0.0.1.evil.example/k", "http:// is for 127.0.0.1 alone"),
        ("http://127.0.0.1@evil.example/k", "or a user"),
        ("https://user:0123456789abcdef@store.example/k", "or a user"),
        ("https:///k", "it names no host"),
        ("https://store.example/", "it names no object"),
        ("https://store.example?X-Amz-Signature=0123456789abcdef", "it names no object"),
        (SIGNED + "#top", "it names no object"),
        (SIGNED + "\r\nHost: evil", "characters that no URL has"),
        (SIGNED + " ", "characters that no URL has"),
        ("https://store.example\\@evil.example/k", "characters that no URL has"),
        ("https://störe.example/k", "characters that no URL has"),
        ("https://store.example:99999/k", "it is no URL"),
        ("https://[::1/k", "it is no URL"),
        ("https://store.example/" + "k" * 9000, "more than 8192 characters"),
        ("ftp://store.example/k", "its scheme is none of"),
        ("s3://b/../k", "the segment '..'"),
        ("", "its scheme is none of"),
    ],
)
def test_destinations_of_other_forms_are_refused_before_any_work(uri, why, put):
    for attempt in (put, lambda uri: check_destination(uri, "verdict_uri")):
        text = error_of(attempt, uri)
        assert text.startswith("verdict_uri '")
        assert why in text


@given(st.text(max_size=60))
def test_no_destination_of_any_form_shows_its_query(tail):
    uri = SIGNED + tail
    said = ""
    try:
        check_destination(uri, "verdict_uri")
    except InputError as error:
        said = str(error)
    assert "0123456789abcdef" not in said
    assert len(said.splitlines()) <= 1


def test_an_http_client_is_imported_only_for_urls():
    program = "import sys, mooring_artifacts.uploads; print('httpx2' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert found.stdout == "False\n"
