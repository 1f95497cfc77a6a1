"""What a real Prometheus gives for queries of templates, and how it reads what arguments are put into."""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest
import yaml
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.api.analysis import Analysis
from mooring_operator.api.analysis_template import AnalysisTemplateSpec
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.measuring import limits_of, number_of, rates_of
from mooring_operator.planning.analysis.promql import filled
from mooring_operator.planning.analysis.queries import AnswerUnusableError
from mooring_operator.planning.analysis.templates import Found, resolve
from mooring_operator.reconcile.counters import Counters

import cluster.prometheus
from tests.operator.test_metrics_prometheus import Pod, Pods, exporter

ROOT = Path(__file__).parents[2]
CODES = "mooring_inference_requests_total"
EVERY = timedelta(seconds=1)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pods = Pods({"a": Pod("c0ffee0001"), "b": Pod("beef000002")})
    for pod in pods.pods.values():
        pod.serve(90, 10)
    with exporter(pods) as port:
        jobs = [{"job_name": "ours", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}]
        often = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
        configuration = {"global": often, "scrape_configs": jobs}
        with cluster.prometheus.Prometheus(configuration, tmp_path_factory.mktemp("prometheus")) as server:
            deadline = time.monotonic() + 60
            while not _asked(server.url, "query", CODES)["data"]["result"]:
                assert time.monotonic() < deadline, "nothing was scraped"
                time.sleep(0.05)
            yield server.url


def _asked(url, what, query):
    # At a whole second, as measurements are.
    return httpx.get(f"{url}/api/v1/{what}", params={"query": query, "time": int(time.time())}).json()


GIVES = {
    f'sum({CODES}{{code=~"5.."}}) / sum({CODES})': 0.1,
    "scalar(vector(3))": 3.0,
    f'sum({CODES}{{namespace="elsewhere"}})': "it gives no series",
    f'sum({CODES}{{namespace="elsewhere"}}) or vector(0)': 0.0,
    f"sum by (revision) ({CODES})": "it gives 2 series",
    "0 / vector(0)": "it gives nan",
    "1 / vector(0)": "it gives inf",
}


@pytest.mark.parametrize("query", GIVES)
async def test_what_a_query_gives(address, query):
    metrics = Prometheus(Access(address))
    now = datetime.now(UTC).replace(microsecond=0)
    found = await metrics.values(query, now, now, EVERY)
    await metrics.close()
    number = number_of(found.get(now.timestamp(), ()))
    wanted = GIVES[query]
    assert number.startswith(wanted) if isinstance(wanted, str) else number == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('"text"', 'invalid expression type "string"'),
        ("up[5m]", 'invalid expression type "range vector"'),
        ("sum(", "unclosed left parenthesis"),
        ("no_such_function(up)", "unknown function"),
    ],
)
async def test_what_prometheus_refuses_is_quoted(address, query, said):
    metrics = Prometheus(Access(address))
    now = datetime.now(UTC)
    with pytest.raises(AnswerUnusableError, match="Prometheus refused the query: ") as refused:
        await metrics.values(query, now, now, EVERY)
    await metrics.close()
    assert said in str(refused.value)


@pytest.mark.parametrize("value", ["a.b", "-1.5", "a:b/c.d", "...", "--", "x_y"])
@pytest.mark.parametrize("quote", ['"', "'", "`"])
@pytest.mark.parametrize("matcher", ["=", "!=", "=~", "!~"])
def test_prometheus_reads_an_argument_as_the_value_of_its_label_alone(address, value, quote, matcher):
    query = f"up{{route{matcher}{quote}{{{{arguments.route}}}}{quote},namespace={quote}ml{quote}}}"
    made = filled(query, {"arguments.route": value})
    read = _asked(address, "parse_query", made)
    assert read["status"] == "success"
    matchers = {one["name"]: (one["type"], one["value"]) for one in read["data"]["matchers"]}
    wanted = value.replace(".", "[.]") if matcher.endswith("~") else value
    assert matchers == {
        "__name__": ("=", "up"),
        "route": (matcher, wanted),
        "namespace": ("=", "ml"),
    }


# --- accuracy by labels that come late: docs/samples/templates/accuracy.yaml ---------------------


@dataclass
class Labels:
    """What a job shows that joins labels to predictions, by revision: right answers and wrong ones."""

    known: dict[str, tuple[int, int]] = field(default_factory=dict)
    answers: bool = True

    def page(self) -> str:
        lines = [
            f'labelled_total{{namespace="ml",model="iris",revision="{revision}",correct="{correct}"}} {count}'
            for revision, counts in self.known.items()
            for correct, count in zip(("true", "false"), counts, strict=True)
        ]
        # Of another tenant and of another model, with the same names.
        for others in ('namespace="other",model="iris"', 'namespace="ml",model="others"'):
            for correct, count in (("true", 5000), ("false", 9000)):
                lines.append(f'labelled_total{{{others},revision="{CANDIDATE}",correct="{correct}"}} {count}')
        return "\n".join(lines) + "\n"


CANDIDATE, STABLE = "c0ffee0001", "beef000002"
BATCHES = 8
LABELLED = {"worse": ((40, 60), "FAIL"), "as good": ((90, 10), "INSUFFICIENT")}
"""Right and wrong answers of the candidate in each batch of labels; the stable revision has 360 and 40."""


@pytest.mark.parametrize("case", LABELLED)
async def test_the_sample_of_accuracy_judges_by_labels(tmp_path, case):
    (right, wrong), verdict = LABELLED[case]
    sample = yaml.safe_load((ROOT / "docs" / "samples" / "templates" / "accuracy.yaml").read_text())
    found = {("AnalysisTemplate", "accuracy"): Found(AnalysisTemplateSpec.model_validate(sample["spec"]))}
    named = Analysis.model_validate({"templates": [{"name": "accuracy"}]})
    analysis, standards = resolve(named, found, "ml")
    assert not standards.problem
    labels = Labels()
    with exporter(labels) as port:
        jobs = [
            {
                "job_name": "labels",
                # Here the page is of several namespaces: in a cluster the pod says which.
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            }
        ]
        often = {"scrape_interval": "200ms", "scrape_timeout": "200ms"}
        with cluster.prometheus.Prometheus({"global": often, "scrape_configs": jobs}, tmp_path) as server:
            began = datetime.now(UTC).replace(microsecond=0)
            for batch in range(1, BATCHES + 1):
                labels.known = {
                    CANDIDATE: (right * batch, wrong * batch),
                    STABLE: (360 * batch, 40 * batch),
                }
                await _until_scraped(server.url, 500 * batch)
            evidence = await _judged(server.url, analysis, began)
    seen = evidence.metrics["wrong-answers"].comparison
    if verdict != "FAIL":  # which ends before the last look
        assert (seen.candidate, seen.candidate_of) == (wrong * BATCHES, 100 * BATCHES)
        assert (seen.stable, seen.stable_of) == (40 * BATCHES, 400 * BATCHES)
    assert evidence.judge(analysis.risk).verdict == verdict


async def _judged(url, analysis, began):
    """Take the looks of the whole time, as the operator does."""
    looks = int((datetime.now(UTC) - began).total_seconds()) + 1
    limits = limits_of(analysis)
    names = tuple(limit.metric for limit in limits)
    request = Request(
        namespace="ml",
        name="iris",
        candidate=CANDIDATE,
        stable=STABLE,
        metrics=names,
        begins=names,
        since=began,
        every=EVERY,
        until=began + looks * EVERY,
        rates=rates_of(analysis),
    )
    metrics = Prometheus(Access(url))
    try:
        answer = await Counters(metrics, patience=60).answer(("ml", "iris"), request)
    finally:
        await metrics.close()
    assert not answer.unavailable
    return Evidence(limits).after(answer, analysis.risk)


async def _until_scraped(url, total):
    """Until all labels are there, and have been for a look."""
    deadline = time.monotonic() + 60
    query = {"query": 'sum(labelled_total{namespace="ml",model="iris"} offset 1s)'}
    while True:
        result = httpx.get(f"{url}/api/v1/query", params=query).json()["data"]["result"]
        if result and float(result[0]["value"][1]) == total:
            return
        assert time.monotonic() < deadline, "nothing was scraped"
        await asyncio.sleep(0.1)
