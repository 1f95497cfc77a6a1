"""What only MLflow's own server can read is copied, by content, from a real server to where it can be served."""

import base64
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2 as httpx
import pytest
from mooring_artifacts.digests import ManifestEntry, manifest_digest
from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.storage import content_digest
from mooring_components.registration.artifacts import MlflowArtifacts
from mooring_components.staging import stage_model

from tests.real_mlflow import running_mlflow

pytestmark = pytest.mark.timeout(240)
FILES = {
    "MLmodel": b"flavors: {}",
    "model.onnx": bytes(range(256)) * 5000,
    "data/vocabulary of words.txt": "w\u00f6rter".encode(),
    "data/deep/empty": b"",
}
PATH = "7/models/m-1/artifacts"
URI = f"mlflow-artifacts:/{PATH}"


def digest_of(files):
    return manifest_digest(
        ManifestEntry(path, len(content), hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    )


@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    """The address of a server that hands artifacts out, and has a model at `PATH`."""
    with running_mlflow(tmp_path_factory.mktemp("proxied"), proxied=True) as url:
        for name, content in FILES.items():
            place = f"{url}/api/2.0/mlflow-artifacts/artifacts/{PATH}/{name}"
            assert httpx.put(place, content=content, timeout=60).status_code == 200
        yield url


def stage(url, tmp_path, uri=URI, root=None, digest="", environment=None):
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    return stage_model(uri, root or f"file://{tmp_path}/staged", folder, digest, url, environment or {})


def test_a_model_is_copied_as_it_is_to_a_place_that_its_content_names(proxied, tmp_path):
    copy = stage(proxied, tmp_path)
    digest = digest_of(FILES)
    assert (copy.digest, copy.uri) == (digest, f"file://{tmp_path}/staged/{digest.removeprefix('sha256:')}")
    assert content_digest(copy.uri) == digest
    assert copy.size_bytes == sum(map(len, FILES.values()))
    assert stage(proxied, tmp_path, digest=digest) == copy


def test_it_is_copied_to_a_store_of_objects(proxied, tmp_path, s3_store):
    copy = stage(proxied, tmp_path, root=f"s3://{s3_store.bucket}/staged/team-a")
    assert copy.uri.startswith(f"s3://{s3_store.bucket}/staged/team-a/")
    assert content_digest(copy.uri) == digest_of(FILES)


@pytest.mark.parametrize("name", ["model.onnx", "data/vocabulary of words.txt"])
def test_a_model_that_is_one_file_is_a_folder_of_it(proxied, tmp_path, name):
    copy = stage(proxied, tmp_path, f"{URI}/{name}")
    assert content_digest(copy.uri) == copy.digest == digest_of({name.rpartition("/")[2]: FILES[name]})


def test_other_files_than_the_digest_says_are_copied_nowhere(proxied, tmp_path):
    with pytest.raises(InputError, match="does not match the content"):
        stage(proxied, tmp_path, digest="sha256:" + "0" * 64)
    assert not (tmp_path / "staged").exists()


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (f"{URI}/gone", "MLflow has no artifact"),
        ("mlflow-artifacts:/9/nothing", "MLflow has no artifact"),
        ("mlflow-artifacts:/7/../secret", "has the segment '..'"),
        ("mlflow-artifacts:/7/%2e%2e/secret", "hides what it means"),
        ("mlflow-artifacts://elsewhere:5000/7", "without a server"),
        ("mlflow-artifacts:/", "empty segment"),
        ("s3://bucket/model", "write mlflow-artifacts:/PATH"),
    ],
)
def test_what_is_not_there_or_no_address_is_told(proxied, tmp_path, uri, said):
    with pytest.raises(InputError, match=said):
        stage(proxied, tmp_path, uri)
    assert not (tmp_path / "staged").exists()


def test_a_server_that_hands_nothing_out_is_told(mlflow, tmp_path):
    with pytest.raises((InputError, StoreUnavailable), match="MLflow"):
        stage(mlflow, tmp_path)


class Guarded(BaseHTTPRequestHandler):
    """Lets through who has the right Authorization, to the real server behind it."""

    behind, wanted = "", ""

    def do_GET(self):
        if self.headers.get("Authorization") != self.wanted:
            answer = httpx.Response(401, content=b"You are not authenticated.")
        else:
            answer = httpx.get(f"{self.behind}{self.path}", timeout=60)
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_):
        pass


BASIC = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "b:c"}


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        (BASIC, "Basic " + base64.b64encode(b"ada:b:c").decode()),
        ({"MLFLOW_TRACKING_TOKEN": "t0ken\n"}, "Bearer t0ken"),
    ],
)
def test_it_asks_as_the_user_of_the_runs_secret(proxied, tmp_path, environment, wanted):
    handler = type("Handler", (Guarded,), {"behind": proxied, "wanted": wanted})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        assert stage(url, tmp_path, environment=environment).digest == digest_of(FILES)
        for other in ({}, {**BASIC, "MLFLOW_TRACKING_PASSWORD": "wrong"}):
            with pytest.raises(InputError, match="MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"):
                stage(url, tmp_path, environment=other)
    finally:
        server.shutdown()
        server.server_close()


class Faulty(httpx.HTTPTransport):
    """Spoils the answers to some requests, and counts them all."""

    def __init__(self, spoil):
        super().__init__()
        self.spoil, self.count = spoil, 0

    def handle_request(self, request):
        self.count += 1
        return self.spoil(self.count, request) or super().handle_request(request)


def faulty(spoil):
    return httpx.Client(transport=Faulty(spoil), timeout=30, headers={"Accept-Encoding": "identity"})


def broken_off(request):
    def content():
        yield b"begun"
        raise httpx.ReadError("lost", request=request)

    class Stream(httpx.SyncByteStream):
        def __iter__(self):
            return content()

    return httpx.Response(200, stream=Stream(), request=request)


def test_each_answer_that_is_lost_is_asked_for_again(proxied, tmp_path):
    for number in range(1, 12):
        folder = tmp_path / str(number)
        folder.mkdir()
        client = faulty(lambda count, request, n=number: broken_off(request) if count == n else None)
        with client:
            MlflowArtifacts(client, proxied, sleep=lambda _: None).download(URI, folder)
        assert content_digest(f"file://{folder}") == digest_of(FILES), number


def test_a_server_that_is_away_is_given_up(tmp_path):
    client = faulty(lambda count, request: httpx.Response(503, request=request))
    waited = []
    with client, pytest.raises(StoreUnavailable, match="it answered 503"):
        MlflowArtifacts(client, "http://mlflow", sleep=waited.append).download(URI, tmp_path)
    assert len(waited) == 4


def listing(*names, folder=False):
    entry = ", ".join(
        f'{{"path": "{name}", "is_dir": {str(folder).lower()}, "file_size": "3"}}' for name in names
    )
    return answering(f'{{"files": [{entry}]}}')


def answering(text):
    return lambda count, request: httpx.Response(200, stream=httpx.ByteStream(text.encode()), request=request)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (listing(".."), "no usable name"),
        (listing("a\\\\b"), "no usable name"),
        (listing(""), "no usable name"),
        (listing("deeper", folder=True), "no usable name"),
        (listing(*map(str, range(10_001)), folder=True), "more than 10000 files and folders"),
        (listing("model.onnx"), "is not as long as it lists"),
        (answering("<html>"), "as MLflow does"),
        (answering('{"files": 3}'), "as MLflow does"),
        (lambda count, request: httpx.Response(302, request=request), "answered 302"),
    ],
)
def test_a_hostile_server_gets_nothing_but_a_refusal(tmp_path, spoil, said):
    folder = tmp_path / "folder"
    folder.mkdir()
    with faulty(spoil) as client, pytest.raises(InputError, match=said):
        MlflowArtifacts(client, "http://mlflow", sleep=lambda _: None).download(URI, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_place_that_cannot_be_written_is_told(proxied, tmp_path, s3_store):
    with pytest.raises((InputError, StoreUnavailable), match="staging_uri 's3://no-such-bucket"):
        stage(proxied, tmp_path, root="s3://no-such-bucket/staged")
