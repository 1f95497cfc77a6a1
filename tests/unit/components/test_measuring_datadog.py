"""A number of Datadog's, from a server that holds the program to the documented API."""

import json

import httpx2 as httpx
import pytest
from mooring_artifacts.measuring import QUESTION, SECONDS
from mooring_artifacts.webhooks import INSUFFICIENT
from mooring_components.measuring.__main__ import run
from mooring_components.measuring.asking import LARGEST_BYTES, Line, NoNumberError
from mooring_components.measuring.datadog import ask, client_of

from tests.unit.components.monitoring import Monitoring, Reply, Time, serving

KEYS = {"apiKey": "a" * 32, "appKey": "b" * 40}
QUESTION_OF_ONE = {
    "provider": "datadog",
    "site": "datadoghq.eu",
    "queries": {"q": "avg:latency{version:aaaaaaaaaa}"},
    "formula": "q",
    "aggregator": "avg",
    "window": 300.0,
    "secret": "datadog",
}
NOW = 1_800_000_000.0


def columns(*values, **more):
    found = [{"name": "q", "type": "number", "values": list(values), "meta": {"unit": None}}]
    groups = [{"name": "pod", "type": "group", "values": [["pod:a"]] * len(values)}] if more.get("by") else []
    return Reply({"data": {"type": "scalar_response", "attributes": {"columns": [*groups, *found]}}})


def documented(path, headers, body):
    """Refuse what the API would refuse: another path, other keys, a request that its schema does not have."""
    if path != "/api/v2/query/scalar":
        return Reply({"errors": ["Not Found"]}, 404)
    if headers.get("DD-API-KEY") != KEYS["apiKey"]:
        return Reply({"errors": ["Unauthorized"]}, 401)
    if headers.get("DD-APPLICATION-KEY") != KEYS["appKey"]:
        return Reply({"errors": ["Forbidden"]}, 403)
    data = json.loads(body)["data"]
    attributes = data["attributes"]
    names = {query["name"] for query in attributes["queries"]}
    fits = (
        data["type"] == "scalar_request"
        and headers["Content-Type"] == "application/json"
        and isinstance(attributes["from"], int)
        and attributes["from"] < attributes["to"]
        and all(query["data_source"] == "metrics" and query["query"] for query in attributes["queries"])
        and all(formula["formula"] for formula in attributes["formulas"])
        and names
    )
    return None if fits else Reply({"errors": ["Bad Request"]}, 400)


@pytest.fixture
def keys(tmp_path):
    for name, value in KEYS.items():
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


@pytest.fixture
def datadog():
    with serving(Monitoring([columns(0.25)], documented)) as service:
        yield service


def number(service, keys, seconds=60.0, time=None, **changes):
    clock = time or Time()
    with httpx.Client(base_url=service.url, timeout=5, trust_env=False) as client:
        line = Line(client, "Datadog", seconds, clock, clock.sleep)
        return ask({**QUESTION_OF_ONE, **changes}, keys, line, lambda: NOW)


def problem(*told, **changes):
    with pytest.raises(NoNumberError) as found:
        number(*told, **changes)
    return str(found.value)


def test_the_number_of_the_window_is_asked_for_as_documented(datadog, keys):
    assert number(datadog, keys) == 0.25
    [(_, headers, body)] = datadog.asked
    attributes = json.loads(body)["data"]["attributes"]
    assert (attributes["to"] - attributes["from"], attributes["to"]) == (300_000, NOW * 1000)
    assert attributes["queries"] == [
        {
            "name": "q",
            "data_source": "metrics",
            "query": "avg:latency{version:aaaaaaaaaa}",
            "aggregator": "avg",
        }
    ]
    assert headers["Accept-Encoding"] == "identity"
    several = {"a": "sum:errors{*}.as_count()", "b": "sum:requests{*}.as_count()"}
    assert number(datadog, keys, queries=several, formula="a / b", aggregator="sum") == 0.25
    attributes = json.loads(datadog.asked[-1][2])["data"]["attributes"]
    assert [query["name"] for query in attributes["queries"]] == ["a", "b"]
    assert attributes["formulas"] == [{"formula": "a / b"}]


def test_a_site_has_its_own_address():
    with client_of(QUESTION_OF_ONE) as client:
        assert str(client.base_url).rstrip("/") == "https://api.datadoghq.eu"


@pytest.mark.parametrize("key", KEYS)
def test_keys_that_are_wrong_or_missing_are_said_and_not_told(datadog, keys, key):
    (keys / key).write_text("wrong")
    said = problem(datadog, keys)
    assert said.startswith("Datadog refuses the keys of Secret datadog (40")
    assert "site datadoghq.eu" in said
    assert "wrong" not in said
    assert len(datadog.asked) == 1
    (keys / key).write_text("two\nlines")
    assert problem(datadog, keys) == (
        f"credentialsSecret: key {key} of Secret datadog is no line of printable characters"
    )
    (keys / key).unlink()
    assert problem(datadog, keys) == (
        f"credentialsSecret: Secret datadog of the namespace has no key {key}, or is not there"
    )


NO_NUMBERS = {
    "no columns": (Reply({"data": {"attributes": {"columns": []}}}), "it gives no data for the last 300 s"),
    "no values": (columns(), "it gives no data for the last 300 s"),
    "null": (columns(None), "write default_zero(...)"),
    "several series": (columns(1, 2, 3, by=True), "it gives 3 series: leave `by {...}` out"),
    "NaN": (Reply(b'{"data":{"attributes":{"columns":[{"type":"number","values":[NaN]}]}}}'), "it gives nan"),
    "infinity": (Reply(b'{"data":{"attributes":{"columns":[{"type":"number","values":[1e999]}]}}}'), "it gives inf"),
    "too large": (columns(10**400), "it gives 1000000000"),
    "a text": (columns("1"), "it gives 1, which is no number"),
    "true": (columns(True), "it gives True, which is no number"),
    "a page": (Reply(b"<html>"), "what answers is not Datadog's API"),
    "a list": (Reply([1]), "what answers is not Datadog's API"),
    "deep": (Reply(b"[" * 100_000), "what answers is not Datadog's API"),
    "long": (Reply(b" " * (LARGEST_BYTES + 1)), "more than 1 MiB"),
    "a query that it does not take": (
        Reply({"errors": ["Invalid query: unexpected\n token"]}, 400),
        "Datadog does not take the query (400): Invalid query: unexpected token",
    ),
    "an error with 200": (Reply({"errors": "no such metric"}), "Datadog does not take the query: no such metric"),
    "a redirect": (Reply({}, 302, {"Location": "http://169.254.169.254/"}), "(302): it says no more"),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_what_is_no_number_is_said_and_not_asked_again(datadog, keys, case):
    reply, said = NO_NUMBERS[case]
    datadog.replies = [reply]
    assert said in problem(datadog, keys)
    assert len(datadog.asked) == 1


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset"])
def test_a_limit_of_requests_is_kept_to(datadog, keys, header):
    time = Time()
    datadog.replies = [Reply({"errors": ["Too many requests"]}, 429, {header: "12"}), columns(3)]
    assert number(datadog, keys, time=time) == 3
    assert time.slept == [12]
    datadog.asked.clear()
    datadog.replies = [Reply({}, 429, {header: "600"})]
    assert problem(datadog, keys, time=Time()) == (
        "Datadog asks to wait for 600 s (it answers 429), which is longer than timeout leaves: ask less often "
        "(interval), or give it more time"
    )
    assert len(datadog.asked) == 1


def test_a_wait_that_is_no_number_of_seconds_is_none(datadog, keys):
    time = Time()
    datadog.replies = [Reply({}, 429, {"Retry-After": "nan", "X-RateLimit-Reset": "inf"}), columns(3)]
    assert number(datadog, keys, time=time) == 3
    assert time.slept == [1]


def test_one_that_is_away_is_asked_again_until_the_time_is_over(datadog, keys):
    time = Time()
    datadog.replies = [Reply({}, 503), Reply({}, 500), columns(1)]
    assert number(datadog, keys, time=time) == 1
    assert time.slept == [1, 2]
    datadog.replies = [Reply({}, 502)]
    time = Time()
    assert problem(datadog, keys, time=time) == "Datadog gave no number in time: it answers 502"
    assert time.now < 60
    datadog.url = "http://127.0.0.1:1"
    assert problem(datadog, keys).startswith("Datadog gave no number in time: no answer: ")


def test_as_a_program_it_tells_the_kubelet(datadog, keys, capsys):
    environment = {QUESTION: json.dumps(QUESTION_OF_ONE), SECONDS: "5"}
    says = keys / "says"

    def told():
        code = run(environment, keys, says, httpx.Client(base_url=datadog.url, trust_env=False))
        assert capsys.readouterr().out == says.read_text() + "\n"
        return code, says.read_text()

    assert told() == (0, '{"value": 0.25}')
    datadog.replies = [columns()]
    code, said = told()
    assert code == INSUFFICIENT
    assert said.startswith("it gives no data")
    assert not any(key in said for key in KEYS.values())
