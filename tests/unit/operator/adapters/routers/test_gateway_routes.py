"""The HTTPRoute of a deployment, and the ways from one to the next."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.adapters.routers import gateway_routes as routes
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routing import Arm, Mirror, Routing, Rule

OWNER = Owner("models", "digits", "9a1f2f6e-0000-4000-8000-000000000001", 1)
ENTRANCE = routes.Entrance("front", "gateways", "digits.example.com")
ADDRESS = routes.Address("digits", ("digits.models", "digits.example.com"), "digits.example.com")
NAMES = ("r1", "r2", "r3")


def revision(name):
    return Revision(revision=name, model_uri="s3://m/1", storage_uri="s3://m/1", format="onnx", serving={})


def backend(name, grpc_port=8081):
    return routes.Backend(f"digits-{name}-predictor", 80, grpc_port)


def routing(rules=(), mirror=None, sticky="", **weights):
    return Routing(
        tuple(Arm(revision(n), w) for n, w in weights.items()), rules=rules, mirror=mirror, sticky=sticky
    )


def built(asked, grpc_port=8081, address=ADDRESS):
    names = [arm.revision.revision for arm in asked.arms]
    return routes.route(OWNER, asked, {name: backend(name, grpc_port) for name in names}, ENTRANCE, address)


def refs(manifest):
    found = set()
    for rule in manifest["spec"]["rules"]:
        found |= {(ref["name"], ref["port"]) for ref in rule["backendRefs"]}
        for entry in rule.get("filters", []):
            ref = entry["requestMirror"]["backendRef"]
            found.add((ref["name"], ref["port"]))
    return found


def busy(manifest):
    """Backends that may get a request."""
    found = set()
    for rule in manifest["spec"]["rules"]:
        found |= {(ref["name"], ref["port"]) for ref in rule["backendRefs"] if ref["weight"]}
        for entry in rule.get("filters", []):
            ref = entry["requestMirror"]["backendRef"]
            found.add((ref["name"], ref["port"]))
    return found


@st.composite
def routings(draw):
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, 3))]
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(names) - 1, max_size=len(names) - 1)))
    weights = [after - before for before, after in pairwise([0, *cuts, 100])]
    some = st.sampled_from(names)
    header = st.builds(Rule, some, st.sampled_from(["a", "b; c=d", "x.y"]), header=st.just("x-group"))
    cookie = st.builds(Rule, some, st.sampled_from(["a", "b"]), cookie=st.just("group"))
    rules = tuple(draw(st.lists(header | cookie, max_size=3)))
    mirror = draw(st.none() | st.builds(Mirror, some, st.integers(1, 100)))
    sticky = draw(st.sampled_from(["", "mooring-arm"]))
    return routing(rules, mirror, sticky, **dict(zip(names, weights, strict=True)))


@given(routings(), routings(), st.sampled_from([None, 8081]))
def test_backends_enter_and_leave_without_traffic(before, after, grpc_port):
    present, wanted = built(before, grpc_port), built(after, grpc_port)
    way = routes.way_to(wanted, present)
    assert way[-1] == wanted
    for earlier, later in pairwise([present, *way]):
        assert busy(later) <= refs(earlier)
        assert busy(earlier) <= refs(later)
    assert len(way) <= 3


@given(routings(), routings())
def test_on_the_way_users_are_decided_about_as_before_or_as_wanted(before, after):
    present, wanted = built(before), built(after)
    for stop in routes.way_to(wanted, present):
        shares = {name: weight for name, weight in routes.weights_of(stop).items() if weight}
        assert shares in [
            {name: weight for name, weight in routes.weights_of(end).items() if weight}
            for end in (present, wanted)
        ]


@given(routings())
def test_what_is_there_needs_no_way(asked):
    assert routes.way_to(built(asked), built(asked)) == [built(asked)]
    assert routes.way_to(built(asked), None) == [built(asked)]


@given(routings())
def test_weights_are_read_as_they_were_written(asked):
    weights = {f"digits-{arm.revision.revision}-predictor": arm.weight for arm in asked.arms}
    assert routes.weights_of(built(asked)) == weights


def test_a_rollback_in_the_middle_takes_the_candidates_traffic_with_the_first_write():
    present = built(routing(r1=50, r2=50))
    first, last = routes.way_to(built(routing(r1=100)), present)
    assert routes.weights_of(first) == {"digits-r1-predictor": 100, "digits-r2-predictor": 0}
    assert routes.weights_of(last) == {"digits-r1-predictor": 100}


def test_a_candidate_that_waited_unexposed_gets_its_weight_at_once():
    present = built(routing(r1=100, r2=0))
    assert routes.way_to(built(routing(r1=90, r2=10)), present) == [built(routing(r1=90, r2=10))]


def test_every_rule_has_a_timeout_and_grpc_goes_to_its_own_port():
    rules = built(routing(r1=90, r2=10))["spec"]["rules"]
    assert [rule["timeouts"] for rule in rules] == [{"request": routes.TIMEOUT}] * 2
    assert [(r["matches"][0]["path"]["value"], r["backendRefs"][0]["port"]) for r in rules] == [
        ("/", 80),
        (routes.GRPC_PATH, 8081),
    ]
    assert len(built(routing(r1=100), grpc_port=None)["spec"]["rules"]) == 1


def test_host_names_are_those_of_the_address():
    assert routes.in_cluster_hosts("digits", "models") == [
        "digits.models.svc.cluster.local",
        "digits.models.svc",
        "digits.models",
    ]
    assert built(routing(r1=100))["spec"]["hostnames"] == ["digits.models", "digits.example.com"]
    assert routes.HOST_LABEL in built(routing(r1=100))["metadata"]["labels"]
    inside = built(routing(r1=100), address=routes.Address("digits", ("digits.models",)))
    assert routes.HOST_LABEL not in inside["metadata"]["labels"]
    assert routes.preview_host("digits.example.com") == "digits-preview.example.com"


@pytest.mark.parametrize(
    ("cookies", "matches"),
    [
        ("group=a.b", True),
        ("x=y; group=a.b", True),
        ("x=y;group=a.b; z=1", True),
        ("group=a.b ; z=1", True),
        ("group=axb", False),
        ("group=a.bc", False),
        ("mygroup=a.b", False),
        ("x=group=a.b", False),
    ],
)
def test_a_cookie_is_matched_whole(cookies, matches):
    asked = routing((Rule("r2", "a.b", cookie="group"),), r1=100, r2=0)
    [header] = built(asked)["spec"]["rules"][0]["matches"][0]["headers"]
    assert (header["type"], header["name"]) == ("RegularExpression", "Cookie")
    assert bool(re.fullmatch(header["value"], cookies)) is matches
    assert bool(re.search(header["value"], cookies)) is matches


def test_more_rules_than_a_route_can_have_are_refused():
    alternating = tuple(Rule(f"r{1 + n % 2}", str(n), header="x-n") for n in range(8))
    with pytest.raises(ValueError, match="18 rules; an HTTPRoute has at most 16"):
        built(routing(alternating, r1=100, r2=0))


@pytest.mark.parametrize(
    ("turns", "sticky", "variants"),
    [(7, "", 0), (7, "", 3), (4, "arm", 0), (3, "arm", 1), (2, "arm", 2), (1, "arm", 3)],
)
def test_a_test_that_a_spec_may_ask_for_has_room_in_a_route(turns, sticky, variants):
    """With one more revision, as while one leaves, and gRPC."""
    rules = tuple(Rule(f"r{1 + n % 2}", str(n), header="x-n") for n in range(turns))
    beside = {f"r{4 + n}": 10 for n in range(variants)}
    asked = routing(rules, None, sticky, r1=40 - sum(beside.values()), r2=40, r3=20, **beside)
    assert len(built(asked)["spec"]["rules"]) <= routes.MOST_RULES


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{"filters": [{"type": "RequestRedirect", "requestRedirect": {"hostname": "a.b.c"}}]}],
        [{"matches": [{"path": {"value": "/x"}}], "backendRefs": [{"name": "theirs", "port": 80}]}],
    ],
)
def test_a_route_that_somebody_left_without_traffic_is_put_right_at_once(rules):
    """What it was made into has no place for another backend, and loses every request."""
    present = built(routing(r1=100))
    present["spec"]["rules"] = rules
    wanted = built(routing(r1=90, r2=10))
    *before, last = routes.way_to(wanted, present)
    assert last == wanted
    assert all(stop["spec"]["rules"][0]["timeouts"] for stop in before)


def test_rules_beside_each_other_that_go_to_one_revision_are_one():
    same = tuple(Rule("r2", str(n), header="x-n") for n in range(20))
    rules = built(routing(same, r1=100, r2=0))["spec"]["rules"]
    assert [len(rule["matches"]) for rule in rules] == [20, 1, 20, 1]


def test_a_cookie_keeps_nobody_on_an_arm_without_traffic():
    def kept(**weights):
        rules = built(routing(sticky="arm", **weights), grpc_port=None)["spec"]["rules"]
        return [rule["backendRefs"][0]["name"] for rule in rules[:-1]]

    assert kept(r1=50, r2=50) == ["digits-r1-predictor", "digits-r2-predictor"]
    assert kept(r1=100, r2=0) == []
