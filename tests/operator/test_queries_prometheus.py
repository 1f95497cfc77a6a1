"""What a real Prometheus gives for queries of templates, and how it reads what arguments are put into."""

import time
from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.planning.analysis.measuring import number_of
from mooring_operator.planning.analysis.promql import filled
from mooring_operator.planning.analysis.queries import AnswerUnusableError

import cluster.prometheus
from tests.operator.test_metrics_prometheus import Pod, Pods, exporter

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
