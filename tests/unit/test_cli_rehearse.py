"""Rehearsals: the timeline that the planner would take."""

import json
import re
from datetime import timedelta

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.rehearsal import Rehearsal, rehearse
from mooring_operator.cli.rehearsal_view import offset
from mooring_operator.cli.rehearsal_world import START, Script, World

from tests.unit.cli_world import MANIFEST, invoke

SPEC = ModelDeploymentSpec.model_validate(yaml.safe_load(MANIFEST)["spec"])
MINUTE = timedelta(minutes=1)


def lines(script, *, from_stable=True, spec=SPEC):
    timeline = rehearse(spec, script, name="iris", from_stable=from_stable)
    told = [
        f"{offset(m.at)} {m.phase:<16} {m.weight:>3}% {m.reason}{f' -> {m.waits_for}' if m.waits_for else ''}"
        for m in timeline.moments
    ]
    return [*told, timeline.end]


def test_the_first_deployment_takes_no_steps():
    assert lines(Script(), from_stable=False) == [
        "+0:00:00 Testing            0% Testing -> the CI run",
        "+0:02:00 Deploying        100% Deploying -> the revision to become ready",
        "+0:02:30 Promoted         100% Promoted",
        "Promoted",
    ]


def test_a_new_revision_takes_every_step():
    assert lines(Script()) == [
        "+0:00:00 Testing            0% Testing -> the CI run",
        "+0:02:00 Canary            10% SettingWeight -> the revision to become ready",
        "+0:02:30 Canary            10% Pausing -> the pause to end",
        "+0:07:30 AwaitingApproval  10% AwaitingApproval -> mooring approve",
        "+0:12:30 AwaitingApproval  10% Approved",
        "+0:12:30 Canary           100% SettingWeight -> the revision to become ready",
        "+0:12:30 Promoting        100% Promoting -> the service to follow",
        "+0:12:30 Promoted         100% Promoted",
        "Promoted",
    ]


def test_where_pods_decide_the_share_is_that_of_the_pods():
    steps = [{"setWeight": 20}, {"pause": {"duration": "1m"}}, {"setWeight": 50}, {"setWeight": 100}]
    rollout = {"router": "Endpoints", "steps": steps}
    spec = ModelDeploymentSpec.model_validate(
        {"model": {"uri": "s3://m/1", "format": "onnx"}, "serving": {"minReplicas": 4}, "rollout": rollout}
    )
    timeline = rehearse(spec, Script(), name="iris", from_stable=True)
    shares = {moment.sample.shares["new"].weight for moment in timeline.moments}
    assert (timeline.end, shares) == ("Promoted", {0, 20, 50, 100})


def arms(**rollout):
    """Weight and pods of the stable and of the new revision, of three pods, wherever they change."""
    spec = ModelDeploymentSpec.model_validate(
        {
            "model": {"uri": "s3://m/1", "format": "onnx"},
            "serving": {"minReplicas": 3},
            "rollout": {"steps": [{"setWeight": 50}, {"approve": {}}, {"setWeight": 100}], **rollout},
        }
    )
    timeline = rehearse(spec, Script(), name="iris", from_stable=True)
    assert timeline.end == "Promoted"
    shown = [
        tuple((share.weight, share.pods) for share in moment.sample.shares.values())
        for moment in timeline.moments
    ]
    return list(dict.fromkeys(shown))


def test_with_a_surge_pods_come_as_others_go_and_none_carries_more_than_its_part():
    assert arms(router="Gateway", maxSurge=1) == [
        ((100, 3), (0, 0)),
        ((67, 3), (33, 1)),
        ((67, 2), (33, 1)),
        ((50, 2), (50, 2)),
        ((34, 2), (66, 2)),
        ((34, 1), (66, 2)),
        ((0, 1), (100, 3)),
    ]


def test_pods_that_a_later_step_adds_take_their_time_too():
    assert arms(router="Gateway") == [
        ((100, 3), (0, 0)),
        ((50, 3), (50, 2)),
        ((34, 3), (66, 2)),
        ((0, 3), (100, 3)),
    ]


@pytest.mark.parametrize(("uri", "end"), [("file:///m/iris", "Promoted"), ("s3://m/iris", "Waiting")])
def test_the_digest_of_a_file_is_known_as_it_is_to_the_operator(uri, end):
    required = {"requires": [{"name": "elsewhere"}]}
    spec = ModelDeploymentSpec.model_validate({"model": {"uri": uri, "format": "onnx"}, "rollout": required})
    for from_stable in (False, True):
        timeline = rehearse(spec, Script(), name="iris", from_stable=from_stable)
        assert (timeline.end, "the revision has none" in timeline.because) == (end, end == "Waiting")
        assert (timeline.moments[0].reason == "RequirementUnmet") == (end == "Waiting")


def test_what_the_new_revision_gets_is_shown_and_not_what_is_asked_for(capsys, manifest):
    _, shown, _ = invoke(capsys, "rehearse", manifest, "--from-stable")
    asked = next(line for line in shown.splitlines() if "giving the new revision 10% of" in line)
    assert re.search(r"Canary +0%", asked), asked


@pytest.mark.parametrize("from_stable", [False, True])
def test_a_failed_test_ends_it(from_stable):
    assert lines(Script(ci="fail"), from_stable=from_stable) == [
        "+0:00:00 Testing            0% Testing -> the CI run",
        "+0:02:00 Failed             0% CIFailed",
        "Failed",
    ]


def test_a_revision_that_is_never_ready_is_rolled_back_at_the_deadline():
    assert lines(Script(ready_after=None)) == [
        "+0:00:00 Testing            0% Testing -> the CI run",
        "+0:02:00 Canary            10% SettingWeight -> the revision to become ready",
        "+0:12:00 RolledBack         0% ProgressDeadlineExceeded",
        "RolledBack",
    ]


def test_a_first_revision_that_is_never_ready_fails_at_the_deadline():
    assert lines(Script(ready_after=None), from_stable=False)[-2:] == [
        "+0:12:00 Failed             0% ProgressDeadlineExceeded",
        "Failed",
    ]


def test_without_an_approval_it_waits_for_ever():
    assert lines(Script(approve_after=None))[-2:] == [
        "+0:07:30 AwaitingApproval  10% AwaitingApproval -> mooring approve",
        "Waiting",
    ]


def test_a_run_without_an_end_meets_the_timeout():
    *_, last, end = lines(Script(ci_takes=None))
    assert last == "+0:30:01 Failed             0% CITimeout"
    assert end == "Failed"


def test_without_tests_it_starts_at_once():
    untested = SPEC.model_copy(update={"ci": None})
    assert lines(Script(), spec=untested)[0] == (
        "+0:00:00 Canary            10% SettingWeight -> the revision to become ready"
    )


def test_weights_without_a_wait_are_all_shown():
    raw = yaml.safe_load(MANIFEST)["spec"] | {"rollout": {"steps": [{"setWeight": w} for w in (10, 60, 100)]}}
    shown = lines(Script(), spec=ModelDeploymentSpec.model_validate(raw))
    assert [line for line in shown if "SettingWeight" in line] == [
        "+0:02:00 Canary            10% SettingWeight -> the revision to become ready",
        "+0:02:30 Canary            60% SettingWeight -> the revision to become ready",
        "+0:02:30 Canary           100% SettingWeight -> the revision to become ready",
    ]


DURATIONS = st.one_of(st.none(), st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)))
SCRIPTS = st.builds(
    Script,
    ci=st.sampled_from(["pass", "fail"]),
    ci_takes=DURATIONS,
    ready_after=DURATIONS,
    approve_after=DURATIONS,
)
WAITS = st.one_of(
    st.just({"pause": {}}),
    st.just({"approve": {}}),
    st.integers(1, 99_999).map(lambda seconds: {"pause": {"duration": f"{seconds}s"}}),
)


@st.composite
def specs(draw):
    weights = [*sorted(draw(st.sets(st.integers(1, 99), max_size=4))), 100]
    steps = []
    for weight in weights:
        steps += [{"setWeight": weight}, *draw(st.lists(WAITS, max_size=2))]
    raw = yaml.safe_load(MANIFEST)["spec"]
    raw["rollout"] = {"steps": steps, "progressDeadline": f"{draw(st.integers(1, 99_999))}s"}
    raw["serving"] = {"mode": draw(st.sampled_from(["Standard", "Knative"]))}
    if draw(st.booleans()):
        del raw["ci"]
    return ModelDeploymentSpec.model_validate(raw)


@given(spec=specs(), script=SCRIPTS, from_stable=st.booleans())
@settings(max_examples=120, deadline=None)
def test_every_rehearsal_ends(spec, script, from_stable):
    timeline = rehearse(spec, script, name="iris", from_stable=from_stable)
    times = [moment.at for moment in timeline.moments]
    assert times == sorted(times)
    if timeline.end == "Waiting":
        # Only people and runs may keep a rollout waiting; pods may not.
        assert timeline.moments[-1].waits_for == "mooring approve"
        assert script.approve_after is None
    weights = [moment.weight for moment in timeline.moments if moment.phase in ("Canary", "Promoting")]
    assert weights == sorted(weights)


@given(spec=specs(), script=SCRIPTS)
@settings(max_examples=60, deadline=None)
def test_the_planner_asks_to_be_woken_before_it_would_decide_otherwise(spec, script):
    """Bisection finds when a decision changes by the clock alone; recheck_after must not sleep past that."""
    rehearsal = Rehearsal(spec, World(spec, script, name="iris"))
    while True:
        list(rehearsal._settle())
        following = rehearsal._next_moment()
        if following is None or rehearsal.status.phase in ("Promoted", "RolledBack", "Failed"):
            return
        if following != rehearsal.world.next_event(rehearsal.now, rehearsal.status):
            recheck = rehearsal.plan().recheck_after
            assert recheck is not None
            assert rehearsal.now + timedelta(seconds=recheck) <= following + timedelta(seconds=1)
        rehearsal.now = following


def test_a_pause_of_a_year_costs_no_more_than_one_of_a_second():
    raw = yaml.safe_load(MANIFEST)["spec"]
    raw["rollout"] = {"steps": [{"setWeight": 1}, {"pause": {"duration": "8000h"}}, {"setWeight": 100}]}
    spec = ModelDeploymentSpec.model_validate(raw)
    rehearsal = Rehearsal(spec, World(spec, Script(), name="iris"))
    assert len(list(rehearsal.run())) < 10
    assert lines(Script(), spec=spec)[-1] == "Promoted"
    assert rehearsal.now < START + timedelta(days=400)


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "iris.yaml"
    path.write_text(MANIFEST)
    return str(path)


def test_both_timelines_are_shown(capsys, manifest):
    code, out, err = invoke(capsys, "rehearse", manifest)
    assert (code, err) == (0, "")
    assert out.index("The first deployment") < out.index("A new revision on top of a stable one")
    assert "It ends promoted at +0:02:30" in out
    assert "the new revision stays at 10% of traffic for its pause (step 1)" in out
    assert "It ends promoted at +0:12:30" in out
    assert "+0:07:30   AwaitingApproval    10%   the new revision at 10% of traffic awaits approval" in out


@pytest.mark.parametrize(
    ("rollout", "router"),
    [
        ({}, "KServe"),
        ({"strategy": "BlueGreen", "steps": [{"job": {"image": "smoke"}}, {"setWeight": 100}]}, "Gateway"),
        ({"strategy": "Shadow"}, "Gateway"),
        ({"strategy": "Recreate", "router": "Endpoints"}, "Endpoints"),
        ({"strategy": "Recreate", "router": "KServe"}, None),
        ({"gateway": {"name": "front"}}, "Gateway"),
    ],
)
def test_a_strategy_is_played_on_a_router_that_has_it(capsys, tmp_path, rollout, router):
    document = yaml.safe_load(MANIFEST)
    document["spec"] = {"model": document["spec"]["model"], "rollout": rollout}
    path = tmp_path / "iris.yaml"
    path.write_text(yaml.safe_dump(document))
    code, out, err = invoke(capsys, "rehearse", str(path), "--from-stable")
    if router is None:
        assert (code, "router KServe cannot serve each revision by itself" in err) == (1, True)
        return
    assert f"on top of a stable one, by router {router}\n" in out
    assert "It ends promoted" in out


@pytest.mark.parametrize(
    ("serving", "router", "says"),
    [
        ({"runtimePolicy": "Pinned"}, "Auto", "Pinned: edits of the runtime roll nothing out"),
        ({"runtimePolicy": "Pinned"}, "Endpoints", "Pinned: edits of the runtime roll nothing out"),
        ({"runtimePolicy": "Follow"}, "Endpoints", None),
        ({}, "KServe", None),
    ],
)
def test_a_runtime_that_is_pinned_is_told(capsys, tmp_path, serving, router, says):
    document = yaml.safe_load(MANIFEST)
    document["spec"] = {"model": document["spec"]["model"], "serving": serving, "rollout": {"router": router}}
    path = tmp_path / "iris.yaml"
    path.write_text(yaml.safe_dump(document))
    code, out, _ = invoke(capsys, "rehearse", str(path), "--from-stable")
    assert (code, "runtimePolicy" in out) == (0, says is not None)
    assert (says or "") in out
    # Both rollouts are shown, and the sentence once.
    assert invoke(capsys, "rehearse", str(path))[1].count("runtimePolicy") == (says is not None)


def test_nobody_answers_in_the_gap_of_recreate(capsys, tmp_path):
    document = yaml.safe_load(MANIFEST)
    document["spec"] = {"model": document["spec"]["model"], "rollout": {"strategy": "Recreate"}}
    path = tmp_path / "iris.yaml"
    path.write_text(yaml.safe_dump(document))
    _, out, _ = invoke(capsys, "rehearse", str(path), "--from-stable", "-o", "json")
    [played] = json.loads(out)[0]["timelines"]
    gap = [moment["arms"] for moment in played["moments"] if moment["atSeconds"] < 30][-1]
    assert gap == {"stable": {"weight": 0, "pods": 0}, "new": {"weight": 0, "pods": 0}}


def test_one_of_them_by_option(capsys, manifest):
    assert "on top of" not in invoke(capsys, "rehearse", manifest, "--first")[1]
    assert "The first" not in invoke(capsys, "rehearse", manifest, "--from-stable")[1]


def test_the_timeline_for_machines(capsys, manifest):
    _, out, _ = invoke(capsys, "rehearse", manifest, "--ci", "fail", "--from-stable", "-o", "json")
    ((played,),) = ([entry["timelines"] for entry in json.loads(out)],)
    assert played[0]["end"] == "Failed"
    assert [(m["atSeconds"], m["reason"]) for m in played[0]["moments"]] == [
        (0, "Testing"),
        (120, "CIFailed"),
    ]


@pytest.mark.parametrize("when", ["after 90s", "90s", "1m30s"])
def test_times_may_be_said_in_several_ways(capsys, manifest, when):
    assert (
        "It ends promoted at +0:03:30"
        in invoke(capsys, "rehearse", manifest, "--first", "--candidate", when)[1]
    )


def test_no_time_at_all_is_at_once(capsys, manifest):
    at_once, ready = (
        invoke(capsys, "rehearse", manifest, "--first", "--candidate", when)[1] for when in ("0s", "ready")
    )
    assert at_once == ready
    assert "It ends promoted" in at_once


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--candidate", "soon"], "'soon': write a time like 30s, 5m or 1h30m, 0s for at once, or never"),
        (["--candidate", "9999999999999h"], "'9999999999999h': write a time like"),
        (["--metric", "accuracy"], "'accuracy': write NAME=NUMBER"),
        (["--metric", "acuracy=0.9"], "'acuracy' is not a metric; did you mean accuracy?"),
        (["--name", "rose"], "error: no ModelDeployment rose in these files"),
    ],
)
def test_wrong_options(capsys, manifest, arguments, says):
    code, out, err = invoke(capsys, "rehearse", manifest, *arguments)
    assert (code, out) == (2, "")
    assert says in " ".join(err.replace("│", " ").split())


def test_an_invalid_file_is_not_rehearsed(capsys, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(MANIFEST.replace("setWeight: 10\n", "setWeight: -1\n"))
    code, out, err = invoke(capsys, "rehearse", str(path))
    assert (code, out) == (1, "")
    assert f"{path}:14: spec.rollout.steps[0].setWeight: must be at least 0, got -1\n" in err
    assert err.endswith(f"error: {path} is not valid: nothing to rehearse\n")


def test_a_duration_beyond_the_calendar(capsys, tmp_path):
    path = tmp_path / "long.yaml"
    path.write_text(MANIFEST.replace("duration: 5m", "duration: 99999999999999h"))
    code, _, err = invoke(capsys, "rehearse", str(path))
    assert code in (1, 2)
    assert "error: " in err


POLICY = """\
---
apiVersion: mooring.dev/v1alpha1
kind: ModelPolicy
metadata: {name: house-rules}
spec: {rules: [{name: accurate, expression: metrics.accuracy >= 0.95}]}
"""


CLUSTER_POLICY = """\
---
apiVersion: mooring.dev/v1alpha1
kind: ClusterModelPolicy
metadata: {name: production}
spec: {requireCI: true, requiredGates: [{metric: accuracy, min: %s}]}
"""


@pytest.mark.parametrize(("least", "end"), [("0.5", "It ends promoted"), ("0.99", "It ends as failed")])
def test_cluster_policies_among_the_files_are_applied(capsys, tmp_path, least, end):
    path = tmp_path / "all.yaml"
    path.write_text(MANIFEST + CLUSTER_POLICY % least)
    _, out, _ = invoke(capsys, "rehearse", str(path), "--from-stable")
    assert end in out
    assert ("ClusterModelPolicy production forbids" in " ".join(out.split())) == (least == "0.99")


@pytest.mark.parametrize(
    ("metric", "policy", "end"),
    [
        ("0.96", POLICY, "It ends promoted"),
        ("0.91", POLICY, "It ends as failed"),
        ("0.91", "", "It ends promoted"),  # a policy that is not among the files is taken as met
    ],
)
def test_policies_among_the_files_are_applied(capsys, tmp_path, metric, policy, end):
    path = tmp_path / "all.yaml"
    path.write_text(MANIFEST.replace("  rollout:", "  policies: [house-rules]\n  rollout:") + policy)
    _, out, _ = invoke(capsys, "rehearse", str(path), "--first", "--metric", f"accuracy={metric}")
    assert end in out


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        ("BlueGreen", "at its preview address iris-preview."),
        ("Shadow", "gets copies of 100% of the requests"),
        ("Recreate", "nothing answers until that is ready"),
    ],
)
def test_strategies_are_rehearsed_to_their_end(capsys, tmp_path, strategy, says):
    path = tmp_path / "strategy.yaml"
    path.write_text(
        "apiVersion: mooring.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: iris}\nspec:\n"
        "  model: {uri: 's3://m/iris', format: onnx}\n"
        f"  rollout: {{router: Gateway, strategy: {strategy}}}\n"
    )
    code, out, _ = invoke(capsys, "rehearse", str(path))
    text = " ".join(out.split())
    assert code == 0
    assert says in text
    assert text.count("It ends promoted") == 2
