"""Files of folders and buckets: all of them, no more than is asked for, and nothing that waits forever."""

import asyncio
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.local_files import MOST_FILES, StoredFile
from mooring_artifacts.storage import fetch, list_files, locate, stream, write

from tests.unit.object_store import s3_environment

PAGE = """<?xml version="1.0"?><ListBucketResult><IsTruncated>{more}</IsTruncated>
{token}{contents}</ListBucketResult>"""
ENTRY = (
    "<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified>"
    '<ETag>"e"</ETag></Contents>'
)


@pytest.fixture
def listing(monkeypatch):
    """A bucket whose listing the test writes: `keys(page)` gives the keys of a page, and whether more follow."""
    served = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        keys = staticmethod(lambda page: ([], False))

        def do_HEAD(self):
            self._answer(404)

        def do_GET(self):
            keys, more = type(self).keys(len(served))
            served.append(self.path)
            contents = "".join(ENTRY.format(key=key) for key in keys)
            token = f"<NextContinuationToken>{len(served)}</NextContinuationToken>" if more else ""
            page = PAGE.format(more=str(more).lower(), token=token, contents=contents)
            self._answer(200, page.encode())

        def _answer(self, status, body=b""):
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    for name, value in s3_environment(server.server_port).items():
        monkeypatch.setenv(name, value)
    Handler.served = served
    yield Handler
    server.shutdown()
    server.server_close()


def test_files_of_a_folder_are_listed_by_path_and_read(tmp_path):
    for path, content in (("b/x 1.bin", b"x"), ("a.txt", b"hello"), ("100%.csv", b"")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    location = locate(f"file://{tmp_path}/")
    files = list_files(location)
    assert [(file.path, file.size) for file in files] == [("100%.csv", 0), ("a.txt", 5), ("b/x 1.bin", 1)]
    assert [b"".join(stream(location, file)) for file in files] == [b"", b"hello", b"x"]


def test_links_are_followed_as_volumes_of_kubernetes_need(tmp_path):
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/model.onnx").write_bytes(b"graph")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.onnx").symlink_to(tmp_path / "..data/model.onnx")
    location = locate(f"file://{tmp_path}/m")
    (file,) = list_files(location)
    assert b"".join(stream(location, file)) == b"graph"


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for path, said in (
        (tmp_path, "holds no files"),
        (tmp_path / "fifo", "is neither a plain file nor a folder"),
    ):
        with pytest.raises(InputError, match=said):
            list_files(locate(f"file://{path}"))
    location = locate(f"file://{tmp_path}/fifo")
    with pytest.raises(InputError, match="it is no file"):
        list(stream(location, StoredFile(location.address.key, "fifo", 1)))


@pytest.mark.timeout(60)
def test_folders_that_link_to_themselves_end(tmp_path):
    for name in "abc":
        (tmp_path / name).symlink_to(tmp_path)
    with pytest.raises(InputError, match="cannot be read: more than 10000 folders"):
        list_files(locate(f"file://{tmp_path}"))


def test_a_file_that_grows_while_it_is_read_is_no_file_of_its_listing(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    location = locate(f"file://{tmp_path}/x")
    (file,) = list_files(location)
    (tmp_path / "x").write_bytes(b"123456")
    with pytest.raises(InputError, match="changed while it was read"):
        list(stream(location, file))


def test_an_error_of_a_read_names_the_file(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    location = locate(f"file://{tmp_path}/x")
    (file,) = list_files(location)
    (tmp_path / "x").unlink()
    with pytest.raises(InputError, match=r"'file:///.*/x': 'x' cannot be read"):
        list(stream(location, file))


def test_all_pages_of_a_bucket_are_listed(listing):
    listing.keys = staticmethod(lambda page: ([f"m/{page}", f"m/{page}.b"], page < 2))
    assert [file.path for file in list_files(locate("s3://b/m"))] == ["0", "0.b", "1", "1.b", "2", "2.b"]


@pytest.mark.timeout(60)
def test_a_listing_without_end_is_left(listing):
    listing.keys = staticmethod(lambda page: ([f"m/{page}-{i}" for i in range(1000)], True))
    with pytest.raises(InputError, match=f"model_uri 's3://b/m' holds more than {MOST_FILES} files"):
        list_files(locate("s3://b/m"), "model_uri")
    assert len(listing.served) < 20


@pytest.mark.parametrize("key", ["m/../../etc/x", "m//x", "m/./x", "m/a\\b", "m/a&#10;b", "m/\u202e"])
def test_names_that_lead_elsewhere_end_a_listing(listing, key):
    listing.keys = staticmethod(lambda page: ([key], False))
    with pytest.raises(InputError, match="s3://b/m"):
        list_files(locate("s3://b/m"))


def test_local_names_that_no_message_could_hold_end_a_listing(tmp_path):
    (tmp_path / "two\nlines").touch()
    with pytest.raises(InputError, match=r"'two\\nlines', which is no usable name"):
        list_files(locate(f"file://{tmp_path}"))


def test_what_is_written_is_fetched(tmp_path):
    uri = f"file://{tmp_path}/deep/x.json"
    write(uri, b"{}")
    write(uri, b"[]")
    assert asyncio.run(fetch(uri, 2)) == b"[]"
    with pytest.raises(InputError, match="2 bytes are too many; 1 are allowed"):
        asyncio.run(fetch(uri, 1))
    assert asyncio.run(fetch(f"file://{tmp_path}/none", 1)) is None


def test_a_store_without_credentials_is_unavailable_not_bad_input(monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StoreUnavailable, match="az://c/x"):
        asyncio.run(fetch("az://c/x", 1))


def test_no_credentials_are_called_that(monkeypatch):
    """Without any, the store's client asks the cloud's metadata service; nobody would look for that in a message."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    asked = []

    class NoIdentity(BaseHTTPRequestHandler):
        def _refuse(self):
            asked.append(self.path)
            self.send_response(403)
            self.send_header("content-length", "0")
            self.end_headers()

        do_GET = do_PUT = _refuse

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), NoIdentity) as metadata:
        threading.Thread(target=metadata.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", f"http://127.0.0.1:{metadata.server_port}")
        with pytest.raises(InputError) as caught:
            list_files(locate("s3://models/digits", "model_uri"), "model_uri")
        metadata.shutdown()
    assert asked
    assert str(caught.value) == (
        "model_uri 's3://models/digits' cannot be read: there are no credentials: neither variables such as "
        "AWS_ACCESS_KEY_ID, nor an identity of the service account's"
    )
