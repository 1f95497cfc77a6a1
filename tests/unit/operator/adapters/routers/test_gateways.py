"""What Gateways say."""

import pytest
from mooring_operator.adapters.routers import gateways


def gateway(*hostnames, programmed="True", reason="Programmed", protocol="HTTP"):
    return {
        "metadata": {"namespace": "gateways", "name": "front"},
        "spec": {
            "gatewayClassName": "contour",
            "listeners": [
                {"protocol": protocol, **({"hostname": hostname} if hostname else {})}
                for hostname in hostnames
            ],
        },
        "status": {
            "conditions": [
                {"type": "Accepted", "status": "Unknown", "reason": "Pending"},
                {"type": "Programmed", "status": programmed, "reason": reason, "message": "no\naddress"},
            ]
        },
    }


@pytest.mark.parametrize(
    ("listener", "host", "takes"),
    [
        ("", "digits.models", True),
        ("*.example.com", "digits.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "digits.models", False),
        ("*.example.com", "digits.badexample.com", False),
        ("Models.Example.com", "models.example.com", True),
        ("models.example.com", "digits.example.com", False),
    ],
)
def test_listeners_take_host_names_as_gateways_do(listener, host, takes):
    assert gateways.heard(gateway(listener), [host], "shop") == ([host] if takes else [])


def test_listeners_for_other_protocols_take_nothing():
    assert gateways.heard(gateway("", protocol="TCP"), ["digits.models"], "shop") == []
    assert gateways.host_names(gateway("", protocol="TCP"), "shop") == "none: it has no listener for HTTP"


@pytest.mark.parametrize(
    ("allowed", "namespace", "takes"),
    [
        ({"namespaces": {"from": "All"}}, "shop", True),
        ({"namespaces": {"from": "Same"}}, "shop", False),
        ({"namespaces": {"from": "Same"}}, "gateways", True),
        ({"namespaces": {"from": "None"}}, "gateways", False),
        # Which namespaces a selector means, the gateway's controller says.
        ({"namespaces": {"from": "Selector", "selector": {}}}, "shop", True),
        ({"kinds": [{"kind": "GRPCRoute"}]}, "shop", False),
        ({"kinds": [{"kind": "GRPCRoute"}, {"kind": "HTTPRoute"}]}, "shop", True),
        ({"kinds": []}, "shop", True),
    ],
)
def test_listeners_take_the_routes_that_they_allow(allowed, namespace, takes):
    found = gateway("")
    found["spec"]["listeners"][0]["allowedRoutes"] = allowed
    assert gateways.heard(found, ["digits.models"], namespace) == (["digits.models"] if takes else [])
    assert gateways.is_closed_to(found, namespace) == (not takes)


def test_a_host_name_is_taken_by_a_listener_that_allows_the_route():
    found = gateway("", "*.example.com")
    found["spec"]["listeners"][0]["allowedRoutes"] = {"namespaces": {"from": "Same"}}
    hosts = ["digits.shop", "digits.example.com"]
    assert gateways.heard(found, hosts, "shop") == ["digits.example.com"]
    assert gateways.host_names(found, "shop") == "*.example.com"


def test_a_gateway_that_works_is_programmed_whatever_its_class_says():
    assert gateways.why_unusable(gateway("")) == ""


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (
            gateway("", programmed="Unknown", reason="Pending"),
            "no controller has set up Gateway gateways/front yet",
        ),
        ({**gateway(""), "status": {}}, "is one installed for GatewayClass contour?"),
        (gateway("", programmed="False", reason="AddressNotAssigned"), "AddressNotAssigned: no address"),
    ],
)
def test_a_gateway_that_does_not_work_is_told(seen, said):
    assert said in gateways.why_unusable(seen)
