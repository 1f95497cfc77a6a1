"""A stand-in for S3 as far as signed URLs go: it checks signatures, conditions and time as S3 does.

Source: AWS Signature Version 4, "Authenticating Requests: Using Query Parameters", and S3's conditional writes.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, urlsplit

KEY_ID, SECRET, REGION = "test", "secret-key", "us-east-1"
_FORM = "%Y%m%dT%H%M%SZ"


def _encoded(text):
    return quote(text, safe="-_.~")


def _signature(method, path, query, headers):
    """The signature of a request by its query (without the signature) and its signed headers."""
    fields = "&".join(f"{_encoded(name)}={_encoded(query[name])}" for name in sorted(query))
    signed = query["X-Amz-SignedHeaders"]
    lines = [f"{name}:{headers[name]}" for name in signed.split(";")]
    request = "\n".join([method, path, fields, *lines, "", signed, "UNSIGNED-PAYLOAD"])
    scope = query["X-Amz-Credential"].split("/")[1:]
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], "/".join(scope), digest])
    key = f"AWS4{SECRET}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


class SignedStore:
    """Objects by path, behind a server of this process.

    Attributes:
        objects: {path: content}.
        script: what happens to the next PUTs: a status with its code, or one of
            "lost" (stored, but the connection is closed before the answer), "stall" (no answer until the test ends).
        is_readable: whether a URL that is signed for PUT may be read, as Azure's can be.
        requests: (method, status) of all answers.
        headers: of the last PUT.
    """

    def __init__(self, port):
        self.port = port
        self.objects = {}
        self.script = []
        self.is_readable = False
        self.requests = []
        self.headers = {}
        self.released = threading.Event()

    def sign(self, path, *, once=False, expires=3600, now=None):
        """A URL to PUT to."""
        host = f"127.0.0.1:{self.port}"
        covered = {"host": host, **({"if-none-match": "*"} if once else {})}
        now = now or datetime.now(UTC)
        query = {
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{KEY_ID}/{now:%Y%m%d}/{REGION}/s3/aws4_request",
            "X-Amz-Date": now.strftime(_FORM),
            "X-Amz-Expires": str(expires),
            "X-Amz-SignedHeaders": ";".join(sorted(covered)),
        }
        fields = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in query.items())
        return f"http://{host}{path}?{fields}&X-Amz-Signature={_signature('PUT', path, query, covered)}"

    def refusal(self, method, target, headers):
        """Why S3 would refuse a request: (status, code); None if it would not."""
        if self.is_readable and method == "GET":
            return None
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        given = query.pop("X-Amz-Signature", None)
        if given is None:
            return 403, "AccessDenied"
        lowered = {name.lower(): value for name, value in headers.items()}
        try:
            wanted = _signature(method, parts.path, query, lowered)
        except KeyError:
            return 403, "SignatureDoesNotMatch"
        if not hmac.compare_digest(given, wanted):
            return 403, "SignatureDoesNotMatch"
        signed_at = datetime.strptime(query["X-Amz-Date"], _FORM).replace(tzinfo=UTC)
        if datetime.now(UTC) > signed_at + timedelta(seconds=int(query["X-Amz-Expires"])):
            return 403, "AccessDenied"
        return None


@contextmanager
def signed_store():
    """Serve a `SignedStore` until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self):
            content = self.rfile.read(int(self.headers["content-length"]))
            store.headers = dict(self.headers)
            scripted = store.script.pop(0) if store.script else None
            if scripted == "stall":
                store.released.wait()
                self.close_connection = True
                return
            if isinstance(scripted, tuple):
                self._answer(*scripted)
                return
            path = urlsplit(self.path).path
            refusal = store.refusal("PUT", self.path, self.headers)
            if refusal is None and self.headers.get("if-none-match") == "*" and path in store.objects:
                refusal = 412, "PreconditionFailed"
            if refusal is not None:
                self._answer(*refusal)
                return
            store.objects[path] = content
            if scripted == "lost":
                store.requests.append(("PUT", "lost"))
                self.close_connection = True
                return
            self._answer(200)

        def do_GET(self):
            refusal = store.refusal("GET", self.path, self.headers)
            content = store.objects.get(urlsplit(self.path).path)
            if refusal is None and content is None:
                refusal = 404, "NoSuchKey"
            self._answer(*(refusal or (200, "", content)))

        def _answer(self, status, code="", content=b""):
            if code:
                content = (
                    f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message></Error>'.encode()
                )
            store.requests.append((self.command, status))
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            if status in (301, 307):
                self.send_header("location", f"http://127.0.0.1:{store.port}/elsewhere")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    store = SignedStore(server.server_port)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield store
    finally:
        store.released.set()
        server.shutdown()
        server.server_close()
