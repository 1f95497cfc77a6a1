"""The program that asks a webhook: what it takes for a yes, a no or neither, and how it says so."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2 as httpx
import pytest
from mooring_artifacts.errors import InputError
from mooring_artifacts.webhooks import BODY, INSUFFICIENT, NO, SECONDS, URL, YES
from mooring_components import webhook

BODY_SENT = json.dumps({"revision": "0123456789", "weight": 10})


@contextmanager
def hook(*answers):
    """An endpoint that gives these answers, (status, body), the last one again and again; what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.path, dict(self.headers), body.decode()))
            status, said = answers[min(len(asked), len(answers)) - 1]
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/go", asked
    finally:
        server.shutdown()
        server.server_close()


class Clock:
    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def ask(url, seconds=60.0):
    clock = Clock()
    with httpx.Client(timeout=2) as client:
        answer = webhook.ask(client, url, BODY_SENT, seconds, clock=clock, sleep=clock.sleep)
    return answer, clock


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_a_yes(status):
    with hook((status, b"")) as (url, asked):
        answer, clock = ask(url)
    assert (answer.code, clock.slept) == (YES, [])
    [(path, headers, body)] = asked
    assert (path, body) == ("/go", BODY_SENT)
    assert "Content-Length" in headers


@pytest.mark.parametrize("status", [403, 409, 422])
def test_a_refusal_is_a_no_with_its_reason(status):
    with hook((status, b"\n  error rate\x1b[31m is 4%\nsecond line")) as (url, asked):
        answer, _ = ask(url)
    assert (answer.code, len(asked)) == (NO, 1)
    assert answer.reason == f"it answered {status}: error rate?[31m is 4%"


@pytest.mark.parametrize("status", [302, 308, 400, 401, 404, 408, 425, 429, 500, 503])
def test_anything_else_is_asked_again(status):
    with hook((status, b""), (503, b""), (200, b"fine")) as (url, asked):
        answer, clock = ask(url)
    assert (answer.code, answer.reason) == (YES, "it answered 200: fine")
    assert clock.slept == [2.0, 4.0]
    assert {path for path, *_ in asked} == {"/go"}  # a redirect is not followed


def test_it_gives_up_when_its_time_is_over_and_says_what_it_heard_last():
    with hook((503, b"not yet")) as (url, asked):
        answer, clock = ask(url, seconds=60)
    assert answer.code == INSUFFICIENT
    assert answer.reason == f"neither yes nor no in 60 s, asked {len(asked)} times; it answered 503: not yet"
    assert sum(clock.slept) <= 60
    assert max(clock.slept) <= 30


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://nowhere.invalid/", "https://127.0.0.1:1/"])
def test_silence_is_no_answer(url):
    answer, _ = ask(url, seconds=1)
    assert answer.code == INSUFFICIENT
    assert "no answer: " in answer.reason


def test_of_a_long_answer_no_more_is_read_than_is_shown():
    with hook((403, b"x" * 5_000_000)) as (url, _):
        answer, _ = ask(url)
    assert answer.code == NO
    assert len(answer.reason) < 250


def test_headers_come_from_the_keys_of_a_secret(tmp_path):
    # As the kubelet mounts it.
    data = tmp_path / "..2026"
    data.mkdir()
    (data / "Authorization").write_text("Bearer abc\n")
    (data / "X-Team").write_text("a")
    (tmp_path / "..data").symlink_to("..2026")
    for key in ("Authorization", "X-Team"):
        (tmp_path / key).symlink_to(f"..data/{key}")
    assert webhook.read_headers(tmp_path) == {"Authorization": "Bearer abc", "X-Team": "a"}


@pytest.mark.parametrize(
    "value", ["", "a\r\nX-Other: b", "caf\u00e9", "a\x00", "x" * 9000, "\ttab"], ids=repr
)
def test_a_value_that_is_no_header_is_not_told(tmp_path, value):
    (tmp_path / "Authorization").write_text(value)
    with pytest.raises(
        InputError, match=r"key Authorization of webhook\.headersSecret is no header"
    ) as error:
        webhook.read_headers(tmp_path)
    assert not value or value[:40] not in str(error.value)


def program(url, tmp_path, **headers):
    folder = tmp_path / "headers"
    folder.mkdir()
    for name, value in headers.items():
        (folder / name.replace("_", "-")).write_text(value)
    environment = {URL: url, BODY: BODY_SENT, SECONDS: "1", "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-I", "-m", "mooring_components.webhook", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("status", "code"), [(200, YES), (403, NO), (500, INSUFFICIENT)])
def test_the_program_ends_with_what_it_found(tmp_path, status, code):
    with hook((status, b"because")) as (url, asked):
        ended = program(url, tmp_path, Authorization="Bearer abc", Content_Type="text/plain")
    assert ended.returncode == code
    assert ended.stdout.strip().endswith(f"it answered {status}: because")
    assert ended.stderr == ""
    sent = {name.lower(): value for name, value in asked[0][1].items()}
    assert sent["authorization"] == "Bearer abc"
    assert sent["content-type"] == "application/json"
    assert sent["user-agent"] == "mooring-webhook"


def test_the_program_says_which_key_is_no_header(tmp_path):
    with hook((200, b"")) as (url, asked):
        ended = program(url, tmp_path, X_Bad="a\nb")
    assert ended.returncode == INSUFFICIENT
    assert "key X-Bad" in ended.stdout
    assert asked == []


def test_its_reason_is_left_where_the_kubelet_reads_it(tmp_path):
    says = tmp_path / "termination-log"
    with hook((403, b"no")) as (url, _):
        code = webhook.run({URL: url, BODY: "{}", SECONDS: "1"}, tmp_path / "none", says)
    assert (code, says.read_text()) == (NO, "it answered 403: no")
