"""What a failure leaves on a resource: one condition, once, beside whatever is there."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.reconcile.failures import DeadlineExceeded, StatusUnreadable, with_failure

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATE, UNREADABLE = DeadlineExceeded(60), StatusUnreadable("status.stable cannot be read")
READY = {"type": "Ready", "status": "True", "reason": "Promoted", "message": "", "observedGeneration": 3}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def resource(status):
    return {"metadata": {"name": "a", "generation": 4}, "status": status}


def test_the_condition_comes_beside_the_others_and_the_rest_stays():
    before = {"phase": "Promoted", "observedGeneration": 3, "conditions": [READY]}
    after = with_failure(resource(before), LATE, NOW)
    assert after == {
        **before,
        "conditions": [
            READY,
            {
                "type": "Reconciled",
                "status": "False",
                "reason": "DeadlineExceeded",
                "message": LATE.message,
                "lastTransitionTime": "2026-03-01T12:00:00Z",
                "observedGeneration": 4,
            },
        ],
    }


def test_the_same_failure_is_written_once_and_another_keeps_the_time():
    once = with_failure(resource({}), LATE, NOW)
    assert with_failure(resource(once), LATE, NOW + timedelta(minutes=1)) is None
    other = with_failure(resource(once), UNREADABLE, NOW + timedelta(minutes=1))
    (condition,) = other["conditions"]
    assert (condition["reason"], condition["lastTransitionTime"]) == (
        "StatusUnreadable",
        "2026-03-01T12:00:00Z",
    )


@pytest.mark.parametrize("status", [None, [], "text", {"conditions": {}}, {"conditions": ["x", None, READY]}])
def test_a_status_of_any_form_can_carry_it(status):
    after = with_failure(resource(status), LATE, NOW)
    assert after["conditions"][-1]["reason"] == "DeadlineExceeded"


@given(JSON)
def test_it_is_written_once_on_whatever_was_there(status):
    after = with_failure(resource(status), LATE, NOW)
    assert with_failure(resource(after), LATE, NOW) is None
