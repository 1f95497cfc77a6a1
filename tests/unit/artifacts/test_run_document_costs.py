"""What a document of a run costs to read, whoever wrote it: it is read where every tenant's resources are."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import (
    LARGEST_REPORT,
    LARGEST_VERDICT,
    MOST_FEATURES,
    parse_drift_report,
    parse_verdict,
)

DIGEST = "sha256:" + "a" * 64
FEATURE = {
    "name": "age",
    "slice": "",
    "kind": "number",
    "rows": 9,
    "drifted": False,
    "ks": {"statistic": 0.5, "pValue": 0.001},
    "psi": {"statistic": 0.5, "pValue": 0.001},
    "missing": 0.1,
    "variation": {"statistic": 0.5, "pValue": 0.001},
    "reason": "distance 0.500 (p 0.001), index 0.300, and 10 % are missing",
    "hint": "",
    "eValue": 3.5,
    "test": "KolmogorovSmirnov",
    "missingBefore": 0.05,
    "likelihoodRatio": {"statistic": 0.5, "pValue": 0.001},
    "jensenShannon": 0.12345678901234567,
    "wasserstein": 12345.678901234567,
    "unseen": 0.12345678901234567,
    "outOfRange": 0.12345678901234567,
}
# What is measured is the reading alone: its CPU time, and how much the process grew.
READING = """
import re, sys, time
from pathlib import Path
from mooring_artifacts import run_documents
from mooring_artifacts.errors import InputError
content = sys.stdin.buffer.read()
parse = getattr(run_documents, sys.argv[1])
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
before, began = peak(), time.process_time()
try:
    parse(content)
except InputError as error:
    print(str(error), file=sys.stderr)
print(time.process_time() - began, (peak() - before) / 1024)
"""


def report(features, drifted="[]", **more):
    fields = {"schemaVersion": 1, "runId": "r", "baselineRows": 1, "windowRows": 1, "windowDigest": DIGEST}
    text = json.dumps({**fields, **more})[:-1]
    return f'{text}, "driftedFeatures": {drifted}, "features": {features}}}'.encode()


def verdict(metrics="{}", violations="[]"):
    fields = {"schemaVersion": 1, "runId": "r", "modelUri": "s3://b/m", "modelDigest": DIGEST, "passed": True}
    return f'{json.dumps(fields)[:-1]}, "metrics": {metrics}, "violations": {violations}}}'.encode()


def repeated(item, size, brackets="[]"):
    """A list, or an object, of about `size` bytes; `{}` in the item is its number."""
    count = size // (len(item.replace("{}", "")) + 7)
    items = ",".join(item.replace("{}", str(number)) for number in range(count))
    return f"{brackets[0]}{items}{brackets[1]}"


def hostile(size, values):
    """Documents of `size` bytes, and such of as many values as are let through."""
    deep = "[" * (size // 2)
    number = values // 2
    return {
        "no object": repeated("[]", size).encode(),
        "wrong names": report("[]", drifted=repeated("[]", size)),
        "wrong features": report(repeated("1", size)),
        "unknown fields": report("[]", **{f"f{n}": 1 for n in range(size // 16)}),
        "another document": repeated('"{}":[]', size, "{}").encode(),
        "wrong metrics": verdict(metrics=repeated('"{}":[]', size, "{}")),
        "wrong violations": verdict(violations=repeated("[]", size)),
        "depth": deep.encode(),
        "one number": b"1" * size,
        "one text": b'"' + b"x" * size + b'"',
        "few wrong names": report("[]", drifted="[" + "1," * number + "1]"),
        "few unknown fields": report("[]", **{f"f{n}": 1 for n in range(number)}),
        "few fields of a feature": report("[{" + ",".join(f'"f{n}":1' for n in range(number)) + "}]"),
        "few metrics": verdict(metrics="{" + ",".join(f'"{n}":1' for n in range(number)) + "}"),
        "few violations": verdict(violations="[" + "1," * number + "1]"),
    }


def cost(parse, content):
    """CPU seconds and MiB that reading takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", READING, parse], input=content, capture_output=True, check=True, timeout=120
    )
    seconds, growth = map(float, done.stdout.split())
    return seconds, growth, done.stderr.decode()


@pytest.mark.parametrize("name", hostile(16, 16))
@pytest.mark.parametrize(
    ("parse", "size", "values"),
    [("parse_verdict", LARGEST_VERDICT, 9_000), ("parse_drift_report", LARGEST_REPORT, 110_000)],
)
def test_no_document_takes_long_or_much_memory(parse, size, values, name):
    seconds, growth, said = cost(parse, hostile(size - 1024, values)[name])
    assert seconds < 0.25, f"{seconds} s: {said:.200}"
    assert growth < 64, f"{growth} MiB: {said:.200}"
    assert 0 < len(said) < 600
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("parse", "most"), [(parse_verdict, LARGEST_VERDICT), (parse_drift_report, LARGEST_REPORT)]
)
def test_a_document_that_is_too_large_is_refused_unread(parse, most):
    with pytest.raises(InputError, match=f"it has {most + 1} bytes; {most} are allowed"):
        parse(b" " * (most + 1))


def test_the_largest_report_is_read():
    feature = {**FEATURE, "name": "n, " * 3 + "x" * 91}
    found = parse_drift_report(report(json.dumps([feature] * MOST_FEATURES)))
    assert len(found.features) == MOST_FEATURES
    with pytest.raises(InputError, match="features"):
        parse_drift_report(report(json.dumps([FEATURE] * (MOST_FEATURES + 1))))


def test_the_largest_verdict_is_read():
    metrics = {f"m{'abcdefghij'[n // 10]}{'abcdefghij'[n % 10]}": 0.5 for n in range(48)}
    violation = {"metric": "m", "value": None, "min": 1, "max": None, "message": "a, " * 30}
    content = json.loads(verdict())
    content |= {"metrics": metrics, "violations": [violation] * 100, "passed": False}
    assert len(parse_verdict(json.dumps(content).encode()).violations) == 100


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_else_is_refused_in_one_line(value):
    for parse in (parse_verdict, parse_drift_report):
        with pytest.raises(InputError) as raised:
            parse(json.dumps(value).encode())
        assert len(str(raised.value)) < 600
