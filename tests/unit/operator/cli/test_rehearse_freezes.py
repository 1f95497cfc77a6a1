"""Rehearsals over real time: windows in which nothing goes forward, dates, and other deployments."""

from datetime import UTC, datetime

import pytest
import yaml
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.deployment import Deployment
from mooring_operator.cli.rehearsal import rehearse
from mooring_operator.cli.rehearsal_view import offset
from mooring_operator.cli.rehearsal_world import Script
from mooring_operator.cli.status_view import StatusView
from rich.console import Console

from tests.unit.cli_world import AWAITING, MANIFEST, NOW, invoke

STEPS = [{"setWeight": 10}, {"pause": {"duration": "1h"}}, {"setWeight": 100}]
WEEKEND = {"start": "Fri 18:00", "end": "Mon 08:00", "timeZone": "Europe/Berlin"}
FRIDAY = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)


def played(at: datetime, **rollout: object) -> list[str]:
    model = {"uri": "s3://m/v1", "format": "onnx", "digest": f"sha256:{'a' * 64}"}
    spec = ModelDeploymentSpec.model_validate({"model": model, "rollout": {"steps": STEPS, **rollout}})
    timeline = rehearse(spec, Script(start=at), name="iris", from_stable=True)
    return [
        f"{offset(m.at)} {m.reason} {m.weight}%{f' -> {m.waits_for}' if m.waits_for else ''}"
        for m in timeline.moments
    ]


def test_a_rollout_runs_into_a_freeze_and_goes_on_behind_it():
    assert played(FRIDAY, freeze=[WEEKEND]) == [
        "+0:00:00 SettingWeight 10% -> the revision to become ready",
        "+0:00:30 Pausing 10% -> the pause to end",
        "+1:00:30 Frozen 10% -> the freeze to end",
        "+2d 14:30:00 SettingWeight 100% -> the revision to become ready",
        "+2d 14:30:00 Promoting 100% -> the service to follow",
        "+2d 14:30:00 Promoted 100%",
    ]


def test_one_freeze_after_another_is_shown_to_the_second():
    """Windows come again: each is a line of its own."""
    nights = {"start": "17:00", "end": "09:00", "timeZone": "Europe/Berlin"}
    pause = {"pause": {"duration": "9h"}}
    steps = [{"setWeight": 10}, pause, {"setWeight": 50}, pause, {"setWeight": 100}]
    found = played(datetime(2026, 11, 30, 7, 30, tzinfo=UTC), freeze=[nights], steps=steps)
    frozen = [line for line in found if "Frozen" in line]
    assert frozen == [
        "+0:00:00 Frozen 0% -> the freeze to end",
        "+9:30:30 Frozen 10% -> the freeze to end",
        "+1d 9:30:00 Frozen 50% -> the freeze to end",
    ]


def test_a_date_is_waited_for_however_far_away_it_is():
    found = played(FRIDAY, notBefore="2029-01-31T18:00:00+01:00")
    assert found[0] == "+0:00:00 NotBefore 0% -> its time"
    assert found[1].startswith("+796d 0:30:00 SettingWeight")


def test_others_have_promoted_the_model_and_nobody_is_ahead():
    found = played(FRIDAY, requires=[{"name": "iris", "namespace": "staging"}], maxConcurrent=1)
    assert [line.split()[1] for line in found] == [
        "Queued", "SettingWeight", "Pausing", "SettingWeight", "Promoting", "Promoted"
    ]  # fmt: skip


def test_the_chart_has_a_row_for_the_freeze(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    manifest = yaml.safe_load(MANIFEST)
    manifest["spec"]["rollout"] = {"steps": STEPS, "freeze": [WEEKEND]}
    path = tmp_path / "iris.yaml"
    path.write_text(yaml.safe_dump(manifest))
    code, out, _ = invoke(capsys, "rehearse", str(path), "--from-stable", "--at", "2026-11-27T17:30:00+01:00")
    assert code == 0
    assert "frozen until Mon 2026-11-30 08:00 Europe/Berlin" in " ".join(out.split())
    [row] = [line for line in out.splitlines() if line.startswith("frozen ")]
    assert "yes █" in row


@pytest.mark.parametrize("text", ["tomorrow", "2026-11-27", "2026-11-27T17:30:00", "2026-02-30T00:00:00Z"])
def test_what_is_no_time_is_refused(tmp_path, capsys, text):
    path = tmp_path / "iris.yaml"
    path.write_text(MANIFEST)
    code, _, err = invoke(capsys, "rehearse", str(path), "--at", text)
    assert code == 2
    assert "is not a point in time with its zone" in " ".join(err.replace("│", " ").split())


def test_status_tells_the_next_freeze():
    rollout = {**AWAITING["spec"]["rollout"], "freeze": [{"start": "2099-12-20", "end": "2099-12-31"}]}
    item = {**AWAITING, "spec": {**AWAITING["spec"], "rollout": rollout}}
    console = Console(width=100, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(StatusView(Deployment.parse(item), [], NOW))
    assert "Next freeze from Sun 2099-12-20 00:00 UTC" in console.export_text()
