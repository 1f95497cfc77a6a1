"""A server of S3's PUT, GET and DELETE of objects, which tests can take down."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote


class ObjectStore:
    """Objects by key, behind one bucket.

    Attributes:
        objects: {key: content}.
        refuses: whether every request is answered with 503.
        refused: how many were.
    """

    def __init__(self):
        self.objects = {}
        self.refuses = False
        self.refused = 0
        self._changed = threading.Condition()

    def put(self, key, content):
        with self._changed:
            self.objects[key] = content
            self._changed.notify_all()

    def refuse(self):
        with self._changed:
            self.refused += 1
            self._changed.notify_all()

    def wait_for(self, condition, seconds=60.0):
        """Wait until ``condition()`` is true; looked at whenever something has happened."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds)


@contextmanager
def object_store(monkeypatch):
    """An object store; bucket ``b`` is ``s3://b/`` to this process."""
    store = ObjectStore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            content = self.rfile.read(int(self.headers["content-length"]))
            if store.refuses:
                self._answer(503)
                store.refuse()
            else:
                store.put(unquote(self.path).removeprefix("/b/"), content)
                self._answer(200)

        def _answer(self, status):
            self.send_response(status)
            self.send_header("content-length", "0")
            self.send_header("etag", '"1"')
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    for name, value in s3_environment(server.server_port).items():
        monkeypatch.setenv(name, value)
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


def s3_environment(port):
    """What makes a process find it."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
