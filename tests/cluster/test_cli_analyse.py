"""``mooring analyse NAME``: deployment and templates out of a real API server."""

import json

import pytest
from mooring_operator.cli.main import run

from tests.cluster.test_cli import GROUP, VERSION, api, iris
from tests.unit.operator.cli.test_analyse import server

__all__ = ["api", "iris", "server"]

API = "mooring.dev/v1alpha1"
HOUSE = {"metrics": [{"metric": "errorRate", "points": 0.5}]}
SLO = {"queries": [{"name": "memory", "query": "max(memory)", "successCondition": "result < 5.0"}]}


@pytest.fixture
def judged(api, iris):
    """The deployment goes by a template of its namespace, and by one of the cluster."""
    made = []
    for path, kind, name, spec in (
        (f"{GROUP}/analysistemplates", "AnalysisTemplate", "house", HOUSE),
        (f"{VERSION}/clusteranalysistemplates", "ClusterAnalysisTemplate", "slo", SLO),
    ):
        written = api.post(
            path, json={"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}
        )
        assert written.status_code == 201, written.text
        made.append(f"{path}/{name}")
    rollout = {"analysis": {"templates": [{"name": "house"}, {"name": "slo", "clusterScope": True}]}}
    patched = api.patch(
        f"{GROUP}/modeldeployments/{iris}",
        content=json.dumps({"spec": {"rollout": rollout}}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert patched.status_code == 200, patched.text
    yield iris
    for path in made:
        api.delete(path)


def analyse(server, *more):
    return run(["analyse", "iris", "--prometheus", f"http://127.0.0.1:{server.server_port}", *more])


def test_a_deployment_is_judged_by_its_templates(judged, server, capsys):
    analyse(server, "-o", "json")
    document = json.loads(capsys.readouterr().out)
    assert document["templates"] == ["house@1", "cluster/slo@1"]
    assert [one["metric"] for one in document["metrics"]] == ["errorRate"]
    assert [one["query"] for one in document["queries"]] == ["memory"]
    assert (document["candidate"], document["stable"]) == ("bbbbbbbbbb", "aaaaaaaaaa")
    assert {f'revision=~"bbbbbbbbbb|aaaaaaaaaa",namespace="default",model="{judged}"'} <= {
        part for form in server.asked for part in [form["query"].partition("{")[2].partition("}")[0]]
    }
    # One metric alone where it is asked for.
    analyse(server, "--metric", "errorRate", "-o", "json")
    assert json.loads(capsys.readouterr().out.strip() or "{}").get("queries") is None


def test_a_template_that_is_not_there_is_named(judged, server, api, capsys):
    api.delete(f"{VERSION}/clusteranalysistemplates/slo")
    assert analyse(server) == 2
    assert "ClusterAnalysisTemplate slo does not exist" in capsys.readouterr().err


def test_without_a_prometheus_it_is_said_what_the_operator_has_found(judged, api, capsys):
    assert run(["analyse", "iris"]) == 2
    assert "iris: no revision is judged" in capsys.readouterr().err
    found = {
        "candidate": "bbbbbbbbbb",
        "stable": "aaaaaaaaaa",
        "verdict": "INSUFFICIENT",
        "message": "errorRate: candidate no requests",
        "since": "2026-11-01T10:00:00Z",
        "until": "2026-11-01T10:05:00Z",
        "templates": "house@1 cluster/slo@1",
        "measured": "memory: 0 of 3 failed, last 4.25",
        "evidence": "query.memory:AAAA",
    }
    written = api.patch(
        f"{GROUP}/modeldeployments/{judged}/status",
        content=json.dumps({"status": {"analysis": found}}),
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert written.status_code == 200, written.text
    assert run(["analyse", "iris"]) == 2
    out = capsys.readouterr().out
    assert out.startswith("INSUFFICIENT  errorRate: candidate no requests")
    assert "memory" in out
    assert "4.25" in out
    assert "10:00:00 to 10:05:00 UTC; candidate bbbbbbbbbb, stable aaaaaaaaaa" in out


def test_kubectl_shows_templates_by_their_short_names(judged, api):
    found = api.get(
        f"{GROUP}/analysistemplates", headers={"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    )
    assert [column["name"] for column in found.json()["columnDefinitions"]] == [
        "Name",
        "Ready",
        "Age",
        "Message",
    ]
    kinds = {one["name"]: one for one in api.get(VERSION).json()["resources"]}
    assert kinds["analysistemplates"]["shortNames"] == ["antpl"]
    assert kinds["clusteranalysistemplates"]["shortNames"] == ["cantpl"]
