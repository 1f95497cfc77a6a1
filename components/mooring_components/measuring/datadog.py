"""A number of Datadog's.

Source: Datadog API reference, v2, "Query scalar data across multiple products", "Rate limits", "Authentication".
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx2 as httpx

from mooring_components.measuring.asking import REQUEST_S, Answered, Line, NoNumberError, as_number
from mooring_components.measuring.keys import read_keys
from mooring_components.measuring.telling import printable

_PATH = "/api/v2/query/scalar"


def client_of(question: Mapping[str, Any]) -> httpx.Client:
    """Give the way to the site that is asked."""
    return httpx.Client(base_url=f"https://api.{question['site']}", timeout=REQUEST_S, trust_env=False)


def ask(
    question: Mapping[str, Any],
    keys: Path,
    line: Line,
    now: Callable[[], float] = time.time,
) -> float:
    """Ask for the number of the last `window` seconds.

    Raises:
        NoNumberError: there is none.
    """
    secret = question["secret"]
    known = read_keys(keys, ("apiKey", "appKey"), secret)
    headers = {
        "DD-API-KEY": known["apiKey"],
        "DD-APPLICATION-KEY": known["appKey"],
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
    }
    body = json.dumps(_request(question, now())).encode()
    return _read(line.post(_PATH, body, lambda: headers), question, secret)


def _request(question: Mapping[str, Any], now: float) -> dict[str, Any]:
    queries = [
        {
            "name": name,
            "data_source": "metrics",
            "query": query,
            "aggregator": question["aggregator"],
        }
        for name, query in question["queries"].items()
    ]
    attributes = {
        "from": int((now - question["window"]) * 1000),
        "to": int(now * 1000),
        "queries": queries,
        "formulas": [{"formula": question["formula"]}],
    }
    return {"data": {"type": "scalar_request", "attributes": attributes}}


def _read(answered: Answered, question: Mapping[str, Any], secret: str) -> float:
    if answered.status in (401, 403):
        raise NoNumberError(
            f"Datadog refuses the keys of Secret {secret} ({answered.status}): are they of site {question['site']}, "
            "and may the application key query (timeseries_query)?"
        )
    said = answered.json()
    if answered.status != 200:
        raise NoNumberError(f"Datadog does not take the query ({answered.status}): {_errors(said)}")
    if isinstance(said, dict) and said.get("errors"):
        raise NoNumberError(f"Datadog does not take the query: {_errors(said)}")
    values = _values(said)
    if values is None:
        raise NoNumberError("what answers is not Datadog's API: 200, and no columns of numbers")
    if not values or values == [None]:
        raise NoNumberError(
            f"it gives no data for the last {question['window']:g} s: are its tags right, and is window long enough? "
            "where none means 0, write default_zero(...)"
        )
    if len(values) > 1:
        raise NoNumberError(f"it gives {len(values)} series: leave `by {{...}}` out")
    [value] = values
    number = as_number(value)
    if number is None:
        raise NoNumberError(f"it gives {printable(value)}, which is no number: what it divides by may be 0")
    return number


def _values(said: Any) -> list[Any] | None:
    """Give the values of all columns of numbers; None where it is another answer."""
    try:
        columns = said["data"]["attributes"]["columns"]
        numbers = [column["values"] for column in columns if column.get("type", "number") == "number"]
        return [value for values in numbers for value in values]
    except (KeyError, TypeError, AttributeError):
        return None


def _errors(said: Any) -> str:
    errors = said.get("errors") if isinstance(said, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else errors or "it says no more"
    detail = first.get("detail") or first.get("title") if isinstance(first, dict) else first
    return printable(detail)
