"""What people see of a rollout, in a terminal and in a file."""

import copy
import json
from datetime import timedelta

import pytest
import yaml
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.drift_view import DriftView
from mooring_operator.cli.status_view import StatusView
from mooring_operator.cli.times import short
from rich.console import Console

from tests.unit.cli_world import (
    AWAITING,
    CANARY,
    CANDIDATE,
    DRIFT,
    EVENTS,
    NOW,
    PROMOTED,
    REJECTED,
    STABLE,
    FakeCluster,
    ago,
    deployment,
    invoke,
)


@pytest.fixture
def show(monkeypatch, capsys):
    def run_command(*arguments, items=(AWAITING, DRIFT), **cluster):
        world = FakeCluster(*items, **cluster)
        monkeypatch.setattr("mooring_operator.cli.cluster.connect", lambda *_: world)
        return invoke(capsys, *arguments)

    return run_command


def text_of(view, width=80):
    console = Console(width=width, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(view)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


@pytest.mark.parametrize(("policy", "shown"), [("Follow", "onnx (a:1)"), ("Pinned", "onnx (a:1), pinned")])
def test_a_runtime_whose_edits_are_not_followed_is_called_pinned(policy, shown):
    runtime = {"kind": "ServingRuntime", "name": "onnx", "spec": {"containers": [{"image": "r.example/a:1"}]}}
    status = {**PROMOTED["status"], "stable": {**PROMOTED["status"]["stable"], "runtime": runtime}}
    item = {**PROMOTED, "spec": {**PROMOTED["spec"], "serving": {"runtimePolicy": policy}}, "status": status}
    (line,) = [
        line
        for line in text_of(StatusView(Deployment.parse(item), [], NOW), width=200).splitlines()
        if "onnx (" in line
    ]
    assert line.endswith(f" {shown}")


def test_what_a_condition_says_is_told_where_the_status_above_does_not():
    at = "2026-03-01T12:00:00Z"
    differs = {
        "type": "RouterReady",
        "status": "True",
        "reason": "RouterImprecise",
        "message": "all requests may be copied",
    }
    works = {
        "type": "RouterReady",
        "status": "True",
        "reason": "RouterRecovered",
        "message": "every revision gets its part",
    }
    lacks = {
        "type": "VariantsReady",
        "status": "False",
        "reason": "VariantNotReady",
        "message": "c: 0 of 1 pods are ready",
    }
    for told, one in ((True, differs), (False, works), (True, lacks)):
        conditions = [{**one, "lastTransitionTime": at, "observedGeneration": 1}]
        item = {**AWAITING, "status": {**AWAITING["status"], "conditions": conditions}}
        text = text_of(StatusView(Deployment.parse(item), [], NOW))
        assert (f"\n{one['type']}: {one['message']}\n" in text) is told


def test_the_router_is_told_with_what_the_cluster_lacks():
    why = "not Gateway: there is no Gateway gateways/front"
    item = {**AWAITING, "status": {**AWAITING["status"], "router": {"name": "KServe", "message": why}}}
    assert f"\nRouter KServe: {why}\n" in text_of(StatusView(Deployment.parse(item), [], NOW))


def test_the_picture_of_a_rollout():
    assert (
        text_of(StatusView(Deployment.parse(AWAITING), EVENTS, NOW), width=100)
        == """\
ModelDeployment ml/iris  AwaitingApproval
revision bbbbbbbbbb at 10% of traffic awaits approval: compare the error rates
URL http://iris.example.com

Revisions
             REVISION    TRAFFIC  SINCE    MODEL
  stable     aaaaaaaaaa  90%      3d ago   s3://models/iris/1
  candidate  bbbbbbbbbb  10%      12m ago  s3://models/iris/2

Steps
  ✓  0  ██░░░░░░░░░░░░░░░░░░  weight 10%
  ✓  1                        pause 5m
  ▶  2                        approval: compare the error rates
  ·  3  ████████████████████  weight 100%

CI
  Passed  run d66046db of revision bbbbbbbbbb, asked for 12m ago
  http://kfp.example.com/#/runs/details/d66046db
  on rows sha256:8e6c46fc
  METRIC        VALUE
  accuracy      0.953
  latencyP95Ms  12.5

Conditions
  CONDITION  STATUS   SINCE  REASON
  Ready      Unknown  12m    AwaitingApproval

History
  REVISION    OUTCOME   ENDED   TOOK  REASON    MODEL
  aaaaaaaaaa  Promoted  3d ago  10m   Promoted  s3://models/iris/1

Events
  AGE  REASON            MESSAGE
  5m   AwaitingApproval  revision bbbbbbbbbb at 10% of traffic awaits approval"""
    )


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width):
    for item in (AWAITING, CANARY, PROMOTED, REJECTED):
        text = text_of(StatusView(Deployment.parse(item), EVENTS, NOW), width=width)
        assert all(len(line) <= width for line in text.splitlines())


def test_a_long_address_wraps_and_no_revision_is_cut():
    item = copy.deepcopy(AWAITING)
    long = "s3://models.example.com/teams/fraud-detection/classifiers/iris/2026-11-26"
    for side in ("stable", "candidate"):
        item["status"][side]["modelUri"] = long
    text = text_of(StatusView(Deployment.parse(item), [], NOW), width=80)
    shown = text[text.index("Revisions") : text.index("Steps")]
    for whole in ("REVISION", "TRAFFIC", "SINCE", "candidate", "aaaaaaaaaa", "bbbbbbbbbb"):
        assert whole in shown
    assert "".join(line[38:].strip() for line in shown.splitlines()).count(long) == 2


def test_a_terminal_without_unicode_gets_ascii(tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        Console(width=80, file=file).print(StatusView(Deployment.parse(AWAITING), EVENTS, NOW))
    assert "x  0  ##.................." in (tmp_path / "out").read_text()


def test_a_rejected_revision_is_named():
    text = text_of(StatusView(Deployment.parse(REJECTED), [], NOW))
    assert "rejected  bbbbbbbbbb                   rejected after 1 attempt" in text
    assert "Steps" not in text


def test_a_status_that_is_behind_says_so():
    text = text_of(StatusView(Deployment.parse(deployment("Promoted", generation=3)), [], NOW))
    assert "The spec is newer than this status: the operator has not seen it yet." in text


def test_what_was_asked_for_is_shown():
    given = {"mooring.dev/abort": "bbbbbbbbbb too slow", "mooring.dev/abort-by": "alice"}
    text = text_of(StatusView(Deployment.parse(deployment("Canary", annotations=given)), [], NOW))
    assert "Asked: abort bbbbbbbbbb by alice: too slow" in text


def test_who_asked_and_who_approved_is_shown():
    candidate = {**CANDIDATE, "requestedBy": "alice", "approvedBy": ["bob", "carol"]}
    entry = {**AWAITING["status"]["history"][0], "requestedBy": "dora", "approvedBy": "bob"}
    shown = deployment("Canary", stable=STABLE, candidate=candidate, history=[entry])
    text = text_of(StatusView(Deployment.parse(shown), [], NOW), width=140)
    assert "\n  asked for by alice; approved by bob, carol\n" in text
    assert text.rstrip().endswith("asked for by dora; approved by bob")
    unknown = text_of(StatusView(Deployment.parse(AWAITING), [], NOW))
    assert "asked for by" not in unknown
    assert "BY" not in unknown


def test_an_object_nobody_has_looked_at():
    fresh = deployment("Pending")
    # What the definition has as a default.
    fresh["status"] = {"observedGeneration": -1}
    fresh["metadata"]["creationTimestamp"] = ago(seconds=10)
    assert "operator has not seen it yet" in text_of(StatusView(Deployment.parse(fresh), [], NOW))
    fresh["metadata"]["creationTimestamp"] = ago(minutes=5)
    assert (
        "No operator has looked at it for 5m: does one run, and is namespace ml one of its own (MOORING_NAMESPACES)?"
        in text_of(StatusView(Deployment.parse(fresh), [], NOW), width=120)
    )


def test_the_list_says_where_no_operator_has_looked(show):
    fresh = deployment("Pending")
    fresh["status"] = {"observedGeneration": -1}
    assert show("list", items=[fresh])[1].rstrip().endswith("no operator has looked at it yet")


def test_the_picture_of_a_monitor():
    assert (
        text_of(DriftView(DRIFT, NOW), width=120)
        == """\
DriftMonitor ml/iris-traffic  Drifted
1 of 2 features drifted: petal_length
Watches ModelDeployment iris

Last evaluation
  3m ago: 1 of 2 features drifted; 400 rows against 1000 of the baseline; revision aaaaaaaaaa

Features
  FEATURE       DRIFTED  KS D   KS P     PSI    PSI P  MISSING  REASON
  petal_length  yes      0.431  1.2e-06  0.520  0.001  1.0%     distance 0.431 (p 1e-06), stability index 0.52 (p 0.001)
  petal_width   no       0.030  0.81     -      -      0.0%

Conditions
  CONDITION  STATUS  SINCE  REASON
  Drifted    True    3m     DriftDetected"""
    )


def test_the_window_and_the_report_of_an_evaluation_are_shown():
    evaluation = {
        **DRIFT["status"]["evaluation"],
        "windowSince": "2026-03-01T11:00:00Z",
        "windowUntil": "2026-03-01T12:00:00Z",
        "reportUrl": "https://kfp.example/#/runs/details/1",
    }
    shown = text_of(DriftView({**DRIFT, "status": {**DRIFT["status"], "evaluation": evaluation}}, NOW), 100)
    assert "window from 2026-03-01T11:00:00Z to 2026-03-01T12:00:00Z" in shown
    assert "report: https://kfp.example/#/runs/details/1" in shown


def test_a_monitor_shows_what_is_trained_and_what_came_out():
    training = {
        "alarm": "2026-03-01T11:00:00Z",
        "asked": "0123456789",
        "stage": "Training",
        "runId": "6f2ac2e2-5da6-5ed6-b56c-e57975d7126e",
        "state": "Running",
        "startedAt": ago(minutes=5),
        "stageAt": ago(minutes=5),
        "url": "https://kfp.example/#/runs/details/2",
    }

    def shown(**changes):
        status = {**DRIFT["status"], "retraining": {**training, **changes}}
        return text_of(DriftView({**DRIFT, "status": status}, NOW), 120)

    assert (
        "  Training, begun 5m ago; run 6f2ac2e2-5da6-5ed6-b56c-e57975d7126e, running\n"
        "  https://kfp.example/#/runs/details/2\n"
    ) in shown()
    done = shown(stage="Done", message="registered as iris version 2", heldUntil="2026-03-02T11:00:00Z")
    assert "  Done, begun 5m ago\n  registered as iris version 2\n" in done
    assert "drift has begun again; the next not before 2026-03-02T11:00:00Z" in done
    assert "https://kfp" not in done


def test_a_monitor_shows_what_changed_in_the_schema():
    changes = [
        {"name": "zip", "change": "TypeChanged", "baseline": "int64", "window": "string"},
        {"name": "made", "change": "New", "window": "double"},
    ]
    evaluation = {**DRIFT["status"]["evaluation"], "schemaChanged": 30, "schemaChanges": changes}
    shown = text_of(DriftView({**DRIFT, "status": {**DRIFT["status"], "evaluation": evaluation}}, NOW), 100)
    assert (
        """\
Schema changes (30)
  COLUMN  CHANGE       BASELINE  WINDOW
  zip     TypeChanged  int64     string
  made    New          -         double
"""
        in shown
    )


def test_status_for_people(show):
    code, out, err = show("status", "iris")
    assert (code, err) == (0, "")
    assert out.startswith("ModelDeployment ml/iris  AwaitingApproval\n")
    assert "\x1b" not in out


def test_status_for_machines(show):
    assert json.loads(show("status", "iris", "-o", "json")[1]) == AWAITING
    assert yaml.safe_load(show("status", "iris", "-o", "yaml")[1]) == AWAITING


@pytest.mark.parametrize("arguments", [["status", "--drift", "iris-traffic"], ["drift", "iris-traffic"]])
def test_drift_has_two_ways(show, arguments):
    code, out, _ = show(*arguments)
    assert code == 0
    assert "petal_length  yes" in out
    assert json.loads(show(*arguments, "-o", "json")[1]) == DRIFT


@pytest.mark.parametrize(("end", "expected"), [(PROMOTED, 0), (REJECTED, 1)])
def test_a_watch_ends_with_the_rollout(show, end, expected):
    code, out, _ = show("status", "iris", "-w", "--exit", later=[CANARY, CANARY, end])
    assert code == expected
    lines = [line.split("  ", 1)[1] for line in out.splitlines()]
    assert lines[0].startswith("AwaitingApproval 10%: revision bbbbbbbbbb at 10% of traffic awaits")
    assert lines[1] == "Canary 10%: stays at 10%"
    assert lines[2].startswith(f"{end['status']['phase']}: ")
    assert len(lines) == 3


def test_a_watch_for_machines_writes_every_change(show):
    code, out, _ = show("status", "iris", "-w", "--exit", "-o", "yaml", later=[PROMOTED])
    assert code == 0
    assert "phase: AwaitingApproval" in out
    assert "phase: Promoted" in out


def test_a_watch_of_something_deleted(show):
    code, _, err = show("status", "iris", "--watch", later=[None])
    assert (code, err) == (1, "error: ModelDeployment iris was deleted\n")


def test_a_watch_that_is_interrupted_ends_well(show, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(FakeCluster, "watch", interrupted)
    assert show("status", "iris", "--watch")[0] == 0


def test_exit_goes_with_watch(show):
    code, _, err = show("status", "iris", "--exit")
    assert code == 2
    assert "goes with --watch" in err


def test_a_status_of_another_version(show):
    item = deployment("Levitating")
    code, _, err = show("status", "iris", items=[item])
    assert code == 2
    assert "error: ModelDeployment iris cannot be read (phase: Input should be" in err
    assert "hint: is this command line of the operator's version?" in err
    assert show("status", "iris", "-o", "json", items=[item])[0] == 0


def test_the_list(show):
    code, out, _ = show("list")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].split() == ["MODELDEPLOYMENT", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "AGE", "MESSAGE"]
    assert lines[1].split()[:6] == ["iris", "AwaitingApproval", "aaaaaaaaaa", "bbbbbbbbbb", "10%", "9d"]
    assert lines[-1].split()[:6] == ["iris-traffic", "Drifted", "iris", "1", "2", "2d"]


def test_the_list_of_all_namespaces_names_them(show):
    assert show("list", "-A")[1].split()[0] == "NAMESPACE"


def test_an_empty_list(show):
    assert show("list", items=[])[1] == (
        "no ModelDeployment and no DriftMonitor in namespace ml; -A looks into all\n"
    )
    assert json.loads(show("list", "-o", "json", items=[])[1]) == {
        "modelDeployments": [],
        "driftMonitors": [],
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (-5, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172800, "2d")],
)
def test_ages(seconds, text):
    assert short(timedelta(seconds=seconds)) == text


def test_what_an_analysis_found_is_one_section():
    found = {
        "candidate": "bbbbbbbbbb",
        "stable": "aaaaaaaaaa",
        "verdict": "FAIL",
        "message": "errorRate: candidate 5.00% (30 of 600), stable 1.00% (24 of 2400); evidence 262 of 100",
        "problem": "latency: no bucket le=+Inf",
        "measured": "memory: 1 of 5 failed, last 4.2",
        "templates": "house@1 cluster/platform@3",
        "since": NOW.isoformat(),
        "until": (NOW - timedelta(seconds=20)).isoformat(),
    }
    item = {**AWAITING, "status": {**AWAITING["status"], "analysis": found}}
    shown = text_of(StatusView(Deployment.parse(item), [], NOW), width=120)
    assert (
        "\nAnalysis\n  FAIL  revision bbbbbbbbbb beside aaaaaaaaaa, counted up to 20s ago\n"
        f"  {found['message']}\n  {found['measured']}\n  by templates {found['templates']}\n  {found['problem']}\n"
    ) in shown
