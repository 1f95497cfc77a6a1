"""When an object counts as already there."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.objects.difference import covers


def test_what_others_add_or_write_differently_is_no_difference():
    resources = {"requests": {"cpu": "1000m", "memory": "1Gi"}}
    wanted = {"spec": {"predictor": {"minReplicas": 1, "model": {"resources": resources}}}}
    seen = copy.deepcopy(wanted)
    seen["spec"]["predictor"]["model"]["resources"]["requests"] = {
        "cpu": "1",
        "memory": "1024Mi",
        "extra": "1",
    }
    seen["spec"]["predictor"]["timeout"] = 60
    assert covers(seen["spec"], wanted["spec"])
    seen["spec"]["predictor"]["minReplicas"] = 7
    assert not covers(seen["spec"], wanted["spec"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_everything_covers_itself(value):
    assert covers(value, value)


@pytest.mark.parametrize(
    ("seen", "wanted", "same"),
    [
        # What the API server makes of what a CronJob and a Deployment say.
        ("1m", "100u", True),
        ("500m", ".5", True),
        ("1k", "1e3", True),
        ("9223372036854775807", "9Ei", True),
        ("2m", "1m", False),
        ("1e1000000", "1", False),
        ("lots", "1", False),
    ],
)
def test_objects_are_compared_by_what_their_quantities_come_to(seen, wanted, same):
    assert covers({"limits": {"cpu": seen}}, {"limits": {"cpu": wanted}}) is same
