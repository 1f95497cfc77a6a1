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
from mooring_operator.planning.analysis.measuring import number_of
from mooring_operator.planning.analysis.promql import filled
from mooring_operator.planning.analysis.queries import AnswerUnusableError

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
            f'labelled_total{{namespace="ml",revision="{revision}",correct="{correct}"}} {count}'
            for revision, counts in self.known.items()
            for correct, count in zip(("true", "false"), counts, strict=True)
        ]
        # Of another tenant, with the same names.
        lines += ['labelled_total{namespace="other",revision="c0ffee0001",correct="false"} 5000']
        return "\n".join(lines) + "\n"


LABELLED = {
    "none yet": ({"beef000002": (900, 100)}, "it gives no series"),
    "too few": ({"beef000002": (900, 100), "c0ffee0001": (100, 99)}, "it gives no series"),
    "as good": ({"beef000002": (900, 100), "c0ffee0001": (180, 20)}, 0.0),
    "worse": ({"beef000002": (900, 100), "c0ffee0001": (300, 100)}, -0.15),
}


async def test_the_sample_of_accuracy_gives_what_it_says(tmp_path):
    sample = yaml.safe_load((ROOT / "docs" / "samples" / "templates" / "accuracy.yaml").read_text())
    query = filled(
        sample["spec"]["queries"][0]["query"],
        {"namespace": "ml", "name": "iris", "candidate": "c0ffee0001", "stable": "beef000002"},
    )
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
            for known, wanted in LABELLED.values():
                labels.known = known
                total = sum(map(sum, known.values()))
                await _until_scraped(server.url, total)
                metrics = Prometheus(Access(server.url))
                now = datetime.now(UTC)
                found = await metrics.values(query, now, now, EVERY)
                await metrics.close()
                [*numbers] = found.values()
                number = number_of(numbers[0] if numbers else ())
                if isinstance(wanted, str):
                    assert wanted in str(number)
                else:
                    assert number == pytest.approx(wanted)


async def _until_scraped(url, total):
    deadline = time.monotonic() + 60
    while True:
        query = {"query": 'sum(labelled_total{namespace="ml"})'}
        result = httpx.get(f"{url}/api/v1/query", params=query).json()["data"]["result"]
        if result and float(result[0]["value"][1]) == total:
            return
        assert time.monotonic() < deadline, "nothing was scraped"
        await asyncio.sleep(0.1)
