"""Latency of the real runtime out of a real Prometheus, whichever histograms that is set to keep."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import yaml
from mooring_operator.adapters.metrics.port import MetricsUnavailableError
from mooring_operator.adapters.metrics.prometheus import Access, Prometheus
from mooring_operator.planning.analysis.histograms import Histogram
from mooring_operator.planning.analysis.looks import together
from mooring_operator.planning.analysis.sources import SOURCES

from tests.operator.test_analysis_end_to_end import KNOWN, save_lookup
from tests.real_prometheus import running_prometheus
from tests.unit.inference.inference_process import running

DEADLINE = 60.0
DASHBOARD = Path(__file__).parents[2] / "manifests" / "components" / "monitoring" / "dashboard.json"
ARMS = ("c0ffee0001", "beef000002")
KEPT: Mapping[str, dict[str, Any]] = {
    "native": {"scrape_native_histograms": True},
    "both": {"scrape_native_histograms": True, "always_scrape_classic_histograms": True},
    "classic": {"scrape_native_histograms": False},
    "converted": {"scrape_native_histograms": False, "convert_classic_histograms_to_nhcb": True},
}
"""How a scrape is configured, by the namespace that it says."""


def configuration(port: int) -> dict[str, Any]:
    """Scrape one server in each way, as that of both revisions."""
    jobs = [
        {
            "job_name": namespace,
            **kept,
            "static_configs": [
                {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": namespace, "revision": arm}}
                for arm in ARMS
            ],
        }
        for namespace, kept in KEPT.items()
    ]
    return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": jobs}


async def histograms(metrics: Prometheus, namespace: str, since: datetime) -> dict[str, Histogram]:
    """What the ready-made query gives, by revision."""
    question = SOURCES["Mooring"].question("latency", namespace, "digits", dict.fromkeys(ARMS, ""), 2)
    found = await metrics.histograms(question, since, datetime.now(UTC))
    return {arm: together(by_time) for arm, by_time in found.items()}


def totals(found: dict[str, dict[str, Histogram]]) -> dict[str, dict[str, float]]:
    return {name: {arm: known.total for arm, known in arms.items()} for name, arms in found.items()}


async def shown_revisions(address: str, namespace: str) -> list[str]:
    """Which revisions the dashboard's panel of latency shows."""
    dashboard = json.loads(DASHBOARD.read_text())
    (expression,) = [
        target["expr"]
        for panel in dashboard["panels"]
        for target in panel["targets"]
        if "request_duration_seconds" in target["expr"]
    ]
    for variable, value in {"$namespace": namespace, "$name": "digits", "$__rate_interval": "5m"}.items():
        expression = expression.replace(variable, value)
    async with httpx.AsyncClient(base_url=address, trust_env=False) as client:
        answer = await client.get("/api/v1/query", params={"query": expression})
    return sorted(series["metric"]["revision"] for series in answer.json()["data"]["result"])


async def test_the_ready_made_latency_is_that_of_whichever_histograms_are_kept(tmp_path: Path) -> None:
    wanted: dict[str, dict[str, float]] = {name: dict.fromkeys(ARMS, 60) for name in KEPT}
    body = {"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [KNOWN]}]}
    async with (
        running(save_lookup(tmp_path / "v1", [0.5] * 10), "--model_name=digits") as server,
        running_prometheus(tmp_path / "data", yaml.safe_dump(configuration(server.port))) as address,
    ):
        metrics, since = Prometheus(Access(address)), datetime.now(UTC) - timedelta(minutes=1)
        for _ in range(60):
            answer = await server.client.post("/v2/models/digits/infer", json=body)
            assert answer.status_code == 200
        found: dict[str, dict[str, Histogram]] = {}
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE):
                while totals(found) != wanted:
                    await asyncio.sleep(0.2)
                    with suppress(MetricsUnavailableError):
                        found = {name: await histograms(metrics, name, since) for name in KEPT}
        await metrics.close()
        all_shown = {name: sorted(ARMS) for name in KEPT}
        shown: dict[str, list[str]] = {}
        # A rate takes two scrapes.
        with suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE):
                while shown != all_shown:
                    await asyncio.sleep(0.2)
                    shown = {name: await shown_revisions(address, name) for name in KEPT}
    assert totals(found) == wanted
    assert shown == all_shown
    kinds = {name: arms[ARMS[0]].is_native for name, arms in found.items()}
    assert kinds == {"native": True, "both": True, "classic": False, "converted": True}
    native, both, classic, converted = (found[name][ARMS[0]] for name in KEPT)
    assert native == both
    # Classic bounds, and those of them alone that something lies between.
    assert set(converted.bounds) <= set(classic.bounds)
    assert all(converted.count_above(bound) == classic.count_above(bound) for bound in converted.bounds)
    # Each bound of the native ones is 9% above the one before.
    assert all(classic.count_above(b) is None or native.count_above(b) is not None for b in (0.25, 1.0))
    assert len(native.bounds) > 2
