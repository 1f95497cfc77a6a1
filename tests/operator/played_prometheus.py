"""Prometheus, played: it answers what our queries ask about counters whose every change is known.

`test_metrics_prometheus.py` holds it to the real one.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import httpx2 as httpx
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus

_MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')
_MEMORY_S = 3600.0


@dataclass
class Series:
    """One counter: its labels, and its value whenever it was scraped."""

    labels: dict[str, str]
    samples: list[tuple[float, float]] = field(default_factory=list)

    def at(self, time: float, memory: float) -> float | None:
        """The last value of so many seconds, where there is one."""
        known = [(when, value) for when, value in self.samples if time - memory < when <= time]
        return known[-1][1] if known else None


@dataclass
class PlayedPrometheus:
    """`status` and `body` are what it answers instead, `ahead` is by how many seconds its clock is wrong."""

    series: dict[tuple[tuple[str, str], ...], Series] = field(default_factory=dict)
    status: int = 200
    body: Any = None
    away: bool = False
    ahead: float = 0.0
    asked: list[str] = field(default_factory=list)
    now: float = 0.0
    gives: dict[str, list[str]] = field(default_factory=dict)
    """What queries of templates give, at any time: a value for each series."""

    def scrape(self, time: float, name: str, value: float, **labels: str) -> Series:
        """Take a counter's value at a time."""
        named = {"__name__": name, **labels}
        known = self.series.setdefault(tuple(sorted(named.items())), Series(named))
        known.samples.append((time, value))
        return known

    def metrics(self, clock: Any, **access: Any) -> Prometheus:
        """Give the adapter, before it."""
        return Prometheus(
            Access("http://prometheus", **access), clock=clock, transport=httpx.MockTransport(self.answer)
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.asked.append(form["query"])
        if self.away:
            raise httpx.ConnectError("connection refused")
        date = format_datetime(datetime.fromtimestamp(self.now + self.ahead, UTC), usegmt=True)
        body = self.body if self.body is not None else self._evaluate(form)
        content = body if isinstance(body, bytes) else None
        return httpx.Response(
            self.status, headers={"Date": date}, content=content, json=body if content is None else None
        )

    def _give(self, values: list[str], form: dict[str, str]) -> dict[str, Any]:
        times = _times(form)
        result = [
            {"metric": {"series": str(number)}, "values": [[at, value] for at in times]}
            for number, value in enumerate(values)
        ]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    def _evaluate(self, form: dict[str, str]) -> dict[str, Any]:
        query = form["query"]
        if query in self.gives:
            return self._give(self.gives[query], form)
        labels, inner = re.fullmatch(r"sum by \((.+?)\) \((.*)\)", query, re.DOTALL).groups()
        selector = re.match(r"\(last_over_time\((\w+)\{(.*?)\}\[\d+s\]\) - ", inner)
        if selector is None:
            # Of two counters: it has neither. Of native histograms: nor those.
            return {"status": "success", "data": {"resultType": "matrix", "result": []}}
        offset = float(re.search(r"offset (\d+)s", inner)[1])
        by, name, matchers = labels.split(", "), selector[1], _MATCHER.findall(selector[2])
        chosen = [
            s for s in self.series.values() if s.labels["__name__"] == name and _matches(s.labels, matchers)
        ]
        found: dict[tuple[str, ...], dict[float, float]] = {}
        for time in _times(form):
            for series in chosen:
                growth = _growth(series, time, offset)
                if growth is not None:
                    by_time = found.setdefault(tuple(series.labels.get(label, "") for label in by), {})
                    by_time[time] = by_time.get(time, 0.0) + growth
        result = [
            {
                "metric": dict(zip(by, key, strict=True)),
                "values": [[at, f"{value:g}"] for at, value in by_time.items()],
            }
            for key, by_time in found.items()
        ]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def _times(form: dict[str, str]) -> list[float]:
    start, end, step = float(form["start"]), float(form["end"]), float(form["step"].removesuffix("s"))
    return [start + number * step for number in range(int((end - start) / step) + 1)]


def _matches(labels: dict[str, str], matchers: list[tuple[str, str, str]]) -> bool:
    return all(
        bool(re.fullmatch(value, labels.get(name, ""))) if kind == "=~" else labels.get(name, "") == value
        for name, kind, value in matchers
    )


def _growth(series: Series, time: float, offset: float) -> float | None:
    now, before = series.at(time, offset), series.at(time - offset, _MEMORY_S)
    if now is None:
        return None
    return now if before is None or now < before else now - before
