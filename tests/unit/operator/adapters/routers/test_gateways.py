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
    assert gateways.heard(gateway(listener), [host]) == ([host] if takes else [])


def test_listeners_for_other_protocols_take_nothing():
    assert gateways.heard(gateway("", protocol="TCP"), ["digits.models"]) == []
    assert gateways.host_names(gateway("", protocol="TCP")) == "none: it has no listener for HTTP"


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
