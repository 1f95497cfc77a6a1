"""Known vulnerabilities: looked up in a stand-in for OSV and a Go database of files, and not to be had at all."""

import json
import shutil
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from release.__main__ import main
from release.audit import audit
from tests.release.documented import ROOT

NOWHERE = "http://127.0.0.1:9"


class Osv(BaseHTTPRequestHandler):
    """Knows one vulnerability, of every version of PyYAML."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = asked["package"]
        ranges = [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}]
        affected = [{"package": package, "ranges": ranges, "versions": [asked["version"]]}]
        known = {"id": "PYSEC-2026-1", "summary": "reads too much", "modified": "2026-01-01T00:00:00Z"}
        answer = {"vulns": [{**known, "affected": affected}] if package["name"] == "pyyaml" else []}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def osv():
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join()


@pytest.fixture
def checkout(tmp_path):
    """A checkout that pins two packages and a small Go program."""
    folder = tmp_path / "checkout"
    (folder / "requirements").mkdir(parents=True)
    pins = (ROOT / "requirements" / "cli.txt").read_text()
    for role, names in (("one", ("pyyaml", "typer")), ("two", ("pyyaml",))):
        kept = [block for name in names for block in _blocks(pins, name)]
        (folder / "requirements" / f"{role}.txt").write_text("".join(kept))
    shutil.copytree(ROOT / "cluster" / "go" / "etcd", folder / "cluster" / "go" / "etcd")
    return folder


def _blocks(pins, name):
    lines = pins.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{name}=="))
    end = next(i for i in range(start + 1, len(lines) + 1) if i == len(lines) or not lines[i].startswith(" "))
    return lines[start:end]


@pytest.fixture
def go_database(tmp_path):
    """Knows one vulnerability, of a logger that etcd uses."""
    if shutil.which("go") is None:
        pytest.skip("go is not on PATH")
    found = {"id": "GO-2026-0001", "modified": "2026-11-01T00:00:00Z"}
    module = "go.uber.org/zap"
    affected = {
        "package": {"name": module, "ecosystem": "Go"},
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "99.0.0"}]}],
        "ecosystem_specific": {"imports": [{"path": module}]},
    }
    files = {
        "index/db.json": {"modified": "2026-11-01T00:00:00Z"},
        "index/modules.json": [{"path": module, "vulns": [{**found, "fixed": "99.0.0"}]}],
        "index/vulns.json": [found],
        "ID/GO-2026-0001.json": {
            **found,
            "schema_version": "1.3.1",
            "summary": "logs",
            "affected": [affected],
        },
    }
    for name, content in files.items():
        path = tmp_path / "database" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return (tmp_path / "database").as_uri()


def test_what_is_known_is_reported_with_the_files_that_pin_it(checkout, osv, go_database, tmp_path):
    python, go = audit(checkout, tmp_path / "out", osv=osv, go_database=go_database, time_limit=240)
    assert python.unknown == ""
    assert [(f.package, f.vulnerability, f.fixed, f.where) for f in python.findings] == [
        ("pyyaml", "PYSEC-2026-1", "99", ("one", "two"))
    ]
    assert python.looked_at == 2
    if "dial tcp" in go.unknown or "proxy" in go.unknown:
        pytest.skip(f"Go modules cannot be had: {go.unknown}")
    assert go.unknown == ""
    assert [(f.package, f.vulnerability, f.fixed, f.where) for f in go.findings] == [
        ("go.uber.org/zap", "GO-2026-0001", "v99.0.0", ("cluster/go/etcd",))
    ]
    assert go.looked_at > 20
    kept = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [report["kind"] for report in kept] == ["Python", "Go"]
    table = (tmp_path / "out" / "report.md").read_text()
    assert f"| pyyaml | {python.findings[0].version} | PYSEC-2026-1 | 99 | one, two |" in table
    assert "| go.uber.org/zap | v1." in table


def test_databases_that_cannot_be_reached_are_no_failure(checkout, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("release.__main__._CHECKOUT", checkout)
    out = tmp_path / "out"
    assert main(["audit", "--out", str(out), "--osv-url", NOWHERE, "--go-database", NOWHERE]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert said[0] == f"Python: no report: {NOWHERE} cannot be reached: Connection refused"
    assert said[1] == f"Go: no report: {NOWHERE} cannot be reached, or it is no database of Go's"
    assert "Python: no report" in (out / "report.md").read_text()


@pytest.fixture
def silent():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.settimeout(0)
        yield server


@pytest.mark.parametrize("limit", [0.01, 3])
def test_nothing_takes_longer_than_it_may(checkout, silent, tmp_path, limit):
    began = time.monotonic()
    address = f"http://127.0.0.1:{silent.getsockname()[1]}"
    reports = audit(checkout, tmp_path / "out", osv=address, go_database=address, time_limit=limit)
    assert {report.unknown for report in reports} <= {f"it took more than {limit:g} s", "go is not on PATH"}
    # Each of the two has its time, and some for the machine.
    assert time.monotonic() - began < 2 * limit + 20
    # Nobody is left who waits for an answer.
    with suppress(BlockingIOError):
        while True:
            connection, _ = silent.accept()
            with connection:
                connection.settimeout(10)
                while connection.recv(65536):
                    pass
