"""From templates and what they are told to what is judged; and what is wrong with either."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api import forms
from mooring_operator.api.analysis import EVIDENCE, Analysis
from mooring_operator.api.analysis_template import AnalysisTemplateSpec, ClusterAnalysisTemplateSpec
from mooring_operator.planning.analysis.bets import Limit, Look
from mooring_operator.planning.analysis.comparison import Comparison
from mooring_operator.planning.analysis.evidence import Evidence, Metric
from mooring_operator.planning.analysis.measuring import limits_of
from mooring_operator.planning.analysis.templates import Found, problems_of, resolve

TOLD = {"metric": "errorRate", "ratio": 1, "fromArguments": {"points": "allowed"}}


def template(*metrics, generation=1, **arguments):
    """A template; an argument of None has to be said."""
    listed = [{"name": name, **({"value": value} if value else {})} for name, value in arguments.items()]
    spec = AnalysisTemplateSpec.model_validate({"arguments": listed, "metrics": list(metrics)})
    return Found(spec, generation)


def judged_by(*used, found, metrics=None):
    analysis = Analysis.model_validate({"templates": list(used), **({"metrics": metrics} if metrics else {})})
    return resolve(analysis, {("AnalysisTemplate", name): one for name, one in found.items()}, "ml")


def test_metrics_of_a_template_join_those_of_the_deployment():
    found = {"house": template(TOLD, generation=3, allowed="0.5")}
    analysis, standards = judged_by({"name": "house"}, found=found, metrics=[{"metric": "latency"}])
    assert [metric.metric for metric in analysis.metrics] == ["latency", "errorRate"]
    assert analysis.metrics[1].rate_limit == (1.0, 0.005)
    assert (standards.templates, standards.problem) == ("house@3", "")


def test_what_a_deployment_says_wins_over_the_value_of_the_template():
    found = {"house": template(TOLD, allowed="0.5")}
    analysis, _ = judged_by({"name": "house", "arguments": {"allowed": "2"}}, found=found)
    assert analysis.metrics[0].rate_limit == (1.0, 0.02)


def test_a_template_of_the_cluster_is_another_one():
    _, standards = judged_by(
        {"name": "house", "clusterScope": True}, found={"house": template(TOLD, allowed="1")}
    )
    assert standards.reason == "AnalysisTemplateNotFound"
    assert standards.problem == (
        "spec.rollout.analysis.templates[0]: ClusterAnalysisTemplate house does not exist; make it"
    )


WRONG = {
    "is not there": ({}, {}, "AnalysisTemplate house does not exist in namespace 'ml'; make it"),
    "needs an argument": ({"house": template(TOLD, allowed=None)}, {}, "needs argument 'allowed'"),
    "knows no such argument": (
        {"house": template(TOLD, allowed="1")},
        {"points": "1"},
        "has no argument 'points'; it has allowed",
    ),
    "is told no number": (
        {"house": template(TOLD, allowed="1")},
        {"allowed": "few"},
        "arguments: argument allowed is 'few', and errorRate.points: input should be a valid number",
    ),
    "is told too much": (
        {"house": template(TOLD, allowed="1")},
        {"allowed": "100"},
        "argument allowed is '100', and errorRate.points: input should be less than 100",
    ),
    "is told nan": ({"house": template(TOLD, allowed="1")}, {"allowed": "nan"}, "allowed is 'nan'"),
    "is told infinity": ({"house": template(TOLD, allowed="1")}, {"allowed": "inf"}, "allowed is 'inf'"),
    "is told what nobody could meet": (
        {"house": template({**TOLD, "ratio": 0}, allowed="1")},
        {"allowed": "0"},
        "no revision could be within that limit",
    ),
    "is itself wrong": (
        {"house": template(TOLD, other="1")},
        {},
        "AnalysisTemplate house, spec.metrics[0].fromArguments.points: 'allowed' is none of spec.arguments: other",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_gone_by_names_the_field_and_the_way_out(wrong):
    found, arguments, said = WRONG[wrong]
    asked = {"name": "house", "arguments": arguments}
    analysis, standards = judged_by(asked, found=found, metrics=[{"metric": "latency"}])
    assert said in standards.problem
    assert standards.problem.startswith("spec.rollout.analysis.templates[0]")
    assert standards.reason == ("AnalysisTemplateUnusable" if found else "AnalysisTemplateNotFound")
    assert [metric.metric for metric in analysis.metrics] == ["latency"]


def test_nothing_is_judged_by_two_limits():
    found = {"house": template({"metric": "errorRate"}), "strict": template({"metric": "errorRate"})}
    _, own = judged_by({"name": "house"}, found=found, metrics=[{"metric": "errorRate"}])
    assert "metric errorRate, and so has spec.rollout.analysis.metrics; leave one of them out" in own.problem
    _, both = judged_by({"name": "house"}, {"name": "strict"}, found=found)
    assert "AnalysisTemplate strict has metric errorRate, and so has AnalysisTemplate house" in both.problem


WRONG_ANSWERS = {
    "name": "wrong",
    "total": {"counter": "labelled_total", "labels": {"model": "{{name}}"}},
    "good": {"counter": "right_total", "labels": {"model": "{{name}}", "by": "{{arguments.by}}"}},
    "ratio": 1,
    "points": 2,
}


def with_rates(*rates, metrics=(), **arguments):
    listed = [{"name": name, **({"value": value} if value else {})} for name, value in arguments.items()]
    spec = {"arguments": listed, "rates": list(rates), **({"metrics": list(metrics)} if metrics else {})}
    return Found(AnalysisTemplateSpec.model_validate(spec), 1)


def test_a_rate_asks_for_counters_of_the_deployments_namespace_alone():
    found = {"house": with_rates(WRONG_ANSWERS, by="people")}
    analysis, standards = judged_by({"name": "house", "arguments": {"by": "team.a"}}, found=found)
    assert not standards.problem
    [rate] = limits_of(analysis)
    assert (rate.metric, rate.rate_limit) == ("wrong", (1.0, 0.02))
    question = rate.question("ml", "iris", ("new", "old"), 10)
    arms = 'revision=~"new|old",namespace="ml"'
    assert f'(last_over_time(labelled_total{{{arms},model="iris"}}[10s]) - ' in question.counts
    assert f'(last_over_time(right_total{{{arms},by="team.a",model="iris"}}[10s]) - ' in question.events


def test_a_rate_whose_argument_nobody_knows_is_told():
    [(path, why)] = problems_of(with_rates(WRONG_ANSWERS).spec)
    assert path == ("rates", 0, "good", "labels")
    assert "{{arguments.by}} is none of" in why


def test_a_rate_of_all_that_is_counted_is_told():
    alike = {**WRONG_ANSWERS, "good": WRONG_ANSWERS["total"]}
    [(path, why)] = problems_of(with_rates(alike).spec)
    assert path == ("rates", 0, "good")
    assert why.startswith("it is all that total counts, so that the share is always 100%")


def test_metrics_and_rates_share_one_error_rate_among_three_at_most():
    rates = [{**WRONG_ANSWERS, "name": f"r{n}"} for n in range(2)]
    found = {
        "house": with_rates(*rates, metrics=[{"metric": "errorRate"}], by="x"),
        "more": template({"metric": "latency"}),
    }
    analysis, standards = judged_by({"name": "house"}, found=found)
    assert [limit.metric for limit in limits_of(analysis)] == ["errorRate", "r0", "r1"]
    assert not standards.problem
    _, standards = judged_by({"name": "house"}, {"name": "more"}, found=found)
    assert "more than 3 metrics, rates and agreements; leave some out" in standards.problem
    _, standards = judged_by(
        {"name": "house"}, {"name": "again"}, found={**found, "again": with_rates(rates[1], by="x")}
    )
    assert "AnalysisTemplate again has rate r1, and so has AnalysisTemplate house" in standards.problem


def test_evidence_on_a_rate_begins_anew_when_it_is_counted_otherwise():
    def limits(**changed):
        analysis, _ = judged_by(
            {"name": "house"}, found={"house": with_rates({**WRONG_ANSWERS, **changed}, by="x")}
        )
        return limits_of(analysis)

    [before] = limits()
    metric = Metric(before.rate_limit, Comparison(Limit(*before.rate_limit)).after(Look(5, 9, 5, 90)))
    text = Evidence((before,), {"wrong": metric}).to_text()
    assert re.fullmatch(EVIDENCE, text)
    assert Evidence.from_text(text, limits(), watched=False).metrics == {"wrong": metric}
    for changed in ({"total": {"counter": "others_total"}}, {"points": 3}, {"revisionLabel": "arm"}):
        assert not Evidence.from_text(text, limits(**changed), watched=False).metrics


def test_a_bound_is_said_once():
    spec = template({**TOLD, "points": 1}, allowed="1").spec
    assert [why for _, why in problems_of(spec)] == ["points is a number as well; leave one of them out"]


def test_a_value_of_the_template_that_fits_nowhere_is_told_before_anybody_uses_it():
    [(path, why)] = problems_of(template(TOLD, allowed="1000").spec)
    assert path == ("metrics", 0, "fromArguments", "points")
    assert "argument allowed is '1000'" in why


@given(st.text(max_size=70) | st.from_regex(forms.ARGUMENT_VALUE.pattern))
def test_whatever_an_argument_is_it_becomes_a_limit_or_is_told(value):
    if not forms.ARGUMENT_VALUE.fits(value):
        return
    analysis, standards = judged_by(
        {"name": "house", "arguments": {"allowed": value}}, found={"house": template(TOLD, allowed="1")}
    )
    if standards.problem:
        assert repr(value) in standards.problem
    else:
        assert 0 <= analysis.metrics[0].rate_limit[1] < 1


def test_a_webhook_at_a_port_that_there_is_not_is_refused():
    url = "https://labels.example.com:65536/"
    query = {"name": "labels", "webhook": {"url": url}, "successCondition": "result > 0.9"}
    [(path, why)] = problems_of(ClusterAnalysisTemplateSpec.model_validate({"queries": [query]}))
    assert (path, why) == (("queries", 0, "webhook", "url"), "its port is none: write one from 1 to 65535")
