"""What stands between a client and a real S3 server, and has it fail as tests want."""

import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

CUT = -1
"""Instead of a status: the answer ends in its middle."""


class Between:
    """Stands between a client and the S3 server.

    Attributes:
        meddle: is given a request's path, and may hold it up, answer for the server with a status, or, with CUT, have
            the answer end in its middle.
        asked: the paths of rows that were asked for.
        most: how many of them at once.
    """

    def __init__(self, endpoint):
        self.meddle = lambda path: None
        self.asked, self.most, self._now, self._lock = [], 0, 0, threading.Lock()
        there = urlsplit(endpoint).netloc
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with between.counting(self.path):
                    self.take()

            def do_HEAD(self):
                self.take()

            def do_PUT(self):
                self.take(self.rfile.read(int(self.headers["content-length"])))

            def take(self, content=None):
                status = between.meddle(self.path)
                if status in (None, CUT):
                    self.forward(content, cut=status == CUT)
                else:
                    self.answer(status, {}, b"")

            def forward(self, content, *, cut):
                connection = HTTPConnection(there, timeout=30)
                # The signature is of the host that the client asked.
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    connection.putheader(name, value)
                connection.endheaders(content)
                answer = connection.getresponse()
                self.answer(answer.status, dict(answer.getheaders()), answer.read(), cut=cut)
                connection.close()

            def answer(self, status, headers, body, *, cut=False):
                self.send_response_only(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = headers.get("Content-Length", len(body)) if self.command == "HEAD" else len(body)
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if cut else body)
                self.close_connection = cut

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def counting(self, path):
        if not path.partition("?")[0].endswith(".parquet"):
            yield
            return
        with self._lock:
            self.asked.append(path)
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            yield
        finally:
            with self._lock:
                self._now -= 1

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
