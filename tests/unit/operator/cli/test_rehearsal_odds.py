"""Rehearsals of rollouts that are judged: what they end in, and how probable that is."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.cli.rehearsal_odds import LEFT, PAUSED, PROMOTED, ROLLED_BACK, TOO_LITTLE, odds
from mooring_operator.cli.rehearsal_traffic import Traffic

from tests.unit.cli_world import invoke
from tests.unit.operator.planning.judged import rollout

FIRST, LAST = {"setWeight": 20}, {"setWeight": 100}


def ends(
    traffic: Traffic, *steps: dict, of: int = 30, approve_after: timedelta | None = None, **fields
) -> dict:
    how = rollout(FIRST, *(steps or ({"analyse": {"duration": "20m"}},)), LAST, **fields)
    found = odds(RolloutSpec.model_validate(how), traffic, approve_after=approve_after, of=of)
    return {end.end: end.share for end in found}


def test_a_good_one_is_hardly_ever_rolled_back_and_a_bad_one_nearly_always():
    assert ends(Traffic(100, errors=0.01)).get(ROLLED_BACK, 0) <= 0.05
    assert ends(Traffic(100, errors=0.05)) == {ROLLED_BACK: 1.0}


def test_a_slow_one_is_rolled_back():
    both = {"metrics": [{"metric": "errorRate"}, {"metric": "latency"}]}
    assert ends(Traffic(100, slower=2.0), of=10, analysis=both) == {ROLLED_BACK: 1.0}


@pytest.mark.parametrize(("then", "end"), [("Pause", PAUSED), ("Pass", PROMOTED), ("Fail", TOO_LITTLE)])
def test_too_few_requests_go_by_the_step(then, end):
    step = {"analyse": {"duration": "5m", "onInsufficient": then}}
    assert ends(Traffic(0.2), step, of=10) == {end: 1.0}


def test_what_turns_out_bad_only_with_all_of_the_traffic_is_left():
    found = ends(
        Traffic(5, errors=0.05), {"pause": {"duration": "1m"}}, of=20, analysis={"afterPromotion": "2h"}
    )
    assert found[LEFT] > 0.5


def test_without_requests_nothing_is_said():
    assert ends(Traffic()) == {}


def analysed(folder: Path) -> Path:
    """The manifest of a rollout with an analysis."""
    spec = {
        "model": {"uri": "s3://m/v1", "format": "onnx"},
        "rollout": rollout(FIRST, {"analyse": {"duration": "20m"}}, LAST),
    }
    path = folder / "iris.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "mooring.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": "iris"},
                "spec": spec,
            }
        )
    )
    return path


def test_without_requests_the_timeline_says_how_to_state_some(tmp_path: Path, capsys):
    path = analysed(tmp_path)
    code, out = invoke(capsys, "rehearse", str(path), "--from-stable", "-o", "json")[:2]
    assert code == 0
    said = [moment["message"] for moment in json.loads(out)[0]["timelines"][0]["moments"]]
    assert any("the rehearsal has no requests; say how many a second with --requests" in one for one in said)
    assert not any("Prometheus" in one for one in said)


def test_the_command_shows_both(tmp_path: Path, capsys):
    path = analysed(tmp_path)
    asked = ("rehearse", str(path), "--from-stable", "--requests", "100", "--errors", "8")
    code, out = invoke(capsys, *asked)[:2]
    assert code == 0
    assert "is judged (step 1)" in out
    assert "It ends rolled back" in out
    assert "rolled back by evidence" in out
    code, out = invoke(capsys, *asked, "-o", "json")[:2]
    timeline = json.loads(out)[0]["timelines"][0]
    assert timeline["end"] == "RolledBack"
    assert timeline["odds"][0]["end"] == ROLLED_BACK
    assert timeline["odds"][0]["afterSeconds"]["p50"] < 600
    # Looks are no lines of their own.
    assert len(timeline["moments"]) < 8
