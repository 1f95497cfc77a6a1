"""Whom a change of one deployment lets go on: those that wait for what it has promoted, or behind it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api.rollout import MOST_CONCURRENT
from mooring_operator.runtime.ties import Ties
from mooring_operator.runtime.workqueue import Key

DIGEST = "sha256:" + "a" * 64


def key(name: str, namespace: str = "prod") -> Key:
    return Key("ModelDeployment", namespace, name)


def deployment(
    name: str, namespace: str = "prod", *, evidence_for: str = "", requires: Any = (), **status: Any
) -> dict[str, Any]:
    annotations = {"mooring.dev/evidence-for": evidence_for} if evidence_for else {}
    return {
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "spec": {"rollout": {"requires": requires if isinstance(requires, str) else list(requires)}},
        "status": status,
    }


def queued(name: str, since: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return deployment(name, reason="Queued", candidate={"startedAt": since})


def rolling(name: str) -> dict[str, Any]:
    return deployment(name, reason="Pausing", candidate={"begun": True, "startedAt": "2026-01-01T00:00:00Z"})


STAGING = [{"name": "iris", "namespace": "staging"}]


def test_whoever_requires_a_model_is_woken_when_it_is_promoted_or_shown():
    ties = Ties()
    assert ties.note(key("iris"), deployment("iris", requires=STAGING)) == set()
    staged = key("iris", "staging")
    assert ties.note(staged, deployment("iris", "staging")) == {key("iris")}  # it exists
    assert ties.note(staged, deployment("iris", "staging", phase="Testing")) == set()
    promoted = {"stable": {"digest": DIGEST}}
    assert ties.note(staged, deployment("iris", "staging", **promoted)) == {key("iris")}
    assert ties.note(staged, deployment("iris", "staging", phase="Promoted", **promoted)) == set()
    assert ties.note(staged, deployment("iris", "staging", evidence_for="prod", **promoted)) == {key("iris")}
    ties.note(key("iris"), deployment("iris"))
    assert ties.note(staged, deployment("iris", "staging")) == set()
    assert not ties._required_by


def test_a_requirement_names_its_own_namespace_where_it_says_none():
    ties = Ties()
    ties.note(key("iris"), deployment("iris", requires=[{"name": "staged"}]))
    assert ties.note(key("staged"), deployment("staged", stable={"digest": DIGEST})) == {key("iris")}


def test_who_waits_longest_is_woken_when_a_rollout_ends_however_it_ends():
    ties = Ties()
    ties.note(key("a"), rolling("a"))
    for number in range(MOST_CONCURRENT + 5):
        ties.note(key(f"w{number:02}"), queued(f"w{number:02}", f"2026-01-01T00:{number:02}:00Z"))
    first = {key(f"w{number:02}") for number in range(MOST_CONCURRENT)}
    assert ties.note(key("a"), rolling("a")) == set()
    assert ties.note(key("a"), deployment("a", phase="Promoted")) == first
    ties.note(key("a"), rolling("a"))
    assert ties.forget(key("a")) == first
    # One that leaves the queue makes room too.
    assert key("w01") in ties.note(key("w00"), deployment("w00", phase="Failed"))
    assert ties.note(key("b", "other"), rolling("b")) == set()
    assert ties.forget(key("b", "other")) == set()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(spec=ANYTHING, status=ANYTHING, candidate=ANYTHING, requires=ANYTHING)
def test_what_others_write_may_be_of_any_form(spec, status, candidate, requires):
    ties = Ties()
    for resource in (
        {"spec": spec, "status": status},
        {
            "spec": {"rollout": {"requires": requires}},
            "status": {"candidate": candidate, "stable": candidate},
        },
        {"spec": {"rollout": {"requires": [requires]}}},
    ):
        ties.note(key("iris"), {"metadata": {"name": "iris", "namespace": "prod"}, **resource})
    ties.forget(key("iris"))
    assert not ties._required_by
    assert not ties._turns
    assert not ties._shown
