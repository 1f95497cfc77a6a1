"""Two operators of one cluster, each with its own Lease, that watch one namespace."""

import pytest
from mooring_operator.reconcile.installs import AGAIN_S

from tests.cluster.rollout_steps import KServe, Model, Operator, install, until

NAMESPACE = "mooring-installs"
ONE, TWO = f"{NAMESPACE}/one", f"{NAMESPACE}/two"
STEPS = [{"setWeight": 10}, {"approve": {}}, {"setWeight": 100}]


@pytest.fixture
def api(control_plane):
    install(control_plane.api, NAMESPACE)
    return control_plane.api


def operator(control_plane, folder, lease):
    namespace, _, name = lease.partition("/")
    settings = {"leader_election": "true", "lease_namespace": namespace, "lease_name": name}
    return Operator(control_plane.kubeconfig, folder / f"{name}.log", namespaces=NAMESPACE, **settings)


def written(operator):
    """What it has written, but for Events and its Lease: verb and resource."""
    return {
        (verb, resource)
        for verb, resource, code in operator.requests()
        if verb not in ("get", "list", "watch") and resource not in ("events", "leases") and code != "409"
    }


def left(operator):
    [line] = [
        line
        for line in operator.ask("/metrics").splitlines()
        if line.startswith("mooring_resources_of_others ")
    ]
    return float(line.split()[1])


def told(api, name):
    """The messages of the Events that another operator works on an object."""
    events = api.items(f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events")
    return [e["note"] for e in events if (e["reason"], e["regarding"]["name"]) == ("OtherOperator", name)]


def test_each_deployment_has_one_operator_and_another_when_that_is_gone(api, control_plane, tmp_path):
    models = [Model(api, NAMESPACE, f"m-{number}") for number in range(6)]
    both = {lease: operator(control_plane, tmp_path, lease) for lease in (ONE, TWO)}
    with KServe(api, NAMESPACE), both[ONE], both[TWO]:
        for model in models:
            model.apply("v1", steps=STEPS)
        for model in models:
            model.reaches("Promoted", "v1")
        works = {model.name: model.status["operator"] for model in models}
        assert set(works.values()) <= {ONE, TWO}
        for lease, other in ((ONE, TWO), (TWO, ONE)):
            theirs = [name for name, who in works.items() if who == other]
            until(lambda lease=lease, theirs=theirs: left(both[lease]) == len(theirs))
            for name in theirs:
                [message] = until(lambda name=name: told(api, name), what=f"nothing is told of {name}")
                assert f"operator {lease} leaves this alone, for operator {other} works on it" in message
        # What is made for a deployment was made once, by whoever works on it.
        made = api.items(f"/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events")
        for model in models:
            said = [e["reason"] for e in made if e["regarding"]["name"] == model.name]
            assert (said.count("Deploying"), said.count("Promoted")) == (1, 1)
        # All go to one that is left, in the middle of a rollout.
        dead, alive = works[models[0].name], TWO if works[models[0].name] == ONE else ONE
        models[0].apply("v2", steps=STEPS)
        waiting = models[0].reaches("AwaitingApproval", weight=10)
        both[dead].kill()
        lease = f"/apis/coordination.k8s.io/v1/namespaces/{dead.replace('/', '/leases/')}"
        # It lasts for 15 seconds; the test need not.
        api.merge(lease, {"spec": {"leaseDurationSeconds": 1}})
        for model in models:
            # The Lease has to be seen twice.
            until(
                lambda model=model: model.status["operator"] == alive,
                what=f"{model.name} is {dead}'s",
                timeout=2 * AGAIN_S + 30,
            )
        assert {**models[0].status, "operator": dead} == waiting
        models[0].command("approve", waiting["candidate"]["revision"])
        models[0].reaches("Promoted", "v2")
        assert left(both[alive]) == 0
        assert len(told(api, models[0].name)) == 1
