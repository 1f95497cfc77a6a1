"""What is read of a deployment behind a Gateway."""

from dataclasses import replace

import pytest
from mooring_operator.adapters.routers.gateway_routes import Backend
from mooring_operator.adapters.routers.gateway_seen import backend_of, unless_ending
from mooring_operator.adapters.routers.inference_services.revisions import RevisionsSeen
from mooring_operator.planning.routes import Variant


def route(**weights):
    refs = [{"name": f"digits-{name}-predictor", "weight": share} for name, share in weights.items()]
    matches = [{"path": {"type": "PathPrefix", "value": "/"}}]
    return {"spec": {"rules": [{"matches": matches, "backendRefs": refs}]}}


def test_what_gets_requests_is_as_it_is_counted_and_what_is_to_get_some_waits_for_a_new_count():
    running = RevisionsSeen({"r1": Variant(True, pods=1), "r2": Variant(True, pods=1)}, stale={"r1", "r2"})
    backends = {name: Backend(f"digits-{name}-predictor", 80) for name in ("r1", "r2")}
    seen = unless_ending(running, backends, route(r1=100, r2=0)).variants
    assert (seen["r1"].ready, seen["r2"].ready, seen["r2"].pods) == (True, False, 0)
    assert "has not taken up its pods" in seen["r2"].waiting
    assert unless_ending(replace(running, stale=set()), backends, route(r1=100)).variants["r2"].ready


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
