"""The command line over a cluster that holds anybody's text: names are checked, and nothing moves the cursor."""

import json

import pytest
import yaml
from mooring_operator.cli.cluster import connect
from mooring_operator.cli.errors import CliError

from tests.unit.cli_world import AWAITING, CANDIDATE, STABLE, FakeCluster, deployment, invoke
from tests.unit.spec_table_names import TRAVERSALS
from tests.unit.test_cli_cluster import configured, server  # noqa: F401 - a fixture

HOSTILE = "done\x1b[2J\x1b[1;1H\x9b1A\u202egood\r"
CALLS = {
    "get": lambda cluster, name: cluster.get("ModelDeployment", name),
    "annotate": lambda cluster, name: cluster.annotate("ModelDeployment", name, {"mooring.dev/abort": "x"}),
    "watch": lambda cluster, name: list(cluster.watch("ModelDeployment", name, "1")),
}
NAMES = [name for name in TRAVERSALS if name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("call", CALLS)
def test_a_name_that_is_none_asks_the_cluster_for_nothing(configured, name, call):  # noqa: F811
    seen = []
    cluster = connect(transport=server(lambda _: (200, AWAITING), seen))
    with pytest.raises(CliError) as raised:
        CALLS[call](cluster, name)
    assert raised.value.message.startswith(f"{name!r} is not the name of a Kubernetes object")
    assert seen == []


@pytest.mark.parametrize("namespace", [*NAMES, "a.b"])
def test_a_namespace_that_is_none_is_refused(configured, namespace):  # noqa: F811
    with pytest.raises(CliError, match=r"namespace .* is not a DNS label"):
        connect(None, namespace)


@pytest.fixture
def hostile(monkeypatch):
    item = deployment("Paused", "PausedByStep", HOSTILE, stable=STABLE, candidate=CANDIDATE)
    item["spec"]["rollout"]["steps"][2]["approve"]["message"] = HOSTILE
    world = FakeCluster(item)
    monkeypatch.setattr("mooring_operator.cli.cluster.connect", lambda *_: world)
    return item


@pytest.mark.parametrize("arguments", [["status", "iris"], ["list"], ["status", "iris", "-o", "json"]])
def test_what_a_spec_says_does_not_move_the_cursor(hostile, capsys, arguments):
    code, out, _ = invoke(capsys, *arguments)
    assert code == 0
    assert "done" in out
    assert not {"\x1b", "\x9b", "\r", "\u202e"} & set(out)


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_machines_read_the_text_as_it_is(hostile, capsys, form, read):
    code, out, _ = invoke(capsys, "status", "iris", "-o", form)
    assert code == 0
    assert read(out)["status"]["message"] == HOSTILE
    assert not {"\x9b", "\u202e"} & set(out)
