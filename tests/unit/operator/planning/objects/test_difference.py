"""When an object counts as already there."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.planning.objects.difference import covers, quantity


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


@given(st.integers(0, 10**6))
def test_a_quantity_is_its_value_however_it_is_written(number):
    assert quantity(f"{number}") == quantity(f"{number * 1000}m")
    assert quantity(f"{number}Ki") == quantity(f"{number * 1024}")
    assert quantity(f"{number}k") == quantity(f"{number * 1000}")


@pytest.mark.parametrize("text", ["", "m", "1x", "1.2.3", "one"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="is no quantity"):
        quantity(text)
