"""Training anew: once for each time that drift begins, and not more often than spec.retrain allows."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import Evaluation
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.types import Condition
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.drift.retraining import (
    LaunchTraining,
    Monitor,
    Trained,
    TrainingSeen,
    describe_wait,
    follow,
)
from mooring_operator.planning.drift.sources import Kept
from mooring_operator.planning.runs.abandoned_runs import unended
from mooring_operator.planning.runs.run import RunState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
DIGEST = "sha256:" + "a" * 64
IMAGE = {"image": "registry.example.com/team/train:1.2", "output": "s3://team/models/digits"}
KEPT = Kept(since=NOON - 48 * HOUR, store="s3://team/kept", retention=30 * 24 * HOUR)
FOLDER = "s3://team/kept/deployment=digits/revision=r1"


class Training:
    """A monitor whose condition Drifted a test sets, and runs that it ends; each look is a new process."""

    def __init__(self, asked=None, *, kept=KEPT, model_uri="", **fields):
        given = {"target": {"name": "digits"}, "retrain": {**IMAGE, **(asked or {})}, **fields}
        self.spec = DriftMonitorSpec.model_validate(given)
        self.target = Target("digits", "r1", None, kept, model_uri)
        self.status = DriftMonitorStatus(evaluation=evaluation())
        self.now, self.generation, self.runs = NOON, 1, {}
        self.launched, self.events, self.result, self.refused = [], [], None, None

    def say(self, *, drifted, revision="r1", of="Drifted"):
        others = [each for each in self.status.conditions if each.type != of]
        known = next((each for each in self.status.conditions if each.type == of), None)
        status = "True" if drifted else "False"
        since = known.last_transition_time if known and known.status == status else self.now
        condition = Condition(
            type=of,
            status=status,
            reason="R",
            message="m",
            last_transition_time=since,
            observed_generation=1,
        )
        changes = {"conditions": [*others, condition], "evaluation": evaluation(revision)}
        self.status = self.status.model_copy(update=changes)
        return self

    def look(self, after=MINUTE, *, crash=False):
        """A pass; where it crashes, its status is written and nothing of what follows is done."""
        self.now += after
        current = self.status.retraining.current if self.status.retraining else ""
        seen = TrainingSeen({current: self.runs.get(current)} if current else {}, self.result, self.refused)
        monitor = Monitor("uid-1", self.generation, self.target, 4 * HOUR, "http://kfp/#/runs/details/")
        found = follow(self.spec, self.status, monitor, seen, self.now)
        changes = {"retraining": found.training, "abandoned_runs": found.abandoned}
        written = self.status.model_copy(update=changes).model_dump_json(by_alias=True)
        self.status = DriftMonitorStatus.model_validate_json(written)
        self.pause = found.recheck_after
        self.events += [action.reason for action in found.actions if isinstance(action, Notify)]
        for action in found.actions:
            if isinstance(action, LaunchTraining) and not crash:
                run_id = action.training.current
                if run_id not in self.runs:
                    self.launched.append(run_id)
                self.runs.setdefault(run_id, RunState(run_id, "Running", started_at=self.now))
        return self

    def end(self, phase="Succeeded", message="", result=None):
        run_id, self.result = self.training.current, result
        self.runs[run_id] = RunState(run_id, phase, message)
        return self.look().look()

    def finish(self, result=None):
        return self.end().end(result=result or Trained(DIGEST))

    def ask(self, **fields):
        written = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        written["retrain"] |= fields
        self.spec, self.generation = DriftMonitorSpec.model_validate(written), self.generation + 1
        return self

    @property
    def training(self):
        return self.status.retraining


def evaluation(revision="r1"):
    return Evaluation(time=NOON, revision=revision, window_since=NOON - 2 * HOUR, window_until=NOON - HOUR)


def test_calm_traffic_trains_nothing():
    training = Training().look().say(drifted=False).look().look()
    assert (training.training, training.launched, training.events, training.pause) == (None, [], [], None)


def test_what_was_converted_is_what_is_offered():
    training = Training().ask(convert="ONNX").say(drifted=True).look().look()
    made = training.training.model_uri
    training.end().end(result=Trained(DIGEST, converted=True))
    assert training.training.model_uri == f"{made}-onnx"
    assert f"spec.model: {{uri: {made}-onnx, digest: {DIGEST}, format: onnx}}" in training.training.message


def test_drift_trains_once_and_what_comes_out_is_looked_at():
    training = Training().say(drifted=True).look().look()
    first = training.training
    assert (first.stage, first.state, len(training.launched)) == ("Training", "Running", 1)
    assert first.model_uri == f"s3://team/models/digits/{first.run_id}"
    assert first.url == f"http://kfp/#/runs/details/{first.run_id}"
    training.end()
    assert (training.training.stage, training.launched) == (
        "Registering",
        [first.run_id, training.training.registration_id],
    )
    training.end(result=Trained(DIGEST))
    done = training.training
    assert (done.stage, done.digest, done.current) == ("Done", DIGEST, "")
    assert done.message == (
        "to have the new model tested and rolled out, write in ModelDeployment digits: "
        f"spec.model: {{uri: {first.model_uri}, digest: {DIGEST}}}"
    )
    training.look().look(48 * HOUR)
    assert (training.events, len(training.launched)) == (["RetrainingStarted", "Retrained"], 2)


@pytest.mark.parametrize(
    ("found", "follows", "told"),
    [
        (
            Trained(DIGEST, "digits/7", "registered as digits version 7"),
            "models:/digits@challenger",
            "registered as digits version 7; ModelDeployment digits follows models:/digits@challenger: it is tested "
            "next",
        ),
        (
            Trained(DIGEST, "digits/7", "registered as digits version 7"),
            "models:/digits@champion",
            "registered as digits version 7; to have it tested, write in ModelDeployment digits: "
            "spec.model.uri: models:/digits@challenger",
        ),
        (
            Trained(DIGEST, "digits/7", "registered as digits version 7; alias stays", problem=True),
            "models:/digits@challenger",
            "registered as digits version 7; alias stays; ModelDeployment digits may name models:/digits/7 in "
            "spec.model.uri",
        ),
        (
            Trained(DIGEST, "", "not registered as digits: MLflow is away", problem=True),
            "models:/digits@challenger",
            "not registered as digits: MLflow is away; to have the new model tested and rolled out, write in "
            "ModelDeployment digits: spec.model: {uri: ",
        ),
    ],
)
def test_a_person_is_told_what_is_left_to_do(found, follows, told):
    training = Training({"registerAs": "digits"}, model_uri=follows).say(drifted=True).look().finish(found)
    assert training.training.message.startswith(told)
    assert training.training.registered == found.registered


def test_a_process_that_dies_between_two_requests_makes_the_run_once():
    training = Training().say(drifted=True).look(crash=True)
    assert (training.launched, training.training.stage) == ([], "Training")
    training.look(crash=True).look().look()
    run_id = training.training.run_id
    assert training.launched == [run_id]
    training.runs[run_id] = RunState(run_id, "Succeeded")
    training.look(crash=True).look().look()
    assert training.launched == [run_id, training.training.registration_id]


def test_what_drifts_while_one_trains_starts_no_other():
    training = Training({"cooldown": "1m", "perDay": 5}).say(drifted=True).look().look()
    training.say(drifted=False).look().say(drifted=True).look().look()
    assert (len(training.launched), training.training.held_until) == (1, None)
    training.say(drifted=False).finish().look()
    assert len(training.launched) == 2
    assert training.training.stage == "Done"


def test_a_cool_down_holds_back_what_does_not_outlast_it():
    training = Training({"cooldown": "6h", "perDay": 5}).say(drifted=True).look().finish()
    first = training.training.run_id
    began = training.training.started_at
    training.say(drifted=False).look().say(drifted=True).look()
    assert training.training.held_until == began + 6 * HOUR
    assert training.pause == (began + 6 * HOUR - training.now).total_seconds()
    assert describe_wait(training.training) == "the next not before 2026-03-01T18:01:00Z"
    training.say(drifted=False).look(7 * HOUR)
    assert (training.training.held_until, training.training.run_id) == (None, first)
    training.say(drifted=True).look()
    assert training.training.run_id != first


def test_drift_that_lasts_beyond_the_cool_down_trains_then():
    training = Training({"cooldown": "6h", "perDay": 5}).say(drifted=True).look().finish()
    training.say(drifted=False).look().say(drifted=True).look()
    assert len(training.launched) == 2
    training.look(6 * HOUR)
    assert len(training.launched) == 3


def test_no_more_than_so_many_begin_within_a_day():
    training = Training({"cooldown": "1m", "perDay": 2})
    for _ in range(4):
        training.say(drifted=False).look(HOUR).say(drifted=True).look()
        if training.training.current:
            training.finish()
    assert len(training.launched) == 4
    assert training.training.held_until == training.training.starts[0] + 24 * HOUR
    training.look(24 * HOUR)
    assert len(training.launched) == 5


@pytest.mark.parametrize(
    ("phase", "message", "told"),
    [
        (
            "Failed",
            "container run ended with exit code 1: no rows",
            "ended as Failed: container run ended with",
        ),
        ("Canceled", "", "ended as Canceled"),
    ],
)
def test_a_training_that_fails_is_told_with_its_reason_and_not_made_again(phase, message, told):
    training = Training().say(drifted=True).look().look().end(phase, message)
    run_id = training.training.run_id
    assert (training.training.stage, training.events[-1]) == ("Failed", "RetrainingFailed")
    assert training.training.message.startswith(f"run {run_id} {told}")
    training.look(48 * HOUR).look()
    assert training.launched == [run_id]


def test_a_training_that_failed_is_made_again_once_spec_retrain_is_another():
    training = Training({"cooldown": "1m", "perDay": 2}).say(drifted=True).look().look().end("Failed")
    training.ask(image="registry.example.com/team/train:1.3").look(HOUR)
    assert (training.training.stage, len(training.launched)) == ("Training", 2)
    training.finish().ask(image="registry.example.com/team/train:1.4").look(48 * HOUR)
    assert len(training.launched) == 3


def test_a_model_that_cannot_be_found_fails_with_what_the_run_says():
    training = Training().say(drifted=True).look().end().end("Failed", "boom", result="there is no file")
    registration = training.training.registration_id
    assert training.training.message == f"run {registration}: there is no file"


def test_a_state_that_is_taken_back_within_seconds_is_not_believed():
    training = Training().say(drifted=True).look().look()
    run_id = training.training.run_id
    training.runs[run_id] = RunState(run_id, "Failed")
    training.look(timedelta(seconds=1))
    training.runs[run_id] = RunState(run_id, "Running", started_at=training.now)
    training.look(timedelta(seconds=1))
    assert (training.training.stage, training.training.ended_at) == ("Training", None)


def test_a_training_that_takes_too_long_is_stopped():
    training = Training({"timeout": "2h"}).say(drifted=True).look().look(3 * HOUR)
    run_id = training.training.run_id
    assert training.training.message == f"run {run_id} took longer than spec.retrain.timeout allows"
    assert unended(training.status.abandoned_runs) == [run_id]


def test_the_administrators_limit_counts_as_well():
    training = Training({"timeout": "9h"}).say(drifted=True).look().look(5 * HOUR)
    assert training.training.message.endswith("took longer than the administrator lets any run take")


def test_a_run_that_is_refused_has_failed_at_once():
    training = Training().say(drifted=True).look(crash=True)
    training.refused = "pipeline 'x' does not exist"
    training.look()
    assert training.training.message == f"run {training.training.run_id}: pipeline 'x' does not exist"


def test_a_run_that_cannot_be_launched_is_tried_for_ten_minutes():
    training = Training().say(drifted=True).look(crash=True)
    for _ in range(10):
        training.look(crash=True)
    assert (training.training.stage, training.pause) == ("Training", 15.0)
    training.look(crash=True)
    assert training.training.message.endswith("could not be launched for 10 minutes")


def test_a_run_that_somebody_deleted_has_failed():
    training = Training().say(drifted=True).look().look()
    training.runs.clear()
    assert "is gone: somebody deleted it" in training.look().training.message


def test_a_run_that_cannot_be_asked_about_is_waited_for():
    training = Training().say(drifted=True).look().look()
    training.now += MINUTE
    monitor = Monitor("uid-1", 1, training.target, 4 * HOUR)
    found = follow(training.spec, training.status, monitor, TrainingSeen(), training.now)
    assert (found.training, found.recheck_after) == (training.training, 15.0)


def test_a_dry_run_says_what_would_be_trained_and_trains_it_when_it_is_meant():
    training = Training(dryRun=True).say(drifted=True).look().look()
    assert (training.launched, training.events, training.training.stage) == ([], ["DryRun"], "Rehearsed")
    training.spec = training.spec.model_copy(update={"dry_run": False})
    training.look()
    assert len(training.launched) == 1


def test_nothing_new_begins_while_the_monitor_is_suspended_or_another_revision_serves():
    suspended = Training(suspend=True).say(drifted=True).look()
    superseded = Training().say(drifted=True, revision="r0").look()
    assert (suspended.training, superseded.training) == (None, None)


def test_a_training_nobody_asks_for_any_more_is_stopped():
    training = Training().say(drifted=True).look()
    run_id = training.training.run_id
    training.spec = training.spec.model_copy(update={"retrain": None})
    training.look()
    assert (training.training, unended(training.status.abandoned_runs)) == (None, [run_id])


def test_performance_that_drops_trains_too_and_each_once():
    training = Training({"cooldown": "1m", "perDay": 5}).say(drifted=True, of="PerformanceDropped").look()
    training.finish().look(HOUR)
    assert len(training.launched) == 2
    training.say(drifted=True).look().finish().look(HOUR)
    assert len(training.launched) == 4
    # What began first goes on, and the other is over.
    training.say(drifted=False).look().look(HOUR)
    assert len(training.launched) == 4


def test_it_begins_on_what_it_names_and_on_nothing_else():
    training = (
        Training({"on": ["Operation"]}).say(drifted=True).say(drifted=True, of="PerformanceDropped").look()
    )
    assert training.launched == []
    training.say(drifted=True, of="OperationDegraded").look().finish()
    assert len(training.launched) == 2
    assert Training({"on": ["Drift"]}).say(drifted=True, of="PerformanceDropped").look().launched == []


def test_a_training_is_told_where_the_windows_labels_are():
    def labels(performance, **fields):
        training = Training(performance=performance, **fields).say(drifted=True).look()
        return training.training.labels

    assert labels({}) == Sought(uri="s3://team/kept/labels/deployment=digits", since=NOON - 2 * HOUR)
    assert labels({"labels": {"uri": "s3://team/labels"}}) == Sought(uri="s3://team/labels")
    assert labels(None) is None
    assert labels({}, kept=Kept(), window={"uri": "s3://d/today"}) is None


def rows(asked=None, **fields):
    training = Training(asked, **fields).say(drifted=True).look().training
    return training.baseline, training.window


def test_it_trains_on_the_first_hours_and_the_window_of_what_is_kept():
    assert rows() == (
        Sought(uri=FOLDER, since=KEPT.since, until=KEPT.since + 24 * HOUR),
        Sought(uri=FOLDER, since=NOON - 2 * HOUR, until=NOON - HOUR),
    )


def test_it_trains_on_the_files_that_the_spec_names():
    named = {"baseline": {"uri": "s3://d/train"}, "window": {"uri": "s3://d/today"}}
    assert rows(**named) == (Sought(uri="s3://d/train"), Sought(uri="s3://d/today"))
    assert rows({"rows": ["Window"]}, **named)[0] is None
    assert rows({"rows": ["Baseline"]}, **named)[1] is None


def test_it_trains_on_what_the_revision_was_tested_on_with_its_labels():
    tested = Kept(KEPT.since, KEPT.store, KEPT.retention, Sought(uri="s3://d/test", without="label"))
    assert rows(kept=tested)[0] == Sought(uri="s3://d/test")


def test_history_reaches_back_no_further_than_the_promotion():
    def began(history):
        return rows({"history": history})[1].since

    assert (began("30m"), began("24h"), began("999h")) == (
        NOON - 2 * HOUR,
        NOON - 25 * HOUR,
        KEPT.since,
    )


def test_without_rows_there_is_nothing_to_train_on():
    training = Training({"rows": ["Baseline"]}, kept=Kept()).say(drifted=True).look()
    assert (training.launched, training.training.stage) == ([], "Failed")
    assert training.training.message.startswith(
        "there are no rows to train on: name files in spec.baseline.uri"
    )


_EVENTS = st.sampled_from(["drift", "calm", "look", "crash", "succeed", "fail", "hours"])


@given(st.lists(_EVENTS, max_size=60), st.integers(1, 3), st.sampled_from(["1m", "1h", "6h"]))
def test_however_it_goes_limits_hold_and_each_alarm_trains_once(events, most, cooldown):
    training = Training({"perDay": most, "cooldown": cooldown})
    began, alarms = {}, {}
    for event in events:
        match event:
            case "drift" | "calm":
                training.say(drifted=event == "drift").look()
            case "succeed" | "fail" if training.training and training.training.current in training.runs:
                training.end("Succeeded" if event == "succeed" else "Failed", result=Trained(DIGEST))
            case "hours":
                training.look(5 * HOUR)
            case _:
                training.look(crash=event == "crash")
        if training.training is not None:
            run_id = training.training.run_id
            began.setdefault(run_id, training.training.started_at)
            assert alarms.setdefault(training.training.alarm, run_id) == run_id
    assert len(training.launched) == len(set(training.launched))
    starts = sorted(began.values())
    gap = training.spec.retrain.cooldown
    assert all(later - earlier >= gap for earlier, later in itertools.pairwise(starts))
    assert all(later - earlier >= 24 * HOUR for earlier, later in zip(starts, starts[most:], strict=False))
