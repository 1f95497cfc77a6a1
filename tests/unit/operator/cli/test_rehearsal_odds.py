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


@pytest.mark.parametrize(("moved", "end"), [(0.0, PROMOTED), (0.12, ROLLED_BACK), (-0.12, ROLLED_BACK)])
def test_one_that_predicts_otherwise_is_rolled_back(moved, end):
    analysis = {"metrics": [{"metric": "predictionDrift"}]}
    assert ends(Traffic(100, moved=moved), of=10, analysis=analysis) == {end: 1.0}


@pytest.mark.parametrize(("then", "end"), [("Pause", PAUSED), ("Pass", PROMOTED), ("Fail", TOO_LITTLE)])
def test_too_few_requests_go_by_the_step(then, end):
    step = {"analyse": {"duration": "5m", "onInsufficient": then}}
    assert ends(Traffic(0.2), step, of=10) == {end: 1.0}


def test_what_turns_out_bad_only_with_all_of_the_traffic_is_left():
    found = ends(
        Traffic(8, errors=0.05), {"pause": {"duration": "1m"}}, of=20, analysis={"afterPromotion": "2h"}
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


def with_a_rate(folder: Path, *, errors: bool = False) -> list[str]:
    """The manifest of a rollout that is judged by a template's rate, and errors as well, and the template."""
    path = analysed(folder)
    document = yaml.safe_load(path.read_text())
    metrics = {"metrics": [{"metric": "errorRate"}]} if errors else {}
    document["spec"]["rollout"]["analysis"] = {"templates": [{"name": "accuracy"}], **metrics}
    path.write_text(yaml.safe_dump(document))
    return ["rehearse", str(path), "docs/samples/templates/accuracy.yaml", "--from-stable"]


@pytest.mark.parametrize(
    ("stated", "end", "phase"),
    [
        ("20,10", ROLLED_BACK, "RolledBack"),
        ("10,10", PROMOTED, "Promoted"),
        ("20,10,0.1", PAUSED, "RolledBack"),
    ],
    ids=["worse", "alike", "few labels"],
)
def test_rates_of_templates_are_played_as_stated(tmp_path: Path, capsys, stated, end, phase):
    how = ("--requests", "100", "--rate", f"wrong-answers={stated}", "--approve-after", "never")
    code, out = invoke(capsys, *with_a_rate(tmp_path), *how, "-o", "json")[:2]
    assert code == 0
    timeline = json.loads(out)[0]["timelines"][0]
    assert (timeline["end"], timeline["odds"][0]["end"]) == (phase, end)
    assert timeline["odds"][0]["probability"] > 0.8
    said = " ".join(moment["message"] for moment in timeline["moments"])
    assert ("wrong-answers: candidate 20.00% (" in said) == (stated != "10,10")
    # One label in ten seconds: hours later, still in its pause.
    assert (timeline["moments"][-1]["atSeconds"] > 3 * 3600) == (end == PAUSED)


def test_labels_may_be_all_that_is_counted(tmp_path: Path, capsys):
    how = ("--rate", "wrong-answers=40,10,50", "-o", "json")
    code, out = invoke(capsys, *with_a_rate(tmp_path), *how)[:2]
    assert (code, json.loads(out)[0]["timelines"][0]["end"]) == (0, "RolledBack")


def with_an_agreement(folder: Path, strategy: str = "Shadow", **analysis) -> list[str]:
    """The manifest of a rollout that is judged by copies of requests, and the template."""
    path = analysed(folder)
    document = yaml.safe_load(path.read_text())
    document["spec"]["serving"] = {"capture": {"store": "s3://kept/requests"}}
    rollout = document["spec"]["rollout"]
    rollout |= {"strategy": strategy, "analysis": {"templates": [{"name": "agreement"}], **analysis}}
    if strategy == "Shadow":
        rollout["shadow"] = {"percent": 50, "duration": "30m"}
    path.write_text(yaml.safe_dump(document))
    return ["rehearse", str(path), "docs/samples/templates/agreement.yaml", "--from-stable"]


@pytest.mark.parametrize(("percent", "end"), [("6", ROLLED_BACK), ("0.2", PROMOTED)])
def test_agreements_are_played_as_stated(tmp_path: Path, capsys, percent, end):
    """Of half of ten requests a second there are copies: 600 pairs in each look of two minutes."""
    how = ("--requests", "10", "--differ", f"disagreement={percent}", "-o", "json")
    code, out, err = invoke(capsys, *with_an_agreement(tmp_path), *how)
    assert (code, err) == (0, "")
    timeline = json.loads(out)[0]["timelines"][0]
    assert (timeline["odds"][0]["end"], timeline["odds"][0]["probability"] > 0.9) == (end, True)
    assert timeline["end"] == ("RolledBack" if end == ROLLED_BACK else "Promoted")
    if end == ROLLED_BACK:
        assert "disagreement: candidate 6.00% (144 of 2400), limit 2%" in timeline["because"]
        assert 0.5 < timeline["odds"][0]["afterSeconds"]["p50"] / timeline["moments"][-1]["atSeconds"] < 2


def test_without_copies_no_pairs_are_played(tmp_path: Path, capsys):
    how = ("--requests", "10", "--differ", "disagreement=50", "--approve-after", "never", "-o", "json")
    code, out, _ = invoke(capsys, *with_an_agreement(tmp_path, "Canary"), *how)
    assert code == 0
    timeline = json.loads(out)[0]["timelines"][0]
    assert timeline["odds"][0] | {"afterSeconds": 0} == {"end": PAUSED, "probability": 1.0, "afterSeconds": 0}


def test_an_agreement_that_nobody_states_is_left_out_and_said(tmp_path: Path, capsys):
    files = with_an_agreement(tmp_path, metrics=[{"metric": "errorRate"}])
    code, _, err = invoke(capsys, *files, "--requests", "100")
    assert code == 0
    assert err == "not played, for nobody has stated what they give: disagreement (--differ)\n"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["disagreement"], "write NAME=PERCENT"),
        (["disagreement=x"], "write NAME=PERCENT"),
        (["disagreement=nan"], "write NAME=PERCENT"),
        (["disagreement=101"], "0 to 100"),
        (["disagreement=1", "disagreement=2"], "disagreement is there twice"),
        (["charm=5"], "--differ charm: the templates have disagreement"),
        ([], "--differ disagreement=2"),
    ],
)
def test_an_agreement_that_cannot_be_played_is_named(tmp_path: Path, capsys, given, says):
    how = [word for one in given for word in ("--differ", one)]
    code, _, err = invoke(capsys, *with_an_agreement(tmp_path), *how)
    assert code == 2
    assert says in " ".join(err.replace("\u2502", " ").split())


def test_a_rate_that_nobody_states_is_left_out_and_said(tmp_path: Path, capsys):
    code, _, err = invoke(capsys, *with_a_rate(tmp_path, errors=True), "--requests", "100")
    assert code == 0
    assert err == "not played, for nobody has stated what they give: wrong-answers (--rate)\n"
    code, _, err = invoke(capsys, *with_a_rate(tmp_path), "--requests", "100")
    assert code == 2
    assert "nothing of the templates can be rehearsed" in err
    assert "--rate wrong-answers=5,2" in err


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        (["wrong-answers"], "write NAME=PERCENT,PERCENT"),
        (["wrong-answers=5"], "write NAME=PERCENT,PERCENT"),
        (["wrong-answers=5,x"], "write NAME=PERCENT,PERCENT"),
        (["wrong-answers=5,101"], "each 0 to 100"),
        (["wrong-answers=nan,1"], "each 0 to 100"),
        (["wrong-answers=5,1,0"], "how many are counted"),
        (["wrong-answers=5,1,2,3"], "write NAME=PERCENT,PERCENT"),
        (["wrong-answers=5,1", "wrong-answers=6,1"], "wrong-answers is there twice"),
        (["charm=5,1"], "--rate charm: the templates have wrong-answers"),
    ],
)
def test_a_rate_that_cannot_be_played_is_named(tmp_path: Path, capsys, rates, says):
    how = [word for rate in rates for word in ("--rate", rate)]
    code, _, err = invoke(capsys, *with_a_rate(tmp_path), *how)
    assert code == 2
    assert says in " ".join(err.replace("\u2502", " ").split())


def test_a_rate_of_no_template_is_refused(tmp_path: Path, capsys):
    code, _, err = invoke(capsys, "rehearse", str(analysed(tmp_path)), "--rate", "wrong-answers=5,1")
    assert code == 2
    assert "--rate wrong-answers: iris names no template with rates" in err
