"""Places in PromQL: where they may stand, and that nothing which is put there means anything but itself."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api import forms
from mooring_operator.planning.analysis.promql import filled, problems_of_query

ROUTE = {"route": None}
RIGHT = {
    'up{route="{{arguments.route}}"}': 'up{route="a.b"}',
    "up{route='{{arguments.route}}'}": "up{route='a.b'}",
    "up{route!=`{{ arguments.route }}`}": "up{route!=`a.b`}",
    'up{route =~ "x-{{arguments.route}}/.*"}': 'up{route =~ "x-a[.]b/.*"}',
    "up{route!~`{{arguments.route}}`} # it's \"fine": "up{route!~`a[.]b`} # it's \"fine",
    'up{a="\\"", route="{{arguments.route}}"} == 1': 'up{a="\\"", route="a.b"} == 1',
    'up{a=`\\`, route="{{arguments.route}}"}': 'up{a=`\\`, route="a.b"}',
    'sum(rate(x{namespace="{{namespace}}"}[1m]))': 'sum(rate(x{namespace="ml"}[1m]))',
}


@pytest.mark.parametrize("query", RIGHT)
def test_what_stands_in_a_matchers_value_is_put_there(query):
    assert list(problems_of_query(query, ROUTE)) == []
    assert filled(query, {"arguments.route": "a.b", "namespace": "ml"}) == RIGHT[query]


WRONG = {
    "a metric": ("{{arguments.route}}", "must stand in the value of a label's matcher"),
    "a number": ("up > {{arguments.route}}", "must stand in the value of a label's matcher"),
    "a time": ("rate(up[{{arguments.route}}])", "must stand in the value of a label's matcher"),
    "a label": ('up{{{arguments.route}}="x"}', "must stand in the value of a label's matcher"),
    "a comment": ('up # route="{{arguments.route}}"', "must stand in the value of a label's matcher"),
    "a function's text": (
        'label_replace(up, "a", "$1", "b", "{{arguments.route}}")',
        "must stand in the value of a label's matcher",
    ),
    "a text behind a comment's quote": ('up # "\n + {{arguments.route}}', "must stand in the value"),
    "nothing that is known": ('up{a="{{arguments.rout}}"}', "is none of namespace, name, candidate, stable"),
    "another tool's": ('up{a="{{args.service-name}}"}', "{{ and }} enclose a name"),
    "half of one": ('up{a="{{arguments.route"}', "{{ and }} enclose a name"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_where_it_may_not_stand_is_told(wrong):
    query, said = WRONG[wrong]
    found = list(problems_of_query(query, ROUTE))
    assert any(said in problem for problem in found), found


@pytest.mark.parametrize("value", ['x"} or up{a="', "a\\", "a\n", "", "a`b", "{{name}}", "a b", "x" * 64])
def test_what_could_end_the_text_is_never_put_there(value):
    with pytest.raises(ValueError, match="cannot be"):
        filled('up{route="{{arguments.route}}"}', {"arguments.route": value})


@given(
    st.from_regex(forms.ARGUMENT_VALUE.pattern, fullmatch=True),
    st.sampled_from(['"', "'", "`"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["", "x-", "/"]),
)
def test_whatever_is_put_there_stays_within_the_quotes_and_means_itself(value, quote, matcher, before):
    query = f"up{{route{matcher}{quote}{before}{{{{arguments.route}}}}{quote},namespace={quote}ml{quote}}}"
    assert list(problems_of_query(query, ROUTE)) == []
    made = filled(query, {"arguments.route": value})
    inside = made.removeprefix(f"up{{route{matcher}{quote}").removesuffix(
        f"{quote},namespace={quote}ml{quote}}}"
    )
    assert len(inside) == len(made) - len(f"up{{route{matcher}{quote}") - len(
        f"{quote},namespace={quote}ml{quote}}}"
    )
    assert not set(inside) & set("\"'`\\\n{}")
    if matcher.endswith("~"):
        assert re.fullmatch(inside, before + value)
        other = (before + value).replace(".", "x")
        assert other == before + value or not re.fullmatch(inside, other)
    else:
        assert inside == before + value


@given(st.text(alphabet="\"'`\\#{}=~!n\n arguments.route", max_size=60))
def test_any_text_is_read(query):
    list(problems_of_query(query, ROUTE))
