"""What an HTTPRoute says of a backend's share, and of the gateways that take it up."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.http_routes import (
    copied_to,
    lags_behind,
    leads_to,
    share_of,
    why_not_taken_up,
)

GATEWAY = {"name": "public", "namespace": "gateways"}


def route(*rules, generation=3, parents=None, asked=(GATEWAY,)):
    backends = [
        {"backendRefs": [{"name": name, "weight": weight} for name, weight in rule]} for rule in rules
    ]
    made = {
        "metadata": {"name": "digits", "generation": generation},
        "spec": {"parentRefs": list(asked), "rules": backends},
    }
    return made if parents is None else {**made, "status": {"parents": parents}}


def answer(generation=3, accepted="True", resolved="True", gateway=GATEWAY):
    states = {"Accepted": accepted, "ResolvedRefs": resolved}
    return {
        "parentRef": gateway,
        "conditions": [
            {
                "type": kind,
                "status": status,
                "observedGeneration": generation,
                "reason": "R",
                "message": "why",
            }
            for kind, status in states.items()
        ],
    }


def mirrored(*mirrors):
    filters = [
        {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": name}, **percent}}
        for name, percent in mirrors
    ]
    return {"backendRefs": [{"name": "a"}], "filters": filters}


@pytest.mark.parametrize(
    ("rules", "percent"),
    [
        ([mirrored(("b", {"percent": 20}))], 20),
        ([mirrored(("b", {}))], 100),
        ([mirrored(("b", {"percent": 20})), mirrored(("b", {"percent": 10}))], 10),
        ([mirrored(("b", {"percent": 20})), mirrored()], 0),
        ([mirrored(("a", {"percent": 20}))], 0),
        ([{"backendRefs": [{"name": "b"}]}], 0),
        ([], 0),
    ],
)
def test_copies_are_those_that_every_rule_makes(rules, percent):
    assert copied_to({"spec": {"rules": rules}}, "b") == percent


@pytest.mark.parametrize(
    ("match", "weight", "leads"),
    [
        ({"headers": [{"name": "x", "value": "y"}]}, 1, True),
        ({"headers": [{"name": "x"}]}, 0, False),
        ({}, 1, False),
    ],
)
def test_a_header_leads_to_a_backend_with_weight(match, weight, leads):
    made = route([("b", weight)])
    made["spec"]["rules"][0]["matches"] = [match]
    assert leads_to(made, "b") == leads
    assert not leads_to(made, "a")


@pytest.mark.parametrize(
    ("rules", "share"),
    [
        ([[("a", 90), ("b", 10)]], 10),
        ([[("a", 1), ("b", 3)]], 75),
        ([[("b", 1)]], 100),
        ([[("a", 100)]], 0),
        ([[("a", 0), ("b", 0)]], 0),
        ([[]], 0),
        ([], 0),
        ([[("a", 50), ("b", 50)], [("a", 90), ("b", 10)]], 10),
        ([[("a", 50), ("b", 50)], [("a", 1)]], 0),
        ([[("b", 20), ("a", 60), ("b", 20)]], 40),
    ],
)
def test_the_share_of_a_backend_is_what_it_gets_by_every_rule(rules, share):
    assert share_of(route(*rules), "b") == share


@given(st.integers(0, 100))
def test_a_percentage_is_read_as_it_was_written(percent):
    written = route([("stable", 100 - percent), ("canary", percent)])
    assert (share_of(written, "canary"), share_of(written, "stable")) == (percent, 100 - percent)


def test_a_backend_without_a_weight_has_one():
    made = {
        "metadata": {"name": "digits"},
        "spec": {"rules": [{"backendRefs": [{"name": "a"}, {"name": "b"}]}]},
    }
    assert share_of(made, "b") == 50


@pytest.mark.parametrize(
    ("parents", "why"),
    [
        ([answer()], ""),
        (None, "no gateway has answered"),
        ([], "no gateway has answered"),
        ([answer(generation=2)], "has not taken up HTTPRoute digits as it is now"),
        ([answer(generation=None)], "has not taken up HTTPRoute digits as it is now"),
        ([answer(generation=2, accepted="False")], "has not taken up HTTPRoute digits as it is now"),
        ([answer(accepted="False")], "Gateway public does not take up HTTPRoute digits: R: why"),
        ([answer(resolved="False")], "Gateway public does not take up HTTPRoute digits: R: why"),
        ([answer(accepted="Unknown")], "does not take up"),
        ([{"parentRef": GATEWAY, "conditions": []}], "has not taken up"),
        ([{"parentRef": GATEWAY, "conditions": answer()["conditions"][:1]}], "has not taken up"),
        ([answer(), answer(accepted="False", gateway={"name": "inner"})], "Gateway inner does not take up"),
    ],
)
def test_a_route_counts_as_every_gateway_has_taken_it_up(parents, why):
    made = route([("a", 1)], parents=copy.deepcopy(parents))
    said = why_not_taken_up(made)
    assert why in said
    assert bool(said) is bool(why)


def test_every_gateway_that_was_asked_has_to_answer():
    asked = (GATEWAY, {"name": "inner"})
    assert "no gateway has answered" in why_not_taken_up(route([("a", 1)], parents=[answer()], asked=asked))
    assert "no gateway has answered" in why_not_taken_up(route([("a", 1)], parents=[], asked=()))


@pytest.mark.parametrize(
    ("parents", "lags"),
    [
        ([answer(generation=2)], True),
        ([answer(), answer(generation=2, gateway={"name": "inner"})], True),
        ([answer()], False),
        (None, False),
        ([{"parentRef": GATEWAY, "conditions": []}], False),
        ([{"parentRef": GATEWAY, "conditions": answer(generation=2)["conditions"][:1]}], False),
        ([answer(generation=2, accepted="False")], False),
        ([answer(generation=2, resolved="False")], False),
        ([answer(generation=2), answer(accepted="False", gateway={"name": "inner"})], False),
    ],
)
def test_a_gateway_lags_behind_where_it_serves_what_was_before_and_only_then(parents, lags):
    assert lags_behind(route([("a", 1)], parents=copy.deepcopy(parents))) is lags
