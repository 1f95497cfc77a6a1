"""What is read of a deployment behind a Gateway."""

import pytest
from mooring_operator.adapters.routers.gateway_routes import Backend
from mooring_operator.adapters.routers.gateway_seen import backend_of


def service(*ports, name="digits-r1-predictor"):
    return {"metadata": {"name": name}, "spec": {"ports": list(ports)}}


HTTP = {"name": "http", "port": 80}
GRPC = {"name": "grpc", "port": 8081, "appProtocol": "kubernetes.io/h2c"}


@pytest.mark.parametrize(
    ("ports", "http", "grpc"),
    [
        ([HTTP], 80, None),
        ([HTTP, GRPC], 80, 8081),
        ([{"name": "h2c", "port": 80}, {"name": "web", "port": 8080}], 8080, 80),
        ([{"port": 80}], 80, None),
        ([], 80, None),
        # A runtime that speaks gRPC alone.
        ([{"name": "h2c", "port": 80}], 80, 80),
        ([{"name": "grpc-web", "port": 80}, GRPC], 80, 80),
    ],
)
def test_ports_are_for_what_their_names_say(ports, http, grpc):
    assert backend_of(service(*ports)) == Backend("digits-r1-predictor", http, grpc)


@pytest.mark.parametrize("name", ["grpc-r1-predictor", "digits-h2c-r1-predictor"])
def test_a_port_that_a_container_does_not_name_has_the_name_of_the_model(name):
    assert backend_of(service({"name": name, "port": 80}, name=name)) == Backend(name, 80)
