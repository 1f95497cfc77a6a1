"""Many ModelDeployments at once with one operator: how much it asks of the API server, and their end."""

import time
from collections import Counter

import pytest

from cluster import ControlPlane, ProgramUnavailableError
from tests.cluster.rollout_steps import OURS, SERVING, KServe, Model, Operator, install, until

NAMESPACE = "many"
MODELS = 200
QUIET_S = 4.0


@pytest.fixture(scope="module")
def cluster():
    """A control plane with controllers, for the garbage collector."""
    plane = ControlPlane(["controller-manager"])
    try:
        plane.start()
    except ProgramUnavailableError as error:
        pytest.skip(str(error))
    yield plane
    plane.stop()


@pytest.fixture(scope="module")
def api(cluster):
    install(cluster.api, NAMESPACE)
    return cluster.api


@pytest.fixture(scope="module")
def operator(api, cluster, tmp_path_factory):
    log = tmp_path_factory.mktemp("operator") / "operator.log"
    election = {"leader_election": "true", "lease_namespace": NAMESPACE}
    with Operator(cluster.kubeconfig, log, namespaces=NAMESPACE, **election) as process:
        yield process


@pytest.fixture(scope="module")
def promoted(api, operator):
    """All of them, promoted; gives the operator's requests until then."""
    with KServe(api, NAMESPACE, workloads=False):
        for number in range(MODELS):
            Model(api, NAMESPACE, f"m{number}").apply("v1")
        until(
            lambda: phases(api),
            lambda now: now == {"Promoted": MODELS},
            what="not all are promoted",
            timeout=150,
        )
        settled(operator)
    return operator.requests()


def resources(api):
    return api.items(f"{OURS}/namespaces/{NAMESPACE}/modeldeployments")


def services(api):
    return api.items(f"{SERVING}/namespaces/{NAMESPACE}/inferenceservices")


def phases(api):
    return Counter(item.get("status", {}).get("phase") for item in resources(api))


def work(requests):
    """What was asked of the API server besides holding the Lease."""
    return Counter({request: count for request, count in requests.items() if request[1] != "leases"})


def settled(operator):
    """Wait until the operator has asked for nothing for QUIET_S seconds; give its requests until then."""
    last, since = work(operator.requests()), time.monotonic()

    def quiet():
        nonlocal last, since
        now = work(operator.requests())
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_S

    until(quiet, what="the operator does not come to rest", timeout=90)
    return last


def test_all_are_promoted_without_a_conflict_or_an_error(promoted, operator):
    # What is not there yet, and the Deployments that nobody makes here.
    unsuccessful = {request for request in promoted if not request[2].startswith("2")}
    assert {(verb, code) for verb, _, code in unsuccessful} <= {("get", "404")}
    assert not operator.messages("error", "critical")


def test_each_costs_the_api_server_few_requests(promoted, api):
    calls = Counter()
    for (verb, resource, _), count in work(promoted).items():
        calls[verb, resource] += count
    # Deploying, what KServe waits for where that is seen in time, and Promoted; the phases are told by Events.
    assert 2 * MODELS <= calls["update", "modeldeployments/status"] <= 3 * MODELS
    assert calls["create", "events"] == 2 * MODELS
    assert calls["create", "inferenceservices"] == MODELS
    assert calls["patch", "inferenceservices"] == 0
    assert {service["metadata"]["generation"] for service in services(api)} == {1}
    reads = sum(count for (verb, _), count in calls.items() if verb in ("get", "list"))
    assert reads <= 10 * MODELS, calls


def test_operator_with_nothing_to_do_only_holds_its_lease(promoted, operator):
    before = operator.requests()
    renewals = ("update", "leases", "200")
    since = until(
        lambda: operator.requests() - before,
        lambda more: more[renewals] >= 3,
        what="the Lease is not renewed",
    )
    assert {resource for _, resource, _ in since} == {"leases"}


def test_services_go_with_their_deployments_and_none_comes_back(promoted, api, operator):
    before = work(operator.requests())
    api.delete(f"{OURS}/namespaces/{NAMESPACE}/modeldeployments")
    until(lambda: resources(api), lambda left: not left)
    until(lambda: len(services(api)), lambda left: left == 0, what="services outlive", timeout=120)
    since = settled(operator) - before
    assert {(verb, resource) for verb, resource, _ in since} <= {("get", "modeldeployments")}
    assert not services(api)
