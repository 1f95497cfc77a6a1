"""Places in what monitoring services are asked: one value of a tag, whatever a deployment says."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api import forms
from mooring_operator.api.analysis_template import AnalysisTemplateSpec
from mooring_operator.planning.analysis.places import filled_text, problems_of_text
from mooring_operator.planning.analysis.templates import dotted, problems_of

QUERY = "avg:latency{service:{{name}},version:{{candidate}},pool:{{ arguments.pool }}}"
VALUES = {"name": "iris", "candidate": "aaaaaaaaaa", "arguments.pool": "a-1"}


def test_values_stand_for_places():
    assert filled_text(QUERY, VALUES) == "avg:latency{service:iris,version:aaaaaaaaaa,pool:a-1}"
    assert filled_text("sum:a{*} by {b}", VALUES) == "sum:a{*} by {b}"


@given(st.from_regex(re.compile(forms.ARGUMENT_VALUE.pattern, re.ASCII), fullmatch=True))
def test_a_value_stays_the_one_value_that_it_is(value):
    if forms.ARGUMENT_VALUE.fits(value):
        text = filled_text("a{b:{{arguments.pool}},c:d}", {"arguments.pool": value})
        assert re.fullmatch(r"a\{b:([^{},\s\"']+),c:d\}", text)[1] == value


@pytest.mark.parametrize("value", ["a,b:*}", "a b", "", "x" * 64, None])
def test_what_is_no_argument_is_put_nowhere(value):
    with pytest.raises(ValueError, match="cannot be"):
        filled_text(QUERY, {**VALUES, "arguments.pool": value})


def test_a_place_that_nobody_knows_is_told_with_its_field():
    assert list(problems_of_text(QUERY, {"pool": None})) == []
    datadog = {"credentialsSecret": "dd", "queries": {"a": "b{c:{{revision}}}"}, "formula": "a"}
    query = {"name": "q", "datadog": datadog, "successCondition": "result[0] < 1.0"}
    spec = AnalysisTemplateSpec.model_validate({"queries": [query]})
    told = [f"{dotted(path)}: {why}" for path, why in problems_of(spec)]
    assert told == [
        "spec.queries[0].datadog.queries.a: {{revision}} is none of namespace, name, candidate, stable",
        "spec.queries[0].successCondition: result is one number: write result < 0.05, where Argo Rollouts has "
        "result[0] < 0.05",
    ]
    dimensions = {"a": "{{candidate}}", "b": "{{arguments.none}}"}
    queries = [{"id": "m", "metric": {"namespace": "A", "name": "b", "dimensions": dimensions}}]
    watch = {"name": "q", "cloudWatch": {"region": "eu-central-1", "queries": queries}}
    spec = AnalysisTemplateSpec.model_validate({"queries": [{**watch, "successCondition": "result < 1.0"}]})
    [(path, why)] = problems_of(spec)
    assert dotted(path) == "spec.queries[0].cloudWatch.queries[0].metric.dimensions.b"
    assert why.startswith("{{arguments.none}} is none of")
    # A Job's result may be a list.
    spec = AnalysisTemplateSpec.model_validate(
        {"queries": [{"name": "q", "job": {"image": "a"}, "successCondition": "result[0] < 1.0"}]}
    )
    assert list(problems_of(spec)) == []
