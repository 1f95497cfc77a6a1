"""Documents that policies demand: where they may lie, and what is one."""

import hashlib

import httpx2 as httpx
import pytest
from mooring_artifacts.demands import Demands, Wanted
from mooring_artifacts.errors import InputError
from mooring_components.fetching import fetch_model
from mooring_components.inspection import inspect_model
from mooring_components.web_documents import read_web_document

AT = "https://docs.example.com/reviews/digits.pdf"


def served(status=200, content=b"%PDF", headers=None, asked=None):
    def answer(request):
        if asked is not None:
            asked.append(request)
        return httpx.Response(status, stream=httpx.ByteStream(content), headers=headers or {})

    return httpx.MockTransport(answer)


def test_a_document_on_a_web_server_has_the_digest_of_its_bytes():
    asked = []
    entry = read_web_document(AT, 100, transport=served(asked=asked))
    assert (entry.path, entry.size, entry.sha256) == ("digits.pdf", 4, hashlib.sha256(b"%PDF").hexdigest())
    assert [(one.method, str(one.url)) for one in asked] == [("GET", AT)]
    assert not {"authorization", "cookie"} & set(asked[0].headers)


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://169.254.169.254/latest/meta-data", AT + ".txt"])
def test_no_redirect_is_followed(to):
    asked = []
    with pytest.raises(InputError, match="its server answers 302, which leads elsewhere"):
        read_web_document(AT, 100, transport=served(302, b"", {"Location": to}, asked))
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status": 404}, "its server answers 404"),
        ({"status": 401}, "its server answers 401"),
        ({"headers": {"Content-Type": "Text/HTML; charset=utf-8"}}, "its server answers with a web page"),
        ({"headers": {"Content-Encoding": "gzip"}}, "in an encoding that nobody asked for"),
        ({"content": b"x" * 101}, "it has more than 100 bytes"),
    ],
)
def test_what_a_server_answers_instead_is_no_document(answer, says):
    with pytest.raises(InputError, match=says):
        read_web_document(AT, 100, transport=served(**answer))


def test_an_endless_document_is_left_when_its_time_is_over():
    now = iter(range(0, 10_000, 50))
    with pytest.raises(InputError, match="its server takes longer than 120 s"):
        read_web_document(
            AT,
            100,
            transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=_Drops())),
            clock=lambda: next(now),
        )


class _Drops(httpx.SyncByteStream):
    def __iter__(self):
        while True:
            yield b"x"


@pytest.mark.parametrize(
    "address",
    [
        "https://localhost/a",
        "https://169.254.169.254/a",
        "https://0x7f.1/a",
        "https://[::1]/a",
        "https://user:secret@example.com/a",
        "https://example.com@evil.com/a",
        "https://example.com/a?b=c",
        "https://example.com/a#b",
        "https://example.com/../a",
        "https://example.com/%2e%2e/a",
        "https://example.com/a\\b",
        "https://example.com//a",
        "https://example.com/",
        "https://example.com",
        "https://exämple.com/a",
        "https://example.com/a\n",
        "http://example.com/a",
    ],
)
def test_an_address_that_may_mean_something_else_is_not_asked(address):
    asked = []
    with pytest.raises(InputError, match="its address is not allowed"):
        read_web_document(address, 100, transport=served(asked=asked))
    assert asked == []


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "card.md").write_text("# digits")
    (folder / "empty.md").touch()
    return fetch_model(folder.as_uri(), tmp_path / "copy")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("docs/card.md", ""),
        ("empty.md", "it is empty"),
        ("docs", "not in the model's folder"),
        ("../model/docs/card.md", "not in the model's folder"),
        ("docs/%63ard.md", "not in the model's folder"),
        ("file:///etc/../etc/passwd", "its path has the segment '..'"),
        ("file://host/etc/passwd", "it names a host"),
        ("s3://user:secret@b/a", "it names no possible bucket"),
        ("s3://b/a/../c", "its path has the segment '..'"),
        ("s3://b/%2e%2e/c", "percent-encoded in a way that hides"),
        ("http://169.254.169.254/a", "its scheme is none of"),
        ("ftp://b/a", "its scheme is none of"),
        ("file:///dev/zero", "not there"),
        ("file:///", "it names no file or folder"),
    ],
)
def test_what_is_found_at_an_address_is_a_line_of_the_verdict(model, address, says):
    demands = Demands(documents=[Wanted(name="card", address=address)])
    (found,) = inspect_model("s3://m", model, demands)["documents"]
    assert says in found.get("problem", "")
    assert bool(found.get("digest")) == (not says)
    assert "secret" not in found.get("problem", "")
    assert "\n" not in found.get("problem", "")
