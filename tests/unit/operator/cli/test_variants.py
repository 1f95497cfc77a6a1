"""An A/B test of more than two revisions, as the command line asks for its end, shows and rehearses it."""

import pytest
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.status_view import StatusView
from rich.console import Console

from tests.unit.cli_world import (
    CANARY,
    CANDIDATE,
    NOW,
    STABLE,
    FakeCluster,
    ago,
    deployment,
    invoke,
    revision,
)

KEPT = [
    revision("cccccccccc", 0, leftAt=ago(days=3), variant="b", weight=30, routed=15),
    revision("dddddddddd", 0, leftAt=ago(days=3), variant="c"),
    revision("eeeeeeeeee", 0, leftAt=ago(days=3)),
]
ON_TRIAL = deployment(
    "AwaitingApproval",
    "AwaitingApproval",
    "side by side",
    stable=STABLE,
    candidate={**CANDIDATE, "matched": True, "begun": True, "routed": 10},
    retained=KEPT,
)


@pytest.fixture
def ask(monkeypatch, capsys):
    def run_command(item, *arguments, **cluster):
        world = FakeCluster(item, **cluster)
        monkeypatch.setattr("mooring_operator.cli.cluster.connect", lambda *_: world)
        return (*invoke(capsys, *arguments), world.written)

    return run_command


@pytest.mark.parametrize(
    ("arm", "value", "says"),
    [
        ("b", "cccccccccc", "it gets all traffic"),
        ("dddddddddd", "dddddddddd", "it gets all traffic"),
        ("Stable", "aaaaaaaaaa", "it keeps all traffic"),
        ("aaaaaaaaaa", "aaaaaaaaaa", "it keeps all traffic"),
        ("New", "bbbbbbbbbb", "it takes over as soon as it is ready"),
        ("bbbbbbbbbb", "bbbbbbbbbb", "it takes over as soon as it is ready"),
    ],
)
def test_any_side_of_a_test_can_be_promoted(ask, arm, value, says):
    code, out, _, written = ask(ON_TRIAL, "promote", "iris", arm, "-m", "best")
    assert (code, written) == (
        0,
        [("iris", {"mooring.dev/promote": f"{value} best", "mooring.dev/promote-by": "alice"})],
    )
    assert says in out


@pytest.mark.parametrize(
    ("item", "arm", "says"),
    [
        (
            ON_TRIAL,
            "eeeeeeeeee",
            "'eeeeeeeeee' takes no part in the test: New (bbbbbbbbbb), Stable (aaaaaaaaaa), b (cccccccccc), "
            "c (dddddddddd) do",
        ),
        (CANARY, "b", "no A/B test goes on"),
        (CANARY, "aaaaaaaaaa", "no A/B test goes on"),
        (deployment("Promoted", stable=STABLE, retained=KEPT[2:]), "eeeeeeeeee", "no A/B test goes on"),
    ],
)
def test_what_takes_no_part_is_not_promoted(ask, item, arm, says):
    code, out, err, written = ask(item, "promote", "iris", arm)
    assert (code, out, written) == (1, "", [])
    assert says in err


@pytest.mark.parametrize(
    ("arm", "stable", "expected"), [("b", KEPT[0], 0), ("b", STABLE, 1), ("Stable", STABLE, 0)]
)
def test_waiting_for_a_winner_ends_with_whether_it_serves(ask, arm, stable, expected):
    annotated = {**ON_TRIAL["metadata"], "annotations": {"mooring.dev/promote": "cccccccccc"}}
    before = {**ON_TRIAL, "metadata": annotated}
    end = deployment("RolledBack", "RollbackRequested", "went back", stable=stable)
    code, *_ = ask(before, "promote", "iris", arm, "--wait", later=[before, end])
    assert code == expected


def test_status_shows_who_gets_what():
    console = Console(width=100, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(StatusView(Deployment.parse(ON_TRIAL), [], NOW))
    rows = [line.split()[:5] for line in console.export_text().splitlines()]
    assert ["stable", "aaaaaaaaaa", "75%"] in [row[:3] for row in rows]
    assert ["candidate", "bbbbbbbbbb", "10%"] in [row[:3] for row in rows]
    assert ["variant", "b", "cccccccccc", "15%", "of"] in rows
    assert ["variant", "c", "dddddddddd", "0%"] in [row[:4] for row in rows]
    assert ["kept", "eeeeeeeeee"] in [row[:2] for row in rows]


def test_the_stable_revision_has_what_the_others_were_not_seen_to_get():
    status = {
        **ON_TRIAL["status"],
        "candidate": {**ON_TRIAL["status"]["candidate"], "weight": 20, "routed": 0},
    }
    console = Console(width=100, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(StatusView(Deployment.parse({**ON_TRIAL, "status": status}), [], NOW))
    rows = [line.split()[:5] for line in console.export_text().splitlines()]
    assert ["candidate", "bbbbbbbbbb", "0%", "of", "20%"] in rows
    assert ["stable", "aaaaaaaaaa", "85%"] in [row[:3] for row in rows]


TEST = """\
apiVersion: mooring.dev/v1alpha1
kind: ModelDeployment
metadata: {name: iris}
spec:
  model: {uri: "s3://models/iris/4", format: onnx}
  serving: {minReplicas: 4}
  rollout:
    gateway: {name: front}
    strategy: ABTest
    abTest:
      weight: 20
      variants: [{name: b, revision: cccccccccc, weight: 30}, {name: c, revision: dddddddddd}]
      matches: [{header: X-Group, value: c, to: c}]
"""


def test_a_rehearsal_draws_each_variant(capsys, tmp_path):
    file = tmp_path / "test.yaml"
    file.write_text(TEST)
    code, out, _ = invoke(capsys, "rehearse", "--from-stable", str(file))
    assert (code, "It ends promoted" in out) == (0, True)
    rows = [line.replace("traffic", "").replace("pods", "").split() for line in out.splitlines()]
    weights = {
        row[0]: [value for value in row[1:] if value.endswith("%")] for row in rows if row and "0%" in row
    }
    assert weights["new"][:2] == ["0%", "20%"]
    assert weights["b"][:2] == ["0%", "30%"]
    assert set(weights["c"]) == {"0%"}


def test_a_rehearsal_says_that_history_keeps_too_few(capsys, tmp_path):
    file = tmp_path / "test.yaml"
    file.write_text(TEST.replace("spec:\n", "spec:\n  revisionHistoryLimit: 1\n", 1))
    _, out, _ = invoke(capsys, "rehearse", "--from-stable", str(file))
    said = " ".join(out.split())
    assert "variants[1].revision dddddddddd: it is not kept" in said
    assert "spec.revisionHistoryLimit is 1" in said


def test_validate_names_what_the_router_cannot(capsys, tmp_path):
    file = tmp_path / "test.yaml"
    file.write_text(
        TEST.replace("    gateway: {name: front}\n", "    router: Endpoints\n")
        .replace("      matches: [{header: X-Group, value: c, to: c}]\n", "")
        .replace("dddddddddd", "dddddddddd, weight: 1")
    )
    code, out, err = invoke(capsys, "validate", str(file))
    assert code == 1
    assert (
        "spec.rollout.abTest.variants: router Endpoints cannot split traffic between more than two revisions"
        in out + err
    )
