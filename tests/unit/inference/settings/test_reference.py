"""The page of metrics, headers and errors says what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import mooring_inference
from mooring_inference.errors import STATUSES
from mooring_inference.grpc_front.refusals import CODES
from mooring_inference.observability.metrics import ServingMetrics
from mooring_inference.rest.headers import HEADERS
from mooring_inference.settings import page, reference

from tests.unit.inference.inference_process import BODY, running, save_negation

PACKAGE = Path(mooring_inference.__file__).parent
ROOT = Path(__file__).parents[4]
SOURCES = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
_READ = re.compile(r"headers(?:\.get\(|\[|\.pop\()\s*b?\"([a-z-]+)\"")
_NAMED = re.compile(
    r"_HEADER\b[^=\n]*= b?\"([a-z-]+)\"|HEADER_LENGTH = b\"([a-z-]+)\"|b\"(x-[a-z-]+)\"|_header = \(b\"([a-z-]+)\""
)
# Of HTTP itself, whose meaning is no other here.
_PLAIN = {"content-type", "connection", "transfer-encoding", "date", "server", "keep-alive", "upgrade"}


def headers_of(source):
    found = [match for pattern in (_READ, _NAMED) for match in pattern.finditer(source)]
    return {name for match in found for name in match.groups() if name}


def statuses_of(source):
    """Numbers that are given as ``status=`` somewhere."""
    return {
        number.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "status"
        for number in ast.walk(keyword.value)
        if isinstance(number, ast.Constant) and isinstance(number.value, int)
    }


def test_the_page_is_what_the_code_says():
    assert (ROOT / "docs" / "serving-reference.md").read_text() == reference.render()
    assert (ROOT / "docs" / "serving-settings.md").read_text() == page.render()


def test_every_header_of_the_code_has_a_meaning():
    told = {header.name for header in HEADERS}
    found = set().union(
        *(headers_of(source) for path, source in SOURCES.items() if path.name != "headers.py")
    )
    assert found - _PLAIN <= told
    text = "".join(source for path, source in SOURCES.items() if path.name != "headers.py")
    assert [name for name in told if f'"{name}"' not in text] == []


def test_every_status_of_the_code_has_a_meaning():
    used = set().union(*(statuses_of(source) for source in SOURCES.values()))
    assert {status for status in used if status >= 400} <= STATUSES.keys()
    # 400 is what a refusal is unless it says otherwise, and 499 has a name.
    assert STATUSES.keys() - used <= {400, 499}
    assert CODES.keys() <= STATUSES.keys()


async def test_a_server_shows_no_metric_that_the_page_lacks(tmp_path):
    told = set(re.findall(r"\| `((?:mooring|process)_\w+)`", reference.render()))
    async with running(save_negation(tmp_path / "m"), f"--capture_uri={tmp_path}/c") as server:
        assert (await server.client.post("/v2/models/m/infer", json=BODY)).status_code == 200
        shown = set(re.findall(r"^# TYPE (\w+)", (await server.client.get("/metrics")).text, re.MULTILINE))
    own = {name for name in shown if name.startswith("mooring_")}
    assert len(own) > 15
    assert own <= told
    assert {metric.name for metric in ServingMetrics().collect()} <= {
        re.sub("_total$", "", name) for name in told
    }
