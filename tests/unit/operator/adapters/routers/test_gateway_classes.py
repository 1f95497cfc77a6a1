"""What GatewayClasses say that their gateways can do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers.gateway import GatewayRouter
from mooring_operator.adapters.routers.gateway_classes import limited

MIRROR, PART, COOKIES = (
    f"HTTPRoute{name}" for name in ("RequestMirror", "RequestPercentageMirror", "ResponseHeaderModification")
)


def abilities(*features, as_names=False):
    listed = [name if as_names else {"name": name} for name in features]
    traits = limited(GatewayRouter.traits, "envoy", {"status": {"supportedFeatures": listed}})
    return traits.mirrors, traits.mirrors_part, traits.sticks, traits.lacking


@pytest.mark.parametrize("as_names", [False, True])
def test_what_a_class_does_not_list_its_gateways_cannot(as_names):
    assert abilities("HTTPRoute", MIRROR, PART, COOKIES, as_names=as_names) == (True, True, True, "")
    why = f"GatewayClass envoy does not list {PART} among its supported features"
    assert abilities("HTTPRoute", MIRROR, COOKIES, as_names=as_names) == (True, False, True, why)
    why = f"GatewayClass envoy does not list {MIRROR}, {PART}, {COOKIES} among its supported features"
    assert abilities("HTTPRoute", as_names=as_names) == (False, False, False, why)


@pytest.mark.parametrize(
    "silent", [None, {}, {"status": {}}, {"status": None}, {"status": {"supportedFeatures": []}}]
)
def test_a_class_that_lists_nothing_may_do_all_but_nobody_knows_it_of_mirrors(silent):
    traits = limited(GatewayRouter.traits, "contour", silent)
    assert (traits.mirrors, traits.mirrors_part, traits.sticks) == (True, False, True)
    assert traits.lacking == "GatewayClass contour does not say what it supports"


@given(st.lists(st.one_of(st.text(), st.none(), st.dictionaries(st.text(), st.text())), max_size=5))
def test_whatever_a_class_lists_is_read(listed):
    limited(GatewayRouter.traits, "x", {"status": {"supportedFeatures": listed}})
