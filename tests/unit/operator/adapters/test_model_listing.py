"""Listings of a store that a tenant chose: as long as they may be, and as slow."""

import itertools
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from mooring_artifacts.grants import Grant, Grants
from mooring_operator.adapters import model_sources
from mooring_operator.adapters.mlflow import MlflowRest
from mooring_operator.adapters.model_sources import ModelSources
from mooring_operator.adapters.pools import Pool
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api.model_deployment import ModelSpec

from tests.unit.object_store import s3_environment

PAGE = 1000


def everything():
    return Grants((Grant(("*",), ("s3://",)),))


class Lister:
    """Lists a bucket; `pages` of them, None: without end. `stall` keeps every answer back."""

    def __init__(self):
        self.pages, self.asked = None, 0
        self.stall = threading.Event()
        self.stall.set()

    def page(self, token):
        self.asked += 1
        first = int(token or 0)
        keys = "".join(_entry(first + number) for number in range(PAGE))
        last = self.pages is not None and first + PAGE >= self.pages * PAGE
        following = "" if last else f"<NextContinuationToken>{first + PAGE}</NextContinuationToken>"
        return (
            f"<ListBucketResult><IsTruncated>{str(not last).lower()}</IsTruncated>{following}{keys}"
            f"</ListBucketResult>"
        )


def _entry(number):
    return (
        f"<Contents><Key>model/{number:09}</Key><LastModified>2026-03-01T12:00:00.000Z</LastModified>"
        f'<ETag>"{number}"</ETag><Size>1</Size></Contents>'
    )


@contextmanager
def serve(lister):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            lister.stall.wait()
            token = parse_qs(urlsplit(self.path).query).get("continuation-token", [""])[0]
            body = lister.page(token).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        lister.stall.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def lister(monkeypatch):
    lister = Lister()
    with serve(lister) as url:
        for name, value in s3_environment(urlsplit(url).port).items():
            monkeypatch.setenv(name, value)
        yield lister


def test_an_endless_listing_is_left_at_the_limit(lister):
    with pytest.raises(ModelNotFound, match=r"holds more than 10000 files, .* with spec\.model\.digest"):
        model_sources._list("s3://b/model")
    # A page may have been asked for ahead.
    assert lister.asked <= 10_000 / PAGE + 2


def test_a_listing_within_the_limit_has_a_digest_of_all_its_pages(lister):
    digests = set()
    for lister.pages in (1, 10):
        digests.add(model_sources._list("s3://b/model").digest)
    assert len(digests) == 2
    assert all(digest.startswith("etag:") for digest in digests)


@pytest.mark.parametrize(("uri", "is_folder"), [("s3://b/model", True), ("s3://b/model/000000000", False)])
async def test_a_listing_tells_a_folder_from_a_file(lister, uri, is_folder):
    lister.pages = 1
    model = ModelSpec.model_validate({"uri": uri, "format": "onnx"})
    assert (await ModelSources(MlflowRest(None), everything).resolve(model, "team-a")).is_folder is is_folder


def test_a_listing_that_trickles_is_left_when_its_time_is_over(lister, monkeypatch):
    ticks = itertools.count(step=10.0)
    monkeypatch.setattr(model_sources.time, "monotonic", lambda: next(ticks))
    with pytest.raises(RegistryUnavailable, match="takes more than 25 s to list it"):
        model_sources._list("s3://b/model")
    assert lister.asked <= 6


async def test_a_listing_that_stalls_is_unavailable_and_one_too_long_is_not_found(lister):
    sources = ModelSources(
        MlflowRest(None), everything, pool=Pool("models", RegistryUnavailable, deadline=0.1, patience=0.1)
    )
    model = ModelSpec.model_validate({"uri": "s3://b/model", "format": "onnx"})
    lister.stall.clear()
    with pytest.raises(RegistryUnavailable, match=r"models: no answer within 0\.1 s"):
        await sources.resolve(model, "team-a")
    lister.stall.set()
    with pytest.raises(ModelNotFound, match="more than 10000 files"):
        await ModelSources(MlflowRest(None), everything).resolve(model, "team-a")
