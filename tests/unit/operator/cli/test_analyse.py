"""``mooring analyse``: what it says, and its exit code."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml
from mooring_operator.cli.main import run

CANDIDATE, STABLE = "c0ffee0001", "beef000002"


class Server(ThreadingHTTPServer):
    """Answers as Prometheus does, with two revisions whose requests fail so often."""

    rates = (0.01, 0.01)
    shares = ((0.5, 0.98, 0.995, 1.0), (0.5, 0.98, 0.995, 1.0))
    requests = (20, 80)
    asked: tuple[dict[str, str], ...] = ()
    tokens: tuple[str, ...] = ()

    ones = (0.3, 0.3)
    """How often each revision predicts class 1; nothing is where predictions are not counted."""

    memory: tuple[str, ...] = ("3",)
    """What a query of a template gives: a value for each series."""

    def answer(self, form: dict[str, str]) -> dict[str, Any]:
        self.asked = (*self.asked, form)
        if form["query"].startswith("max(memory"):
            start, end = float(form["start"]), float(form["end"])
            step = float(form["step"].removesuffix("s"))
            at = [start + step * number for number in range(int((end - start) / step) + 1)]
            return matrix(
                [{"metric": {"n": str(n)}, "values": [[a, v] for a in at]} for n, v in enumerate(self.memory)]
            )
        rng = random.Random(form["start"])
        step = int(form["step"].removesuffix("s"))
        times = range(int(float(form["start"])), int(float(form["end"])), step)
        if "_bucket" in form["query"]:
            return matrix(self.buckets(times))
        if "predictions" in form["query"]:
            return matrix(self.predictions(times))
        result = []
        for revision, rate, requests in zip((CANDIDATE, STABLE), self.rates, self.requests, strict=True):
            failed = [[at, str(sum(rng.random() < rate for _ in range(requests)))] for at in times]
            whole = [[at, str(requests)] for at in times]
            if requests:
                values = failed if "5.." in form["query"] else whole
                result.append({"metric": {"revision": revision}, "values": values})
        return matrix(result)

    def predictions(self, times: range) -> list[dict[str, Any]]:
        return [
            {
                "metric": {"revision": revision, "prediction": cell},
                "values": [[at, str(round(of * share))] for at in times],
            }
            for revision, ones, of in zip((CANDIDATE, STABLE), self.ones, self.requests, strict=False)
            for cell, share in (("0", 1 - ones), ("1", ones))
        ]

    def buckets(self, times: range) -> list[dict[str, Any]]:
        return [
            {"metric": {"revision": revision, "le": le}, "values": [[at, str(share * 1000)] for at in times]}
            for revision, shares in zip((CANDIDATE, STABLE), self.shares, strict=True)
            for le, share in zip(("0.05", "0.1", "0.25", "0.5", "+Inf"), (*shares, 1.0), strict=True)
        ]


def matrix(result: list[dict[str, Any]]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.tokens = (*self.server.tokens, self.headers.get("Authorization", ""))
        answer = self.server.answer({key: values[0] for key, values in parse_qs(body).items()})
        sent = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def analyse(server: Server, *more: str) -> int:
    address = f"http://127.0.0.1:{server.server_port}"
    arms = ("--candidate", CANDIDATE, "--stable", STABLE)
    return run(["analyse", "iris", "--prometheus", address, *arms, *more])


def test_a_bad_candidate_fails_and_the_numbers_are_said(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.rates = (0.4, 0.01)
    assert analyse(server) == 1
    out = capsys.readouterr().out
    assert out.startswith("FAIL  errorRate: candidate ")
    assert "limit 1.2 x stable + 0.2 points, exceeded by " in out
    assert f"candidate  {CANDIDATE}" in out
    assert "excess     at least " in out


def test_a_good_one_passes_with_traffic_enough(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.rates, server.requests = (0.001, 0.02), (200, 800)
    assert analyse(server, "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "PASS"
    assert document["evidenceForPass"] >= 20
    assert document["limit"] == {"ratio": 1.2, "points": 0.2}


def test_little_traffic_is_insufficient(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.requests = (1, 4)
    assert analyse(server, "--window", "2m") == 2
    assert capsys.readouterr().out.startswith("INSUFFICIENT  errorRate: ")


def test_revisions_that_counted_nothing_are_said_with_the_query(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.requests = (0, 0)
    assert analyse(server) == 2
    error = capsys.readouterr().err
    assert (
        f"Prometheus has no mooring_inference_requests_total of revisions {CANDIDATE} and {STABLE}" in error
    )
    assert "hint: it was asked: sum by (revision)" in error


def test_series_are_those_of_the_deployment(server: Server, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    analyse(server, "-n", 'm"l', "--token-file", str(token))
    assert 'namespace="m\\"l",model="iris"' in server.asked[0]["query"]
    assert server.tokens[0] == "Bearer s3cret"
    server.asked = ()
    analyse(server, "--selector", 'job="x"')
    assert ',job="x"' in server.asked[0]["query"]
    assert "model=" not in server.asked[0]["query"]


def test_a_slower_candidate_fails_by_the_bounds_that_are_said(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.shares = ((0.4, 0.9, 0.95, 1.0), (0.5, 0.98, 0.995, 1.0))
    assert analyse(server, "--metric", "latency", "--slower", "20") == 1
    out = capsys.readouterr().out
    said = " ".join(out.split())
    assert said.startswith(
        "FAIL latency: candidate 5.00% above 250 ms (150 of 3000), stable 0.50% above 250 ms (15 of 3000), limit "
    )
    assert "slow       candidate: more than 250 ms, stable: more than 250 ms" in out


def test_an_equally_fast_one_does_not(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert analyse(server, "--metric", "latency", "-o", "json") in (0, 2)
    document = json.loads(capsys.readouterr().out)
    assert document["evidenceForFail"] < 1.1
    assert document["bounds"]["bound"] == 0.25


def test_latency_beyond_the_buckets_is_said(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.shares = ((0.1, 0.2, 0.3, 0.4),) * 2
    assert analyse(server, "--metric", "latency") == 2
    assert "the stable revision's p99 is above the last bucket, 0.5 s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--metric", "errors"], "--metric errors: known are errorRate, rejectedRate, latency"),
        (["--quantile", "100"], "--quantile 100: want percent, above 0 and below 100"),
        (["--slower", "-5"], "--slower -5: want percent, above 0 and up to 1000"),
        (["--ratio", "-1"], "ratio must be a finite number of 0 or more, got -1"),
        (["--ratio", "0", "--points", "0"], "no candidate could be within that limit"),
        (["--points", "100"], "points must be a share from 0 to below 1"),
        (["--window", "5 apples"], "--window 5 apples: "),
        (["--window", "1s"], "--window 1s: want one to 10000 looks of 10 s"),
        (["--false-rollback", "0"], "--false-rollback 0: want percent, above 0 and below 50"),
        (["--candidate", 'x"} or vector(1)'], "a revision is hexadecimal"),
        (["--candidate", STABLE], f"--candidate and --stable are both {STABLE}"),
        (["--prometheus", "ftp://x"], "--prometheus 'ftp://x': want an address with http:// or https://"),
        (["--prometheus", "http://[::1"], "--prometheus 'http://[::1': want an address with http://"),
        (
            ["--prometheus", "http://u:secret@h:none"],
            "want an address with http:// or https://, a host, and a",
        ),
        (["--prometheus", "http://h:99999"], "and a port from 1 to 65535 where there is one"),
        (["--prometheus", "http://127.0.0.1:1"], "Prometheus at 'http://127.0.0.1:1' does not answer"),
        (["--token-file", "/dev/null/token"], "--token-file /dev/null/token: "),
    ],
)
def test_what_cannot_be_used_is_named(
    server: Server, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert analyse(server, *options) == 2
    captured = capsys.readouterr()
    assert said in " ".join(captured.err.split())
    assert "Traceback" not in captured.err
    assert captured.out == ""


WHOLE = """
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata: {name: iris, namespace: ml}
spec:
  model: {uri: "s3://models/iris", format: onnx}
  rollout:
    analysis:
      metrics: [{metric: latency}]
      templates: [{name: slo, clusterScope: true, arguments: {most: "5"}}]
---
apiVersion: mooring.dev/v1alpha1
kind: ClusterAnalysisTemplate
metadata: {name: slo}
spec:
  arguments: [{name: most}]
  metrics: [{metric: errorRate}]
  queries:
  - {name: memory, query: 'max(memory{namespace="{{namespace}}",revision="{{candidate}}"})', count: 3,
     successCondition: result < double(arguments.most), failureLimit: 2}
"""


def analyse_file(server: Server, file: Path, *more: str) -> int:
    address = f"http://127.0.0.1:{server.server_port}"
    arms = ("--candidate", CANDIDATE, "--stable", STABLE)
    return run(["analyse", str(file), "--prometheus", address, *arms, *more])


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    file = tmp_path / "iris.yaml"
    file.write_text(WHOLE)
    return file


def test_a_file_is_judged_by_all_that_it_says(
    server: Server, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.rates, server.requests = (0.001, 0.02), (200, 800)
    assert analyse_file(server, whole, "-o", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"] == "PASS"
    assert document["source"] == "Mooring"
    assert [one["metric"] for one in document["metrics"]] == ["latency", "errorRate"]
    [memory] = document["queries"]
    assert (memory["verdict"], memory["failed"], memory["last"]) == ("PASS", 0, "3")
    assert any(f'namespace="ml",revision="{CANDIDATE}"' in form["query"] for form in server.asked)
    assert analyse_file(server, whole) == 0
    out = capsys.readouterr().out
    assert out.startswith("PASS  ")
    assert "memory  PASS" in out
    assert "counted by Mooring, " in out
    assert "templates cluster/slo" in out


def test_the_number_that_decided_is_said(
    server: Server, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.memory, server.requests = ("7.5",), (200, 800)
    assert analyse_file(server, whole) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("FAIL memory: 3 of 3 measurements failed (limit 2); the last: 7.5")
    server.memory, server.rates = ("3",), (0.4, 0.01)
    assert analyse_file(server, whole) == 1
    assert capsys.readouterr().out.startswith("FAIL  errorRate: candidate ")


def test_what_only_the_operator_asks_is_named(
    server: Server, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = list(yaml.safe_load_all(whole.read_text()))
    template = next(one for one in documents if one["kind"] == "ClusterAnalysisTemplate")
    hook = {
        "name": "labels",
        "webhook": {"url": "http://labels.ml.svc/x"},
        "successCondition": "result > 0.9",
    }
    template["spec"]["queries"].append(hook)
    whole.write_text(yaml.safe_dump_all(documents))
    assert analyse_file(server, whole) == 2
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "not asked from here, for Prometheus does not have it: labels (webhook); without --prometheus" in out
    )
    assert "memory (query)" not in out


def test_what_is_no_number_is_insufficient_and_said(
    server: Server, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.memory, server.rates, server.requests = ("1", "2"), (0.001, 0.02), (200, 800)
    assert analyse_file(server, whole) == 2
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("INSUFFICIENT memory: 0 of 0 measurements failed")
    assert "it gives 2 series: make one of them, as by sum()" in out


def test_a_file_without_its_template_or_an_analysis_says_so(
    server: Server, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole.write_text(WHOLE.partition("---")[0])
    assert analyse_file(server, whole) == 2
    assert "ClusterAnalysisTemplate slo does not exist; make it" in capsys.readouterr().err
    whole.write_text(WHOLE.partition("  rollout:")[0])
    assert analyse_file(server, whole) == 2
    assert "iris has no spec.rollout.analysis" in capsys.readouterr().err
    whole.write_text(WHOLE.partition("---")[2])
    assert analyse_file(server, whole) == 2
    assert "has 0 ModelDeployments; analyse takes a file with one" in capsys.readouterr().err
    whole.write_text(WHOLE.replace("double(arguments.most)", "most"))
    assert analyse_file(server, whole) == 2
    assert "that tells nothing" in " ".join(capsys.readouterr().out.split())


def test_a_rate_of_a_template_is_judged_as_metrics_are(
    server: Server, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole.write_text(
        WHOLE.partition("  queries:")[0]
        + "  rates:\n  - {name: wrong, total: {counter: labelled_total, labels: {model: '{{name}}'}},"
        " bad: {counter: labelled_total, labels: {class: '5..'}}, ratio: 1, points: 1}\n"
    )
    server.rates, server.requests = (0.1, 0.02), (200, 800)
    assert analyse_file(server, whole, "-o", "json") == 1
    found = json.loads(capsys.readouterr().out)
    judged = {one["metric"]: one for one in found["metrics"]}
    assert judged["wrong"]["limit"] == {"ratio": 1, "points": 1}
    assert judged["wrong"]["candidate"]["requests"] % 200 == 0
    assert judged["wrong"]["evidenceForFail"] > 50


@pytest.mark.parametrize(("ones", "code", "verdict"), [((0.3, 0.3), 0, "PASS"), ((0.5, 0.3), 1, "FAIL")])
def test_predictions_of_two_revisions_are_compared(
    server: Server, capsys: pytest.CaptureFixture[str], ones: tuple[float, float], code: int, verdict: str
) -> None:
    server.ones, server.requests = ones, (100, 400)
    assert analyse(server, "--metric", "predictionDrift", "--points", "10", "-o", "json") == code
    (found,) = json.loads(capsys.readouterr().out)["metrics"]
    assert found["limit"] == {"ratio": 1.0, "points": 10.0}
    assert found["moved"] in ("class 0", "class 1")
    assert analyse(server, "--metric", "predictionDrift", "--points", "10", "--namespace", "ml") == code
    out = capsys.readouterr().out
    assert out.startswith(f"{verdict}  predictionDrift: class ")
    assert "predictionDrift (class" in out
    assert "stable ± 10 points" in out
    asked = [form["query"] for form in server.asked if "predictions" in form["query"]]
    assert 'namespace="ml",model="iris"' in asked[-1]


def test_predictions_that_nobody_counts_are_said(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.ones = ()
    assert analyse(server, "--metric", "predictionDrift") == 2
    assert "Does the runtime of the stable revision count them?" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--ratio", "1"), "--ratio is not of --metric predictionDrift"),
        (("--selector", 'a="b"'), "--selector is not of --metric predictionDrift"),
        (("--points", "0"), "predictionDrift: points above 0, no ratio"),
        (("--points", "100"), "points"),
        (("--false-rollback", "60"), "falseRollback"),
    ],
)
def test_what_says_nothing_about_predictions_is_refused(
    server: Server, capsys: pytest.CaptureFixture[str], more: tuple[str, str], says: str
) -> None:
    assert analyse(server, "--metric", "predictionDrift", *more) == 2
    assert says in " ".join(capsys.readouterr().err.split())
