"""Who is told that drift has begun or ended: once for each change, and not more often than they want."""

import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus
from mooring_operator.api.drift_findings import Evaluation, FeatureDrift
from mooring_operator.api.drift_target import Target
from mooring_operator.api.types import Condition
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.checks import CheckState
from mooring_operator.planning.drift.notice_texts import ALERT_LASTS, body_of
from mooring_operator.planning.drift.notices import SendNotice, follow, under_way
from mooring_operator.planning.objects.owner import Owner

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOOK = {"url": "https://hooks.example.com/drift?key=1"}
SLACK = {"format": "Slack", "urlSecret": {"name": "slack", "key": "url"}}
ALERTS = {"format": "Alertmanager", "url": "http://alertmanager.monitoring.svc:9093/api/v2/alerts"}


class Told:
    """A monitor whose condition Drifted a test sets, and receivers whose Jobs it ends."""

    def __init__(self, *receivers, **fields):
        self.spec = DriftMonitorSpec.model_validate(
            {"target": {"name": "digits"}, "notify": list(receivers), **fields}
        )
        self.status, self.now, self.jobs = DriftMonitorStatus(), NOON, {}
        self.sent, self.events = [], []

    def say(self, *, drifted, of="Drifted"):
        others = [each for each in self.status.conditions if each.type != of]
        known = next((each for each in self.status.conditions if each.type == of), None)
        status = "Unknown" if drifted is None else "True" if drifted else "False"
        since = known.last_transition_time if known and known.status == status else self.now
        condition = Condition(
            type=of,
            status=status,
            reason="R",
            message="m",
            last_transition_time=since,
            observed_generation=1,
        )
        self.status = self.status.model_copy(update={"conditions": [*others, condition]})
        return self

    def look(self, after=MINUTE):
        self.now += after
        seen = {each: self.jobs.get(each) for each in under_way(self.status.notices)}
        found = follow(self.spec, self.status, "uid-1", seen, self.now)
        self.status = self.status.model_copy(update={"notices": found.notices})
        for action in found.actions:
            if isinstance(action, SendNotice):
                if action.notice_id not in self.jobs:
                    self.sent.append(action)
                self.jobs.setdefault(action.notice_id, CheckState(action.notice_id))
            if isinstance(action, Notify):
                self.events.append(action.reason)
        self.pause = found.recheck_after
        return self

    def end(self, outcome="Pass", message=""):
        self.jobs = {each: CheckState(each, outcome, message) for each in self.jobs}
        return self.look()

    def change(self, **fields):
        written = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        self.spec = DriftMonitorSpec.model_validate({**written, **fields})
        return self

    @property
    def words(self):
        return [(each.receiver.format, each.told) for each in self.sent]

    @property
    def states(self):
        return [each.state for each in self.status.notices]


def test_nobody_is_told_of_traffic_that_is_calm():
    told = Told(HOOK).look().say(drifted=False).look().look()
    assert (told.sent, told.events, told.pause) == ([], [], None)


def test_each_receiver_is_told_once_that_drift_begins_and_once_that_it_ends():
    told = Told(HOOK, SLACK).say(drifted=True).look()
    assert told.words == [("Generic", "Drifted"), ("Slack", "Drifted")]
    assert (told.states, told.pause) == (["Sending", "Sending"], 3.0)
    told.end().look().look()
    assert told.states == ["Sent", "Sent"]
    assert told.events == ["NotificationSent"] * 2
    assert len(told.sent) == 2
    told.say(drifted=False).look().end().look()
    assert told.words[2:] == [("Generic", "Calm"), ("Slack", "Calm")]
    assert len({each.notice_id for each in told.sent}) == 4


def test_a_cool_down_holds_back_what_does_not_outlast_it():
    told = Told({**HOOK, "cooldown": "1h"}).say(drifted=True).look().end()
    told.say(drifted=False).look().end().say(drifted=True).look()
    assert told.states == ["CoolingDown"]
    assert told.pause == pytest.approx(3600 - 4 * 60, abs=1)
    assert told.status.notices[0].message == "drift again; told after 2026-03-01T13:01:00Z if it lasts"
    told.say(drifted=False).look()
    assert (told.states, len(told.sent)) == (["Sent"], 2)
    told.say(drifted=True).look().look(timedelta(hours=1))
    assert told.words == [("Generic", word) for word in ("Drifted", "Calm", "Drifted")]


def test_what_is_not_told_is_said_and_not_tried_again():
    told = Told(HOOK).say(drifted=True).look().end("Fail", "it answered 403").look()
    assert (told.states, told.events, len(told.sent)) == (["Failed"], ["NotificationFailed"], 1)
    assert told.status.notices[0].message == "it answered 403"


def test_a_job_that_was_not_made_is_made_and_one_that_is_gone_is_not_made_again():
    told = Told(HOOK).say(drifted=True).look()
    told.jobs = {}
    told.look(timedelta(seconds=3))
    assert told.sent[0].notice_id == told.sent[1].notice_id
    told.jobs = {}
    told.look(2 * MINUTE)
    assert (told.states, told.events) == (["Failed"], ["NotificationFailed"])


def test_what_nobody_could_ask_about_is_waited_for():
    told = Told(HOOK).say(drifted=True).look()
    found = follow(told.spec, told.status, "uid-1", {}, told.now + timedelta(hours=1))
    assert (found.notices, found.actions) == (told.status.notices, ())


def test_a_dry_run_says_what_it_would_do_and_what_follows_it_does():
    told = Told(HOOK, dryRun=True).say(drifted=True).look().look()
    assert (told.sent, told.events, told.states) == ([], ["DryRun"], ["Rehearsed"])
    told.change(dryRun=False).look()
    assert told.words == [("Generic", "Drifted")]


def test_who_comes_later_is_told_of_drift_that_lasts_and_who_goes_is_forgotten():
    told = Told(HOOK).say(drifted=True).look().end().change(notify=[SLACK, SLACK]).look()
    assert told.words == [("Generic", "Drifted"), ("Slack", "Drifted")]
    assert len(told.status.notices) == 1


def test_a_suspended_monitor_tells_nobody_and_hears_what_was_sent():
    told = Told(HOOK, SLACK).say(drifted=True).look().change(suspend=True).end()
    assert told.states == ["Sent", "Sent"]
    told.say(drifted=False).look()
    assert len(told.sent) == 2


DROP, SLOW = {"of": "PerformanceDropped"}, {"of": "OperationDegraded"}


def test_a_receiver_is_told_of_what_it_names_each_by_itself():
    told = Told({**HOOK, "on": ["Performance", "Operation"]}, SLACK)
    told.say(drifted=True, **DROP).look().end()
    assert told.words == [("Generic", "PerformanceDropped")]
    told.say(drifted=True).look().end().say(drifted=True, **SLOW).look().end()
    assert told.words[1:] == [("Slack", "Drifted"), ("Generic", "OperationDegraded")]
    told.say(drifted=False, **DROP).look().end().say(drifted=False, **SLOW).look().end().look()
    assert told.words[3:] == [("Generic", "PerformanceHolds"), ("Generic", "OperationHolds")]
    assert len({each.notice_id for each in told.sent}) == 5
    assert [(each.cause, each.state) for each in told.status.notices] == [
        ("Performance", "Sent"),
        ("Operation", "Sent"),
        ("Drift", "Sent"),
    ]


def test_what_cannot_be_told_any_more_is_no_end():
    told = Told({**HOOK, "on": ["Performance"]}).say(drifted=None, **DROP).look()
    assert told.words == []
    told.say(drifted=True, **DROP).look().end().say(drifted=None, **DROP).look().look()
    assert told.words == [("Generic", "PerformanceDropped")]
    told.say(drifted=False, **DROP).look().end()
    assert told.words[1:] == [("Generic", "PerformanceHolds")]


def test_a_cool_down_is_of_each_cause():
    told = Told({**HOOK, "on": ["Drift", "Performance"]}).say(drifted=True).look().end()
    told.say(drifted=True, **DROP).look().end().say(drifted=False, **DROP).look().end()
    told.say(drifted=True, **DROP).look()
    assert [each.state for each in told.status.notices] == ["Sent", "CoolingDown"]
    assert told.status.notices[1].message.startswith("performance again; told after")


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 90)), max_size=30))
def test_words_alternate_and_drift_is_told_at_most_once_in_a_cool_down(history):
    told = Told({**HOOK, "cooldown": "1h"})
    for drifted, minutes in history:
        told.say(drifted=drifted).look(timedelta(minutes=minutes)).end()
    words = [each.told for each in told.sent]
    assert words == ["Drifted" if index % 2 == 0 else "Calm" for index in range(len(words))]
    times = [each.at for each in told.sent if each.told == "Drifted"]
    assert all(later - earlier >= timedelta(hours=1) for earlier, later in itertools.pairwise(times))


OWNER = Owner("team", "traffic", "uid-1", 1)
FEATURES = [FeatureDrift(name="age", drifted=True), FeatureDrift(name="pay", drifted=False)]
STATUS = DriftMonitorStatus(
    message="1 of 2 features drifted over 500 rows: <age> & co",
    evaluation=Evaluation(time=NOON, revision="rev2", features=FEATURES, report_url="s3://b/r.html"),
)


def body(receiver, word, **known):
    told = Told(receiver).say(drifted=True).look().end()
    if word == "Calm":
        told.say(drifted=False).look(5 * MINUTE)
    return body_of(OWNER, Target(name="digits"), STATUS.model_copy(update=known), told.sent[-1])


def test_an_object_has_all_that_is_known():
    found = body(HOOK, "Drifted")
    identifier = found.pop("id")
    assert len(identifier) == 36
    assert found == {
        "event": "Drifted",
        "time": "2026-03-01T12:01:00Z",
        "since": "2026-03-01T12:00:00Z",
        "namespace": "team",
        "monitor": "traffic",
        "deployment": "digits",
        "revision": "rev2",
        "message": STATUS.message,
        "features": ["age"],
        "reportUrl": "s3://b/r.html",
    }
    assert body(HOOK, "Calm", evaluation=None)["features"] == []


def test_a_message_for_slack_has_no_markup_of_ours_or_of_a_columns_name():
    assert body(SLACK, "Drifted") == {
        "text": "Traffic of team/digits drifts (DriftMonitor traffic): "
        "1 of 2 features drifted over 500 rows: &lt;age&gt; &amp; co\ns3://b/r.html"
    }
    assert "is calm again" in body(SLACK, "Calm")["text"]


@pytest.mark.parametrize(
    ("cause", "of", "words", "alert", "says"),
    [
        (
            "Performance",
            "PerformanceDropped",
            ("PerformanceDropped", "PerformanceHolds"),
            "MooringPerformanceDropped",
            "Performance of team/digits has dropped (DriftMonitor traffic): m",
        ),
        (
            "Operation",
            "OperationDegraded",
            ("OperationDegraded", "OperationHolds"),
            "MooringOperationDegraded",
            "Operation of team/digits has degraded (DriftMonitor traffic): m",
        ),
    ],
)
def test_of_another_cause_its_own_words_are_posted(cause, of, words, alert, says):
    told = (
        Told(*({**each, "on": [cause]} for each in (HOOK, SLACK, ALERTS)))
        .say(drifted=True, of=of)
        .look()
        .end()
    )
    begun = [body_of(OWNER, Target(name="digits"), told.status, each) for each in told.sent]
    assert (begun[0]["event"], begun[0]["message"], begun[0]["features"]) == (words[0], "m", [])
    assert begun[1]["text"] == says
    told.say(drifted=False, of=of).look().end()
    ended = [body_of(OWNER, Target(name="digits"), told.status, each) for each in told.sent[3:]]
    assert ended[0]["event"] == words[1]
    assert "holds again" in ended[1]["text"]
    assert begun[2][0]["labels"] == ended[2][0]["labels"]
    assert begun[2][0]["labels"]["alertname"] == alert
    assert ended[2][0]["endsAt"] < begun[2][0]["endsAt"]


def test_an_alert_ends_as_the_one_that_began():
    [begins], [ends] = body(ALERTS, "Drifted"), body(ALERTS, "Calm")
    assert begins["labels"] == ends["labels"]
    assert begins["labels"]["alertname"] == "MooringDrift"
    moment = [datetime.fromisoformat(begins[name]) for name in ("startsAt", "endsAt")]
    assert moment[1] - moment[0] == ALERT_LASTS + MINUTE
    assert ends["endsAt"] == "2026-03-01T12:07:00Z"
    assert json.loads(json.dumps(begins)) == begins


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://a.example.com", "urlSecret": {"name": "a", "key": "b"}},
        {"format": "Slack"},
        {"url": "http://169.254.169.254/latest"},
        {"urlSecret": {"name": "a", "key": "../b"}},
        {"url": "https://a.example.com", "format": "Pager"},
    ],
)
def test_a_receiver_has_one_address_of_an_allowed_form(fields):
    with pytest.raises(ValueError, match="notify"):
        Told(fields)
