"""Rollouts that are judged: what is rolled back, what goes on, and what waits, with the number that decided."""

from dataclasses import replace
from datetime import timedelta

import pytest
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.plan import plan

from tests.unit.operator.planning.fleet import EACH
from tests.unit.operator.planning.judged import Answering, AnsweringFleet, rollout
from tests.unit.operator.planning.world import spec_of

FIRST, LAST = {"setWeight": 20}, {"setWeight": 100}
JUDGED = rollout(FIRST, {"analyse": {"duration": "30m"}}, LAST)


def begun(kind=Answering, how=JUDGED, **world):
    """v1 is promoted, and v2 is asked for."""
    made = kind(spec_of("v1", rollout=how), **world)
    made.settle()
    for _ in range(5):
        made.step()
    made.apply(spec_of("v2", rollout=how))
    return made


def condition(made, kind="Analysed"):
    return next((c for c in made.status.conditions if c.type == kind), None)


@pytest.mark.parametrize("kind", [Answering, AnsweringFleet])
def test_a_candidate_that_answers_wrongly_is_rolled_back_by_evidence(kind):
    made = begun(kind, bad={"v2": 0.05})
    decision = made.go_on()
    assert (decision.phase, decision.reason) == ("RolledBack", "AnalysisFailed")
    assert decision.status.stable.storage_uri == "s3://m/v1"
    for number in (
        "candidate 5.00% (",
        "stable 1.00% (",
        "limit 1.2 x stable + 0.2 points",
        "exceeded by 3.6 points",
    ):
        assert number in decision.message
    assert "of 100 after" in decision.message
    assert decision.message.endswith("keeps serving")
    assert condition(made).status == "False"
    assert decision.status.history[0].outcome == "RolledBack"
    warning = next(a for a in decision.actions if isinstance(a, Notify) and a.reason == "AnalysisFailed")
    assert warning.message == decision.message
    assert decision.status.analysis.verdict == "FAIL"
    assert decision.status.analysis.evidence == ""


def test_a_good_candidate_goes_on_as_soon_as_the_evidence_suffices():
    made = begun()
    start = made.now
    decision = made.go_on()
    assert decision.phase == "Promoted"
    assert made.now - start < timedelta(minutes=20)
    assert condition(made) is None or condition(made).status == "True"
    assert "errorRate: candidate 1.00%" in made.status.analysis.message
    assert made.status.analysis.verdict == "PASS"


def test_a_slow_candidate_is_rolled_back():
    how = rollout(
        FIRST, {"analyse": {}}, LAST, analysis={"metrics": [{"metric": "errorRate"}, {"metric": "latency"}]}
    )
    decision = begun(how=how, slow={"v2": 3.0}).go_on()
    assert decision.reason == "AnalysisFailed"
    assert "latency: candidate" in decision.message


def test_it_is_judged_in_every_step_not_in_analyse_alone():
    made = begun(how=rollout(FIRST, {"pause": {}}, LAST), bad={"v2": 0.2})
    for _ in range(100):
        decision = made.step()
        made.now += timedelta(seconds=10)
    assert decision.reason == "RejectedBefore" or decision.phase == "RolledBack"
    assert made.status.history[0].reason == "AnalysisFailed"


@pytest.mark.parametrize(
    ("then", "phase", "reason"),
    [
        ("Pause", "Paused", "PausedByAnalysis"),
        ("Pass", "Promoted", "Promoted"),
        ("Fail", "RolledBack", "AnalysisInsufficient"),
    ],
)
def test_too_little_evidence_waits_for_the_deadline_and_goes_by_the_step(then, phase, reason):
    how = rollout(FIRST, {"analyse": {"duration": "20m", "onInsufficient": then}}, LAST)
    made = begun(how=how, per_second=0.2)
    start = made.now
    decision = made.go_on()
    assert (decision.phase, decision.reason) == (phase, reason)
    assert made.now - start >= timedelta(minutes=20)


def test_an_approval_goes_on_without_enough_evidence():
    made = begun(how=rollout(FIRST, {"analyse": {"duration": "5m"}}, LAST), per_second=0.2)
    assert made.go_on().reason == "PausedByAnalysis"
    made.command("approve", by="alice")
    made.step()
    assert made.go_on().phase == "Promoted"


@pytest.mark.parametrize("then", ["Pause", "Pass", "Fail"])
def test_what_cannot_be_counted_counts_for_nobody(then):
    """Prometheus is away: traffic stays where it is, whatever the step says of too little evidence."""
    how = rollout(FIRST, {"analyse": {"duration": "5m", "onInsufficient": then}}, LAST)
    made = begun(how=how, bad={"v2": 0.5}, unavailable="Prometheus at http://p does not answer")
    decision = made.go_on()
    assert (decision.phase, decision.reason) == ("Paused", "PausedByAnalysis")
    assert made.status.candidate.weight == 20
    assert condition(made).reason == "MetricsUnavailable"
    assert "does not answer" in condition(made).message
    # It comes back, and what it has kept is counted.
    made.unavailable = ""
    decision = made.step()
    assert decision.reason == "AnalysisFailed"


def test_an_approval_holds_when_prometheus_comes_back():
    """A person has let it go on: too little evidence does not reject it a moment later."""
    how = rollout(FIRST, {"analyse": {"duration": "5m", "onInsufficient": "Fail"}}, LAST)
    made = begun(how=how, per_second=0.1, unavailable="Prometheus does not answer")
    assert made.go_on().reason == "PausedByAnalysis"
    made.command("approve", by="alice")
    assert made.step().reason == "Approved"
    made.unavailable = ""
    made.step()
    assert made.go_on().phase == "Promoted"


def test_an_event_tells_once_that_nothing_can_be_counted():
    made = begun(
        how=rollout(FIRST, {"analyse": {"duration": "5m"}}, LAST), unavailable="Prometheus does not answer"
    )
    told = []
    for _ in range(30):
        told += [a for a in made.step().actions if isinstance(a, Notify) and a.reason == "MetricsUnavailable"]
        made.now += timedelta(seconds=10)
    assert [notice.message for notice in told] == ["Prometheus does not answer"]


def test_without_a_prometheus_the_condition_names_the_setting():
    made = begun(how=rollout(FIRST, {"analyse": {"duration": "5m"}}, LAST))
    made.counting = replace(made.counting, problem="set MOORING_PROMETHEUS_URL")
    assert made.go_on().reason == "PausedByAnalysis"
    assert condition(made).message == "set MOORING_PROMETHEUS_URL"


def test_one_metric_that_cannot_be_judged_does_not_hide_another():
    how = rollout(
        FIRST, {"analyse": {}}, LAST, analysis={"metrics": [{"metric": "errorRate"}, {"metric": "latency"}]}
    )
    made = begun(how=how, bad={"v2": 0.2}, problems={"latency": "no bucket le=+Inf"})
    assert made.go_on().reason == "AnalysisFailed"
    good = begun(how=how, problems={"latency": "no bucket le=+Inf"})
    decision = good.go_on()
    assert decision.reason == "PausedByAnalysis"
    assert condition(good).message == "latency: no bucket le=+Inf"


def test_every_look_is_taken_once_whatever_crashes_or_conflicts():
    made = begun(bad={"v2": 0.012})
    for number in range(120):
        kept, observed = made.status, made.observe()
        plan(made.spec, made.status, observed, made.now)  # a pass whose status was never written
        made.status = kept
        decision = made.step(crash_after=number % 2)
        again = plan(made.spec, made.status, observed, made.now)  # by somebody who has the same answer
        found, twice = made.status.analysis, again.status.analysis
        assert found is None or twice is None or twice.until == found.until
        made.now += timedelta(seconds=decision.recheck_after or 1)
    assert made.taken
    ends = [end for _, end in made.taken]
    assert [start for start, _ in made.taken[1:]] == ends[:-1]


def test_a_pass_is_of_its_step():
    how = rollout(FIRST, {"analyse": {}}, {"setWeight": 50}, {"analyse": {}}, LAST)
    made = begun(how=how)
    while made.step().status.candidate is not None and made.status.candidate.step < 3:
        made.now += timedelta(seconds=10)
    assert made.status.candidate.step == 3
    assert made.status.analysis.verdict == "INSUFFICIENT"
    # What became bad with more traffic is found though the first step was passed.
    made.bad = {"v2": 0.1}
    assert made.go_on().reason == "AnalysisFailed"


def test_what_was_counted_before_a_step_and_is_told_late_is_no_pass_of_it():
    how = rollout(FIRST, {"pause": {"duration": "30m"}}, {"analyse": {}}, LAST)
    made = begun(how=how, unavailable="Prometheus does not answer")
    while made.step().status.candidate.step < 2:
        made.now += timedelta(seconds=10)
    made.unavailable = ""
    began, told = made.now, made.status.analysis.until
    while made.status.analysis.until <= began:
        decision = made.step()
        assert (decision.status.analysis.verdict, made.status.candidate.step) == ("INSUFFICIENT", 2)
        made.now += timedelta(seconds=1)
    assert told < began - timedelta(minutes=25)
    # What was wrong before it is evidence against the candidate all the same.
    assert made.go_on().phase == "Promoted"
    bad = begun(how=how, bad={"v2": 0.1}, unavailable="Prometheus does not answer")
    while bad.step().status.candidate.step < 2:
        bad.now += timedelta(seconds=10)
    bad.unavailable = ""
    assert bad.go_on().reason == "AnalysisFailed"


def test_a_pass_stands_while_nothing_waits_for_another():
    """What was counted before the next step is told in it, a moment later."""
    made = begun(how=rollout(FIRST, {"analyse": {}}, {"pause": {"duration": "2m"}}, LAST))
    while made.step().status.candidate.step < 2:
        made.now += timedelta(seconds=10)
    taken = set()
    while made.step().status.candidate is not None:
        assert (made.status.analysis.verdict, condition(made).status) == ("PASS", "True")
        taken.add(made.status.analysis.until)
        made.now += timedelta(seconds=1)
    assert len(taken) > 5
    assert (made.go_on().phase, made.status.analysis.verdict) == ("Promoted", "PASS")


def test_a_pass_ends_a_pause_early_where_that_is_asked_for():
    long = {"pause": {"duration": "4h"}}
    made = begun(how=rollout(FIRST, long, LAST, analysis={"earlyPromotion": True}))
    start = made.now
    assert made.go_on().phase == "Promoted"
    assert made.now - start < timedelta(hours=1)
    patient = begun(how=rollout(FIRST, long, LAST))
    start = patient.now
    assert patient.go_on(4000).phase == "Promoted"
    assert patient.now - start >= timedelta(hours=4)


def test_shadows_and_tests_end_by_evidence():
    able = replace(EACH, mirrors=True)
    early = {"earlyPromotion": True}
    shadow = rollout(LAST, strategy="Shadow", shadow={"percent": 50, "duration": "4h"}, analysis=early)
    trial = {
        "strategy": "ABTest",
        "abTest": {"weight": 30, "duration": "4h"},
        "analysis": {"metrics": [{"metric": "errorRate"}], **early},
    }
    for how in (shadow, trial):
        made = begun(AnsweringFleet, how, router=able)
        start = made.now
        assert made.go_on().phase == "Promoted"
        assert made.now - start < timedelta(hours=1)
        bad = begun(AnsweringFleet, how, router=able, bad={"v2": 0.1})
        assert bad.go_on().reason == "AnalysisFailed"


def test_what_is_promoted_is_watched_and_can_be_left():
    made = begun(how=rollout(FIRST, {"analyse": {}}, LAST, analysis={"afterPromotion": "30m"}))
    while made.status.phase != "Promoted" or "is watched" not in made.status.message:
        made.now += timedelta(seconds=made.step().recheck_after or 1)
    assert made.status.stable.storage_uri == "s3://m/v2"
    made.bad = {"v2": 0.3}
    decision = made.go_on()
    assert (decision.phase, decision.reason) == ("RolledBack", "AnalysisFailed")
    assert made.status.stable.storage_uri == "s3://m/v1"
    assert "errorRate: candidate 30.00%" in decision.message
    # It stays there, though the spec asks for v2.
    made.step()
    assert made.go_on().status.stable.storage_uri == "s3://m/v1"


def test_what_stays_good_is_watched_no_longer_than_asked():
    made = begun(how=rollout(FIRST, {"analyse": {}}, LAST, analysis={"afterPromotion": "10m"}))
    while "is watched" not in made.status.message:
        made.now += timedelta(seconds=made.step().recheck_after or 1)
    start = made.now
    decision = made.go_on()
    assert decision.phase == "Promoted"
    assert made.now - start >= timedelta(minutes=9)
    assert made.status.analysis.evidence == ""
    assert decision.recheck_after is None


def test_going_back_to_a_promoted_revision_skips_the_analysis():
    made = begun(AnsweringFleet)
    assert made.go_on().status.stable.storage_uri == "s3://m/v2"
    for _ in range(40):
        made.now += timedelta(seconds=made.step().recheck_after or 1)
    made.bad = {"v1": 0.5}
    made.apply(spec_of("v1", rollout=JUDGED))
    start = made.now
    assert made.go_on().status.stable.storage_uri == "s3://m/v1"
    assert made.now - start < timedelta(minutes=5)
    assert made.status.analysis is None


def test_a_retry_begins_with_no_evidence():
    made = begun(bad={"v2": 0.05})
    assert made.go_on().reason == "AnalysisFailed"
    made.bad = {}
    made.command("retry")
    made.step()
    assert made.go_on().phase == "Promoted"


def test_what_others_write_is_one_printable_line():
    made = begun(how=rollout(FIRST, {"pause": {}}, LAST), problems={"errorRate": "a\nb\x1b[31m" + "c" * 900})
    for _ in range(8):
        made.now += timedelta(seconds=10)
        made.step()
    said = made.status.analysis.problem
    assert said.startswith("errorRate: a b?[31mccc")
    assert len(said) <= 256
    assert condition(made).message == said


def test_another_limit_begins_that_metric_anew():
    made = begun(how=rollout(FIRST, {"pause": {}}, LAST), bad={"v2": 0.015})
    for _ in range(20):
        made.now += timedelta(seconds=10)
        made.step()
    counted = made.status.analysis.message
    assert "limit 1.2 x stable + 0.2 points" in counted
    wide = {"metrics": [{"metric": "errorRate", "ratio": 3, "points": 1}]}
    made.apply(spec_of("v2", rollout=rollout(FIRST, {"pause": {}}, LAST, analysis=wide)))
    for _ in range(5):
        made.now += timedelta(seconds=10)
        made.step()
    assert "limit 3 x stable + 1 points" in made.status.analysis.message
    assert "after 5 looks" in made.status.analysis.message or "after 4 looks" in made.status.analysis.message


def test_evidence_in_status_that_somebody_has_edited_begins_anew():
    made = begun(bad={"v2": 0.05})
    while made.status.analysis is None or not made.status.analysis.evidence:
        made.now += timedelta(seconds=made.step().recheck_after or 1)
    broken = made.status.analysis.model_copy(update={"evidence": "errorRate:AAAA"})
    made.status = made.status.model_copy(update={"analysis": broken})
    assert made.go_on().reason == "AnalysisFailed"


@pytest.mark.parametrize(("then", "phase"), [("Pass", "Promoted"), ("Fail", "RolledBack")])
def test_too_few_requests_for_a_quantile_are_too_little_evidence(then, phase):
    """Nothing is wrong with Prometheus: the step is gone by."""
    step = {"analyse": {"duration": "10m", "onInsufficient": then}}
    made = begun(
        how=rollout(FIRST, step, LAST, analysis={"metrics": [{"metric": "latency"}]}), per_second=0.1
    )
    seen = set()
    made.step()
    while made.status.phase not in ("Promoted", "RolledBack") or made.status.candidate is not None:
        made.now += timedelta(seconds=made.step().recheck_after or 1)
        seen |= {c.message for c in made.status.conditions if c.type == "Analysed"}
    assert made.status.phase == phase
    assert any("requests in the hour before; a p99 takes 500" in message for message in seen)


DRIFT = rollout(
    FIRST,
    {"analyse": {"duration": "30m"}},
    LAST,
    analysis={"metrics": [{"metric": "errorRate"}, {"metric": "predictionDrift"}], "afterPromotion": "10m"},
)


def test_a_candidate_that_answers_otherwise_is_rolled_back_though_nothing_fails():
    made = begun(how=DRIFT, ones={"v2": 0.45})
    decision = made.go_on()
    assert (decision.phase, decision.reason) == ("RolledBack", "AnalysisFailed")
    for part in (
        "predictionDrift: class ",
        "stable 30.00% (",
        "limit stable ± 5 points, exceeded by 10 points",
    ):
        assert part in decision.message.replace("stable 70.00% (", "stable 30.00% (")


def test_one_that_answers_alike_is_promoted_and_watched_by_what_there_is():
    made = begun(how=DRIFT)
    assert made.go_on().phase == "Promoted"
    assert made.status.analysis.verdict == "PASS"


@pytest.mark.parametrize(
    ("ones", "says"),
    [
        ({"v1": -1.0}, "Does the runtime of the stable revision count them?"),
        ({"v1": -1.0, "v2": -1.0}, "Prometheus has no mooring_inference_predictions_total of model"),
        ({"v2": -1.0}, "candidate no requests"),
    ],
    ids=["the stable one", "both", "the candidate"],
)
def test_a_runtime_that_counts_no_predictions_is_said_and_traffic_stays(ones, says):
    made = begun(how=DRIFT, ones=ones)
    decision = made.go_on()
    assert (decision.phase, decision.reason, made.status.candidate.weight) == (
        "Paused",
        "PausedByAnalysis",
        20,
    )
    assert says in condition(made).message
    # Nothing else is judged any later by that.
    assert begun(how=DRIFT, ones=ones, bad={"v2": 0.1}).go_on().reason == "AnalysisFailed"
