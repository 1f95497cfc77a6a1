"""Alerts and dashboard of component monitoring, by a real Prometheus that scrapes the operator's own page."""

import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import pytest
import yaml
from mooring_inference.observability.metrics import ServingMetrics
from mooring_operator.runtime.telemetry import Telemetry

import cluster.prometheus
from tests.operator.test_metrics_prometheus import exporter
from tests.operator.test_sources_prometheus import until

MONITORING = Path(__file__).parents[2] / "manifests" / "components" / "monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text())["spec"]
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text())
SHOWN = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
VARIABLES = {"$namespace": "ml", "$name": "iris", "$__rate_interval": "1m"}


class Page(NamedTuple):
    telemetry: Telemetry
    answers: bool = True

    def page(self) -> str:
        return self.telemetry.exposition().decode()


@pytest.fixture
def telemetry():
    telemetry = Telemetry()
    telemetry.gauge("mooring_leader", "1 while this replica leads.", lambda: 1.0)
    return telemetry


@pytest.fixture
def server(tmp_path, telemetry):
    """A Prometheus with the rules; what they wait for comes at once."""
    groups = [
        {**group, "interval": "200ms", "rules": [{**rule, "for": "0s"} for rule in group["rules"]]}
        for group in RULES["groups"]
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    with exporter(Page(telemetry)) as port:
        configuration = {
            "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"},
            "rule_files": [str(tmp_path / "rules.yaml")],
            "scrape_configs": [
                {"job_name": "operator", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
            ],
        }
        with cluster.prometheus.Prometheus(configuration, tmp_path / "prometheus") as found:
            yield found


def firing(server):
    found = httpx.get(f"{server.url}/api/v1/alerts").json()["data"]["alerts"]
    return {
        (one["labels"]["alertname"], one["labels"].get("name", ""))
        for one in found
        if one["state"] == "firing"
    }


def summaries(server):
    found = httpx.get(f"{server.url}/api/v1/alerts").json()["data"]["alerts"]
    return {one["labels"]["alertname"]: one["annotations"]["summary"] for one in found}


async def test_alerts_fire_by_what_statuses_say_and_end_with_it(server, telemetry):
    def conditions(**found):
        return {"conditions": [{"type": kind, "status": value} for kind, value in found.items()]}

    telemetry.saw("DriftMonitor", "ml", "quiet", conditions(Drifted="False", DataFresh="True"))
    telemetry.saw("ModelDeployment", "ml", "fine", conditions(Ready="True"))
    telemetry.saw("DriftMonitor", "ml", "iris", conditions(Drifted="True", PerformanceDropped="True"))
    telemetry.saw("DriftMonitor", "ml", "blind", conditions(DataFresh="False", BaselineValid="True"))
    telemetry.saw("DriftMonitor", "ml", "slow", conditions(Drifted="False", OperationDegraded="True"))
    telemetry.saw("ModelDeployment", "ml", "bad", conditions(Ready="False", Stalled="True"))
    expected = {
        ("MooringModelDrifted", "iris"),
        ("MooringPerformanceDropped", "iris"),
        ("MooringOperationDegraded", "slow"),
        ("MooringDriftBlind", "blind"),
        ("MooringDeploymentNotReady", "bad"),
    }
    await until(lambda: firing(server) == expected)
    assert "ml/iris" in summaries(server)["MooringModelDrifted"]
    for name in ("iris", "blind", "slow"):
        telemetry.saw("DriftMonitor", "ml", name, conditions(Drifted="False", DataFresh="True"))
    telemetry.saw("ModelDeployment", "ml", "bad", None)
    await until(lambda: firing(server) == set())


async def test_the_operators_own_alerts_fire(server, telemetry):
    def is_quiet():
        asked = httpx.get(f"{server.url}/api/v1/query", params={"query": "mooring_leader"})
        return asked.json()["data"]["result"] and firing(server) == set()

    await until(is_quiet)
    telemetry.registry.unregister(telemetry.registry._names_to_collectors["mooring_leader"])
    await until(lambda: ("MooringNobodyLeads", "") in firing(server))


@pytest.mark.parametrize("expression", [*SHOWN, *(rule["expr"] for rule in ALERTS.values())])
def test_expressions_are_promql_about_what_there_is(server, expression):
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    found = httpx.get(f"{server.url}/api/v1/query", params={"query": expression, "time": time.time()}).json()
    assert found["status"] == "success", found
    assert names_in(expression) <= known_names()


def names_in(expression):
    return set(re.findall(r"\bmooring_[a-z_]+", expression))


def known_names():
    """What the operator and the runtime show; a counter and a histogram by the names of their series."""
    telemetry = Telemetry()
    telemetry.watch_queues({})
    telemetry.watch_pools([])
    page = telemetry.exposition().decode() + ServingMetrics().exposition()[0].decode()
    found = {"mooring_leader"}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE):
        found |= {name, f"{name}_total", *([f"{name}_bucket"] if kind == "histogram" else [])}
    return found


def test_the_dashboard_is_told_apart_and_fits_together():
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used == {"datasource", "namespace", "name", "__rate_interval"}
