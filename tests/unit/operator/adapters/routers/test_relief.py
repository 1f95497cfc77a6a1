"""A route is relieved of revisions that have no pods, by its own words alone."""

from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers import gateway_routes as routes
from mooring_operator.adapters.routers.relief import relieved
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routing import Arm, Mirror, Routing, Rule

from tests.unit.operator.adapters.routers.revisions import revision

OWNER = Owner("models", "digits", "9a1f2f6e-0000-4000-8000-000000000001", 1)
ENTRANCE = routes.Entrance("front", "gateways")
ADDRESS = routes.Address("digits", ("digits.models",))
NAMES = ("r1", "r2", "r3")
BY_GROUP = (
    Rule("r2", "b", header="x-group"),
    Rule("r3", "c", header="x-group"),
    Rule("r1", "d", cookie="group"),
)


def service(name):
    return f"digits-{name}-predictor"


def services(*names):
    return {service(name) for name in names}


def built(grpc_port=8081, rules=(), mirror=None, sticky="", **weights):
    arms = tuple(Arm(revision(name), weight) for name, weight in weights.items())
    backends = {name: routes.Backend(service(name), 80, grpc_port) for name in weights}
    asked = Routing(arms, rules=rules, mirror=mirror, sticky=sticky)
    made = routes.route(OWNER, asked, backends, ENTRANCE, ADDRESS)
    # As the API server gives it.
    made["metadata"] |= {"resourceVersion": "7", "uid": "uid-1", "managedFields": [{"manager": "mooring"}]}
    made["metadata"]["labels"] |= {"theirs": "yes"}
    return {**made, "status": {"parents": []}}


def weights(rule):
    return {ref["name"]: ref["weight"] for ref in rule["backendRefs"]}


def test_what_is_dead_gets_nothing_and_the_stable_revision_all_of_it():
    before = built(r1=85, r2=10, r3=5)
    after = relieved(before, services("r1", "r3"), services("r2"))
    shares = {service("r1"): 95, service("r2"): 0, service("r3"): 5}
    assert [weights(rule) for rule in after["spec"]["rules"]] == [shares, shares], "HTTP and gRPC"
    assert after["spec"] == {**before["spec"], "rules": after["spec"]["rules"]}
    assert after["metadata"] == {
        "name": "digits-mooring",
        "namespace": "models",
        "resourceVersion": "7",
        "labels": {name: value for name, value in before["metadata"]["labels"].items() if name != "theirs"},
        "ownerReferences": before["metadata"]["ownerReferences"],
    }, "nothing of others is claimed, and nothing newer overwritten"


def test_nothing_is_written_where_nothing_changes_or_nobody_else_could_answer():
    route = built(r1=90, r2=10)
    for alive, dead in (
        (services("r1", "r2"), set()),
        (services("r2"), services("r1")),
        (set(), services("r1", "r2")),
        (services("r1"), set()),
        (set(), services("r2")),
    ):
        assert relieved(route, alive, dead) is None
    assert relieved(built(r1=100, r2=0), services("r1"), services("r2")) is None
    assert relieved({**route, "spec": {}}, services("r1"), services("r2")) is None
    assert relieved({**route, "spec": {"rules": [{"filters": []}]}}, services("r1"), services("r2")) is None


def test_what_matches_and_what_sticks_goes_with_the_others():
    route = built(rules=BY_GROUP, sticky="arm", r1=50, r2=30, r3=20)
    after = relieved(route, services("r1", "r3"), services("r2"))
    named = [
        set(weights(rule))
        for rule in after["spec"]["rules"]
        if any(m.get("headers") for m in rule["matches"])
    ]
    assert named
    assert all(one in (services("r1"), services("r3")) for one in named)
    shared = [weights(rule) for rule in after["spec"]["rules"] if len(rule["backendRefs"]) > 1]
    assert shared == [{service("r1"): 80, service("r2"): 0, service("r3"): 20}] * 2
    cookies = [ref["filters"] for ref in after["spec"]["rules"][-1]["backendRefs"]]
    assert cookies == [ref["filters"] for ref in route["spec"]["rules"][-1]["backendRefs"]]


def test_a_mirror_stays_for_nobody_waits_for_it():
    route = built(mirror=Mirror("r2", 100), r1=100, r2=0)
    assert relieved(route, services("r1"), services("r2")) is None


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=3),
    st.lists(st.booleans(), min_size=3, max_size=3),
    st.sampled_from([(), BY_GROUP]),
    st.sampled_from([None, 8081]),
)
def test_requests_are_moved_and_none_is_lost_or_made_up(shares, lives, rules, grpc_port):
    asked = dict(zip(NAMES, shares, strict=False))
    named = tuple(rule for rule in rules if rule.revision in asked)
    route = built(grpc_port, rules=named, **asked)
    alive = services(
        *(name for name, lives_on in zip(NAMES, lives, strict=True) if lives_on and name in asked)
    )
    dead = services(*asked) - alive
    after = relieved(route, alive, dead)
    if after is None:
        exposed = {
            name for rule in route["spec"]["rules"] for name, weight in weights(rule).items() if weight
        }
        assert service("r1") in dead or not exposed & dead
        return
    for rule in after["spec"]["rules"]:
        assert not {name for name, weight in weights(rule).items() if weight} & dead
    mains = [
        [r for r in one["spec"]["rules"] if not r["matches"][0].get("headers")] for one in (route, after)
    ]
    for before, now in zip(*mains, strict=True):
        assert sum(weights(before).values()) == sum(weights(now).values())
        assert list(weights(before)) == list(weights(now))
    assert relieved({**route, "spec": after["spec"]}, alive, dead) is None, "once is enough"
