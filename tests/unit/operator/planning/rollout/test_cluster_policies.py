"""ClusterModelPolicies: what they forbid, how that is told, and what it leaves alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mooring_operator.adapters.rules.child import Child
from mooring_operator.api import ClusterModelPolicySpec, ModelDeploymentSpec, ModelPolicySpec
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.plan import plan

from tests.unit.operator.planning.world import CI, World, spec_of

STEPS = {"steps": [{"setWeight": 10}, {"pause": {"duration": "1h"}}, {"setWeight": 100}]}


@pytest.fixture(scope="module")
def child():
    with Child() as child:
        yield child


def demand(**spec):
    return ClusterModelPolicySpec.model_validate(spec)


def own(expression):
    return ModelPolicySpec.model_validate(rule(expression))


def rule(expression):
    return {"rules": [{"name": "rule", "expression": expression}]}


class Bound(World):
    """A world whose namespace is bound by ClusterModelPolicies."""

    cluster = {}  # noqa: RUF012 - each test sets its own
    error = ""
    own = {}  # noqa: RUF012

    def observe(self):
        return replace(
            super().observe(),
            cluster_policies=self.cluster,
            cluster_policies_error=self.error,
            policies=self.own,
        )


@pytest.fixture
def bound(child):
    def make(*, first=None, then=None, **cluster):
        """Promote v1 unbound, and then ask for v2 with `then` under ClusterModelPolicy prod."""
        world = Bound(spec_of("v1", **(first or {})), rules=child)
        world.settle()
        world.cluster = {"prod": demand(**cluster)} if cluster else {}
        if then is not None:
            world.apply(spec_of("v2", **then))
        return world

    return make


def condition(world, kind="PoliciesMet"):
    return next((known for known in world.status.conditions if known.type == kind), None)


def warnings(world):
    return [action for action in world.actions if isinstance(action, Notify) and action.type == "Warning"]


GATES = {**CI, "gates": [{"metric": "accuracy", "min": 0.9}, {"metric": "latencyP95Ms", "max": 50}]}


@pytest.mark.parametrize(
    ("demanded", "spec", "says"),
    [
        ({"requireCI": True}, {}, "spec.ci is missing: models have to be tested"),
        ({"allowedFormats": ["sklearn", "pytorch"]}, {}, "spec.model.format 'onnx' is not one of sklearn, pytorch"),
        ({"allowedSources": ["s3://m2", "s3://m/v"]}, {}, "spec.model.uri 's3://m/v2' does not lie in s3://m2, s3://m/v"),
        ({"requiredGates": [{"metric": "accuracy", "min": 0.8}]}, {}, "spec.ci is missing"),
        (
            {"requiredGates": [{"metric": "f1", "min": 0.8}]},
            {"ci": GATES},
            "spec.ci.gates needs f1 with min 0.8 or more",
        ),
        (
            {"requiredGates": [{"metric": "accuracy", "min": 0.95}]},
            {"ci": GATES},
            "spec.ci.gates needs accuracy with min 0.95 or more, has 0.9",
        ),
        (
            {"requiredGates": [{"metric": "accuracy", "min": 0.5}]},
            {"ci": {**CI, "gates": [{"metric": "accuracy", "min": 0.9, "slice": {"column": "country"}}]}},
            "spec.ci.gates needs accuracy with min 0.5 or more",
        ),
        (
            {"requiredGates": [{"metric": "latencyP95Ms", "min": 1, "max": 20}]},
            {"ci": GATES},
            "needs latencyP95Ms with min 1 or more; spec.ci.gates needs latencyP95Ms with max 20 or less, has 50",
        ),
    ],
)  # fmt: skip
def test_what_is_demanded_and_not_met_refuses_the_revision(bound, demanded, spec, says):
    world = bound(then=spec, **demanded)
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "ClusterPolicyViolated")
    assert world.status.message.startswith("ClusterModelPolicy prod forbids revision ")
    assert says in world.status.message
    assert f"revision {world.status.stable.revision} keeps serving" in world.status.message
    assert (condition(world).status, condition(world).reason) == ("False", "ClusterPolicyViolated")
    # Nothing of it is tested or served, and it is told once.
    assert (world.launched, world.weights_seen, world.status.candidate) == ([], [], None)
    assert [warning.reason for warning in warnings(world)] == ["ClusterPolicyViolated"]
    assert plan(world.spec, world.status, world.observe(), world.now).status == world.status


@pytest.mark.parametrize(
    ("demanded", "spec"),
    [
        ({"requireCI": True}, {"ci": CI}),
        ({"allowedFormats": ["onnx"]}, {}),
        ({"allowedSources": ["gs://x", "s3://m"]}, {}),
        ({"requiredGates": [{"metric": "accuracy", "min": 0.9}, {"metric": "latencyP95Ms", "max": 60}]}, {"ci": GATES}),
        ({"requiredGates": [{"metric": "accuracy", "min": 0.5, "max": 1.0}]},
         {"ci": {**CI, "gates": [{"metric": "accuracy", "max": 0.99}, {"metric": "accuracy", "min": 0.6}]}}),
        (rule("model.format == 'onnx' && deployment.namespace == 'ns'"), {}),
    ],
)  # fmt: skip
def test_what_is_demanded_and_met_lets_the_revision_go_on(bound, demanded, spec):
    world = bound(then=spec, **demanded)
    assert world.settle().phase == "Promoted"
    assert (condition(world).status, condition(world).reason) == ("True", "PoliciesMet")
    assert warnings(world) == []


def test_the_resolved_address_may_lie_in_an_allowed_source(bound):
    world = bound(then={}, allowedSources=["s3://store"])
    world.model = replace(world.observe().model, storage_uri="s3://store/7")
    assert world.settle().phase == "Promoted"


def test_it_goes_on_as_soon_as_the_spec_complies(bound):
    world = bound(then={}, requireCI=True)
    world.settle()
    assert world.status.phase == "Failed"
    # The same files served in the same way: the same revision, which nobody has to retry.
    world.apply(spec_of("v2", ci=CI))
    assert world.settle().phase == "Promoted"
    assert len(world.launched) == 1


def test_it_goes_on_as_soon_as_the_policy_allows_it(bound):
    world = bound(then={}, allowedFormats=["sklearn"])
    world.settle()
    world.cluster = {}
    assert world.settle().phase == "Promoted"
    assert condition(world) is None


def test_the_first_revision_is_refused_too(child):
    world = Bound(spec_of("v1"), rules=child)
    world.cluster = {"prod": demand(requireCI=True)}
    world.settle()
    assert (world.status.phase, world.status.stable, world.served) == ("Failed", None, None)


def test_rules_are_judged_after_the_tests_and_reject_the_revision(bound):
    world = bound(then={"ci": CI}, **rule("metrics.accuracy > 0.99"))
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "ClusterPolicyViolated")
    assert (
        "ClusterModelPolicy prod meets 0 of 1 rules (rule: metrics.accuracy > 0.99 is not true)"
        in world.status.message
    )
    assert (len(world.launched), world.weights_seen) == (1, [])
    world.cluster = {"prod": demand(**rule("metrics.accuracy > 0.9"))}
    world.settle()
    assert world.status.phase == "Failed"
    world.command("retry")
    assert world.settle().phase == "Promoted"


def test_the_deployments_own_policies_count_as_well(bound):
    world = bound(then={"ci": CI, "policies": ["own"]}, **rule("metrics.accuracy > 0.9"))
    world.own = {"own": own("metrics.accuracy > 0.99")}
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "PolicyViolated")


def test_a_canary_that_is_forbidden_goes_back(bound):
    world = bound(then={"rollout": STEPS})
    while world.status.reason != "Pausing":
        world.step()
    world.cluster = {"prod": demand(requireCI=True)}
    world.settle()
    assert (world.status.phase, world.status.reason) == ("RolledBack", "ClusterPolicyViolated")
    assert (world.status.candidate, world.status.failed_revision) == (None, None)
    assert world.served[1] is None
    assert [entry.outcome for entry in world.status.history] == ["RolledBack", "Promoted"]
    assert [warning.reason for warning in warnings(world)] == ["ClusterPolicyViolated"]
    # It comes back when it is allowed again.
    world.cluster = {}
    world.now = world.now.replace(year=world.now.year + 1)
    assert world.settle().phase in ("Promoted", "Canary")


def test_a_canary_from_a_forbidden_source_goes_back_whatever_address_the_spec_names_by_now(bound):
    world = bound(then={"rollout": STEPS})
    content = world.observe().model
    while world.status.reason != "Pausing":
        world.step()
    world.cluster = {"prod": demand(allowedSources=["s3://good"])}
    # The same files, it says: the same revision.
    world.model = replace(content, storage_uri="s3://good/v2")
    spec = world.spec.model_dump(by_alias=True, exclude_unset=True)
    spec["model"]["uri"] = "s3://good/v2"
    world.apply(ModelDeploymentSpec.model_validate(spec))
    world.step()
    assert (world.status.phase, world.status.reason) == ("RolledBack", "ClusterPolicyViolated")
    assert "spec.model.uri 's3://m/v2' does not lie in s3://good" in world.status.message
    world.step()
    # It is taken up anew, from where it may come from.
    assert world.status.candidate.storage_uri == "s3://good/v2"


def test_an_allowed_canary_lends_its_name_to_no_forbidden_source(bound):
    world = bound(then={"rollout": STEPS})
    content = world.observe().model
    while world.status.reason != "Pausing":
        world.step()
    world.cluster = {"prod": demand(allowedSources=["s3://m"])}
    world.step()
    # The same files, it says: the same revision.
    world.model = replace(content, storage_uri="s3://hostile/v2")
    spec = world.spec.model_dump(by_alias=True, exclude_unset=True)
    spec["model"]["uri"] = "s3://hostile/v2"
    world.apply(ModelDeploymentSpec.model_validate(spec))
    world.actions.clear()
    world.settle()
    assert (world.status.reason, world.status.candidate) == ("ClusterPolicyViolated", None)
    assert "hostile" not in str([action for action in world.actions if not isinstance(action, Notify)])
    assert world.served[0].storage_uri == "s3://m/v1"


def test_a_candidate_that_the_spec_left_ends_when_the_next_is_forbidden(bound):
    world = bound(then={"rollout": STEPS})
    while world.status.reason != "Pausing":
        world.step()
    world.cluster = {"prod": demand(allowedSources=["s3://m/v1", "s3://m/v2"])}
    world.step()
    assert world.status.candidate is not None
    world.apply(spec_of("v3", rollout=STEPS))
    world.settle()
    assert (world.status.phase, world.status.candidate) == ("Failed", None)
    assert world.served[1] is None
    assert world.status.history[0].outcome == "Superseded"


# --- what is promoted ---------------------------------------------------------------------------


def test_what_is_promoted_keeps_its_traffic_and_is_told_of(bound):
    world = bound()
    before = world.served
    world.cluster = {"prod": demand(requireCI=True)}
    world.settle()
    assert (world.status.phase, world.served) == ("Promoted", before)
    assert (condition(world).status, condition(world).reason) == ("False", "ClusterPolicyViolated")
    assert "spec.ci is missing: models have to be tested; it keeps its traffic" in condition(world).message
    assert [warning.reason for warning in warnings(world)] == ["ClusterPolicyViolated"]
    for _ in range(3):
        world.step()
    assert len(warnings(world)) == 1
    assert condition(world, "Ready").status == "True"
    world.cluster = {"prod": demand(allowedFormats=["onnx"])}
    world.settle()
    assert condition(world).status == "True"


def test_rules_are_judged_anew_with_what_the_run_of_the_promoted_revision_measured(bound):
    world = bound(first={"ci": CI})
    world.cluster = {"prod": demand(**rule("metrics.accuracy > 0.9"))}
    world.settle()
    assert condition(world).status == "True"
    world.cluster = {"prod": demand(**rule("metrics.accuracy > 0.99"))}
    world.settle()
    assert (world.status.phase, condition(world).status) == ("Promoted", "False")
    assert [warning.reason for warning in warnings(world)] == ["ClusterPolicyViolated"]


def test_rules_are_not_judged_with_what_the_run_of_another_revision_measured(bound):
    world = bound(first={"ci": CI})
    world.good = {"s3://m/v2": False}
    world.apply(spec_of("v2", ci=CI))
    world.settle()
    assert world.status.phase == "Failed"
    world.apply(spec_of("v1", ci=CI))
    world.cluster = {"prod": demand(**rule("metrics.accuracy > 0.9"))}
    world.settle()
    # The failed run measured 0.5, which says nothing about what is promoted.
    assert (world.status.phase, condition(world)) == ("Promoted", None)


def test_a_promoted_revision_under_its_own_policies_is_told_of_too(child):
    world = Bound(spec_of("v1", policies=["own"]), rules=child)
    world.own = {"own": own("model.format == 'onnx'")}
    world.settle()
    assert condition(world).status == "True"
    world.own = {"own": own("model.format == 'sklearn'")}
    world.settle()
    assert (world.status.phase, condition(world).reason) == ("Promoted", "PolicyViolated")
    world.own = {"own": None}
    world.settle()
    assert (world.status.phase, condition(world).status) == ("Promoted", "Unknown")
    world.apply(spec_of("v1"))
    world.settle()
    assert condition(world) is None


def test_going_back_is_not_held_up_by_policies(bound):
    world = bound(then={})
    world.settle()
    world.cluster = {"prod": demand(requireCI=True)}
    world.command("rollback", "by alice")
    for _ in range(10):
        world.step()
        if world.status.stable.model_uri == "s3://m/v1":
            break
    assert world.status.stable.model_uri == "s3://m/v1"


# --- what is not known --------------------------------------------------------------------------


def test_nothing_new_is_served_while_it_is_not_known_which_policies_bind(bound):
    world = bound(then={})
    world.error = "the operator may not list clustermodelpolicies"
    for _ in range(3):
        decision = world.step()
    assert (decision.phase, decision.reason) == ("Pending", "ClusterPoliciesUnreadable")
    assert (condition(world).status, decision.recheck_after) == ("Unknown", 60)
    assert world.weights_seen == []
    world.error = ""
    assert world.settle().phase == "Promoted"


def test_what_is_promoted_stays_promoted_while_it_is_not_known(bound):
    world = bound()
    world.error = "the operator may not list clustermodelpolicies"
    world.settle()
    assert (world.status.phase, condition(world).reason) == ("Promoted", "ClusterPoliciesUnreadable")


def test_a_canary_keeps_its_traffic_while_it_is_not_known(bound):
    world = bound(then={"rollout": STEPS})
    while world.status.reason != "Pausing":
        world.step()
    world.error = "the operator may not list clustermodelpolicies"
    for _ in range(3):
        world.step()
    assert (world.status.phase, world.status.candidate.weight) == ("Pending", 10)
    assert world.served[2] == 10
    world.error = ""
    world.step()
    assert world.status.candidate.weight == 10


def test_a_policy_of_a_newer_version_holds_what_is_new(bound):
    world = bound(then={})
    world.cluster = {"prod": None, "other": demand(allowedFormats=["onnx"])}
    world.step()
    assert world.status.reason == "ClusterPoliciesUnreadable"
    assert "ClusterModelPolicy prod has fields that this operator does not know" in world.status.message


# --- properties ---------------------------------------------------------------------------------

DEMANDS = st.fixed_dictionaries(
    {},
    optional={
        "requireCI": st.booleans(),
        "allowedFormats": st.lists(st.sampled_from(["onnx", "sklearn"]), unique=True, max_size=2),
        "allowedSources": st.lists(
            st.sampled_from(["s3://m", "s3://m/v1", "s3://n"]), unique=True, max_size=2
        ),
        "requiredGates": st.sampled_from(
            [[], [{"metric": "accuracy", "min": 0.8}], [{"metric": "f1", "max": 1}]]
        ),
        "rules": st.sampled_from(
            [[], rule("metrics.accuracy > 0.9")["rules"], rule("metrics.f1 > 0.9")["rules"]]
        ),
    },
)
SPECS = st.builds(
    lambda model, ci, steps: spec_of(model, **ci, **steps),
    st.sampled_from(["v1", "v2", "v3"]),
    st.sampled_from([{}, {"ci": CI}]),
    st.sampled_from([{}, {"rollout": STEPS}]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(SPECS, DEMANDS), min_size=1, max_size=4))
def test_whatever_policies_come_and_go_every_pass_settles_and_the_stable_revision_stays(child, history):
    world = Bound(spec_of("v1"), rules=child)
    world.settle()
    for number, (spec, demanded) in enumerate(history):
        world.cluster = {"prod": demand(**demanded)}
        world.apply(spec.model_copy(update={"model": spec.model}))
        stable = world.status.stable
        world.settle()
        again = plan(world.spec, world.status, world.observe(), world.now)
        assert again.status == world.status
        assert not any(isinstance(action, Notify) for action in again.actions)
        assert world.status.stable is not None
        if world.status.stable.revision != stable.revision:
            met = [known for known in world.status.conditions if known.type == "PoliciesMet"]
            assert met
            assert met[0].status == "True"
        if world.status.phase in ("Failed", "RolledBack"):
            assert world.status.stable.revision == stable.revision, number
