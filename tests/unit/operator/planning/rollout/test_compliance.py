"""ModelPolicies: what becomes of a revision that does not meet them, and while its rules are evaluated."""

from dataclasses import replace

import pytest
from mooring_artifacts.public_keys import key_id
from mooring_operator.adapters.rules.child import Child, Limits
from mooring_operator.api import ModelPolicySpec
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.policies.rules import RuleAnswers, judge, question_of
from mooring_operator.planning.policies.signers import with_keys
from mooring_operator.planning.rollout.actions import LaunchRun
from mooring_operator.planning.rollout.plan import plan

from tests.unit.operator.hostile_rules import ENDLESS, FACTS, HOSTILE
from tests.unit.operator.planning.world import CI, World, spec_of


@pytest.fixture(scope="module")
def child():
    with Child(Limits(seconds=0.3)) as child:
        yield child


def policy(*expressions, minimum=1.0, message=""):
    rules = [
        {"name": f"rule-{index}", "expression": text, "message": message}
        for index, text in enumerate(expressions)
    ]
    return ModelPolicySpec.model_validate({"rules": rules, "minimumScore": minimum})


def evaluate(child, asked):
    return judge(asked.rules, asked.minimum_score, child.ask(question_of(asked.rules, FACTS)))


# --- one policy ---------------------------------------------------------------------------------


def test_a_share_of_the_rules_may_be_enough(child):
    rules = ("metrics.accuracy > 0.9", "metrics.accuracy > 0.99")
    assert not evaluate(child, policy(*rules)).compliant
    assert evaluate(child, policy(*rules, minimum=0.5)).compliant


def test_whole_numbers_are_doubles(child):
    asked = policy("metrics.rows / 16 == 12.5")
    assert question_of(asked.rules, {"metrics": {"rows": 200}}).facts == {"metrics": {"rows": 200.0}}
    assert question_of(asked.rules, {"serving": {"on": True, "of": [1, {"a": 2}]}}).facts == {
        "serving": {"on": True, "of": [1.0, {"a": 2.0}]}
    }
    assert question_of(asked.rules, {"metrics": {"rows": 10**400, "loss": -(10**400)}}).facts == {
        "metrics": {"rows": float("inf"), "loss": float("-inf")}
    }


def test_a_rule_that_is_not_met_says_what_its_author_wrote(child):
    assert evaluate(child, policy("metrics.rows > 1e6", message="use more rows")).failures == (
        "rule-0: use more rows",
    )


def test_a_rule_that_costs_too_much_says_so_whatever_its_author_wrote(child):
    result = evaluate(child, policy("true", ENDLESS, "true", message="be fair", minimum=0.3))
    assert result.failures == (
        "rule-1: it takes more than 0.3 s of CPU time",
        "rule-2: not evaluated: a rule before it used up the budget",
    )
    assert (result.met, result.compliant, result.expensive) == (1, True, ("rule-1", "rule-2"))


def test_the_same_question_has_the_same_key():
    asked = policy("metrics.a > 1.0")
    key = question_of(asked.rules, {"metrics": {"a": 1, "b": 2}}).key
    assert question_of(asked.rules, {"metrics": {"b": 2, "a": 1}}).key == key
    other_words = policy("metrics.a > 1.0", message="other words")
    assert question_of(other_words.rules, {"metrics": {"a": 1, "b": 2}}).key == key
    assert question_of(asked.rules, {"metrics": {"a": 1, "b": 3}}).key != key
    assert question_of(policy("metrics.a > 2.0").rules, {"metrics": {"a": 1, "b": 2}}).key != key


# --- a deployment that names policies -----------------------------------------------------------


class Governed(World):
    """A world with ModelPolicies."""

    policies = {}  # noqa: RUF012 - each test sets its own

    labels = {}  # noqa: RUF012 - likewise

    def observe(self):
        observed = super().observe()
        owner = replace(observed.owner, labels=self.labels)
        return replace(observed, owner=owner, policies=self.policies)


@pytest.fixture
def governed(child):
    def make(found, **fields):
        world = Governed(spec_of("v1"), rules=child)
        world.settle()
        world.policies = {"safe": found}
        world.apply(spec_of("v2", ci=CI, policies=["safe"], **fields))
        return world

    return make


def test_a_revision_that_breaks_a_rule_is_not_served(governed):
    world = governed(policy("metrics.accuracy > 0.99"))
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "PolicyViolated")
    assert "safe meets 0 of 1 rules (rule-0: metrics.accuracy > 0.99 is not true)" in world.status.message
    assert world.weights_seen == []
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v1"


@pytest.mark.parametrize("expression", [ENDLESS, HOSTILE["8 loops"], HOSTILE["a string doubled"]])
def test_a_revision_whose_rules_cost_too_much_is_not_served(governed, expression):
    world = governed(policy("true", expression))
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "PolicyTooExpensive")
    assert "safe meets 1 of 2 rules (rule-1: " in world.status.message
    assert world.weights_seen == []
    assert condition(world) == ("False", "PolicyTooExpensive")


class Inspected(Governed):
    """A world whose runs look up the documents that policies demand, and find those that are there."""

    there = ()

    def observe(self):
        observed = super().observe()
        if observed.verdict is None:
            return observed
        asked = next(action.demands for action in reversed(self.actions) if isinstance(action, LaunchRun))
        documents = [
            {"name": one["name"], "at": fingerprint(one["address"]), **self._found(one)}
            for one in asked.get("documents", ())
        ]
        return replace(observed, verdict=replace(observed.verdict, facts={"documents": documents}))

    def _found(self, one):
        return {"digest": "sha256:1"} if one["name"] in self.there else {"problem": "it is empty"}


def demanding(*names):
    documents = [{"name": name, "address": f"{name}.md"} for name in names]
    return ModelPolicySpec.model_validate({"requiredDocuments": documents})


@pytest.fixture
def inspected(child):
    world = Inspected(spec_of("v1"), rules=child)
    world.settle()
    world.policies = {"safe": demanding("card", "review")}
    return world


def test_a_revision_without_its_documents_is_not_served(inspected):
    inspected.there = ("card",)
    inspected.apply(spec_of("v2", ci=CI, policies=["safe"]))
    inspected.settle()
    assert (inspected.status.phase, inspected.status.reason) == ("Failed", "PolicyViolated")
    told = "safe meets 0 of 1 rules (documentation: 1 of 2 are there; review: it is empty)"
    assert told in inspected.status.message
    assert inspected.weights_seen == []


def test_a_revision_with_its_documents_is_served_and_another_demand_is_told_of_it(inspected):
    inspected.there = ("card", "review")
    inspected.apply(spec_of("v2", ci=CI, policies=["safe"]))
    assert inspected.settle().phase == "Promoted"
    assert len(inspected.launched) == 1
    inspected.policies = {"safe": demanding("card", "data")}
    inspected.settle()
    status, reason = condition(inspected)
    assert (status, reason) == ("False", "PolicyViolated")
    # What is promoted is not tested again.
    assert len(inspected.launched) == 1
    assert inspected.status.stable.model_uri == "s3://m/v2"


def test_another_demand_is_another_question_to_a_candidate(inspected):
    inspected.there = ("card", "review", "data")
    inspected.apply(spec_of("v2", ci=CI, policies=["safe"]))
    while not inspected.launched:
        inspected.step()
    inspected.policies = {"safe": demanding("card", "data")}
    assert inspected.settle().phase == "Promoted"
    assert len(set(inspected.launched)) == 2


KEY = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"


def signed_by(**keys):
    signers = [{"name": name} for name in keys]
    asked = ModelPolicySpec.model_validate({"signedBy": signers})
    return with_keys(asked, {name: [key] for name, key in keys.items() if key})


class Signed(Governed):
    """A world whose runs find models signed by the first key that they are told."""

    def observe(self):
        observed = super().observe()
        if observed.verdict is None:
            return observed
        demands = next(action.demands for action in reversed(self.actions) if isinstance(action, LaunchRun))
        signature = {"verified": False, "problem": "there is none"}
        for signer in demands.get("signers", ())[:1]:
            signature = {"verified": True, "key": key_id(signer["key"]), "signer": signer["name"]}
        return replace(observed, verdict=replace(observed.verdict, facts={"signature": signature}))


@pytest.fixture
def signed(child):
    world = Signed(spec_of("v1"), rules=child)
    world.settle()
    world.policies = {"safe": signed_by(release=None)}
    return world


def test_a_revision_waits_for_the_key_of_a_signer_and_goes_on_by_itself(signed):
    signed.apply(spec_of("v2", ci=CI, policies=["safe"]))
    for _ in range(4):
        decision = signed.step()
    assert (decision.phase, decision.reason, decision.recheck_after) == ("Pending", "SignerUnknown", 60)
    assert decision.message == "ModelPolicy safe: ConfigMap mooring-signers has no key of release"
    assert (condition(signed), signed.launched) == (("Unknown", "SignerUnknown"), [])
    assert signed.status.stable.model_uri == "s3://m/v1"
    assert plan(signed.spec, signed.status, signed.observe(), signed.now).status == signed.status
    signed.policies = {"safe": signed_by(release=KEY)}
    assert signed.settle().phase == "Promoted"
    assert (condition(signed), len(signed.launched)) == (("True", "PoliciesMet"), 1)


def test_one_signer_with_a_key_is_enough_for_a_test(signed):
    signed.policies = {"safe": signed_by(release=None, research=KEY)}
    signed.apply(spec_of("v2", ci=CI, policies=["safe"]))
    assert signed.settle().phase == "Promoted"


def test_what_waits_for_a_key_can_be_aborted_and_superseded(signed):
    signed.apply(spec_of("v2", ci=CI, policies=["safe"]))
    assert [signed.step() for _ in range(3)][-1].reason == "SignerUnknown"
    signed.apply(spec_of("v3"))
    assert signed.settle().phase == "Promoted"
    assert signed.status.stable.model_uri == "s3://m/v3"


def test_a_key_that_is_taken_away_holds_a_canary_and_what_is_promoted_keeps_its_traffic(signed):
    signed.policies = {"safe": signed_by(release=KEY)}
    steps = {"steps": [{"setWeight": 10}, {"pause": {"duration": "1h"}}, {"setWeight": 100}]}
    signed.apply(spec_of("v2", ci=CI, policies=["safe"], rollout=steps))
    while signed.status.reason != "Pausing":
        signed.step()
    signed.policies = {"safe": signed_by(release=None)}
    for _ in range(3):
        held = signed.step()
    assert (held.reason, held.status.candidate.weight) == ("SignerUnknown", 10)
    signed.policies = {"safe": signed_by(release=KEY)}
    assert signed.settle().phase == "Promoted"
    signed.policies = {"safe": signed_by(release=None)}
    signed.step()
    assert (signed.status.phase, condition(signed)) == ("Promoted", ("Unknown", "SignerUnknown"))


def test_what_has_to_be_looked_up_needs_a_run(inspected):
    inspected.apply(spec_of("v2", policies=["safe"]))
    inspected.settle()
    assert inspected.status.reason == "PolicyViolated"
    assert "spec.ci is missing: a run verifies signatures and reads documents" in inspected.status.message
    assert inspected.launched == []


def test_a_revision_that_meets_every_rule_goes_on(governed):
    world = governed(
        policy("metrics.accuracy > 0.9", "model.format == 'onnx'", "deployment.name == 'digits'")
    )
    assert world.settle().phase == "Promoted"
    assert condition(world) == ("True", "PoliciesMet")


def test_more_labels_than_rules_may_see_are_refused_and_not_left_out(governed):
    world = governed(policy("!('team' in deployment.labels)"))
    world.labels = {f"k{number}": "v" for number in range(129)}
    for _ in range(4):
        decision = world.step()
    assert (decision.phase, decision.reason) == ("Pending", "TooManyLabels")
    assert decision.message == (
        "metadata.labels: rules of policies see at most 128 labels, got 129; remove some"
    )
    assert world.weights_seen == []
    del world.labels["k0"]
    assert world.settle().phase == "Promoted"


def test_a_policy_that_is_not_there_is_waited_for(governed):
    world = governed(None)
    for _ in range(4):
        decision = world.step()
    assert (decision.phase, decision.reason, decision.recheck_after) == ("Pending", "PolicyNotFound", 60)
    assert "ModelPolicy 'safe' does not exist in namespace 'ns'" in decision.message
    world.policies = {"safe": policy("metrics.accuracy > 0.9")}
    assert world.settle().phase == "Promoted"
    assert plan(world.spec, world.status, world.observe(), world.now).actions


def test_nothing_is_served_before_the_rules_are_evaluated(governed):
    world = governed(policy("metrics.accuracy > 0.9"))
    rules, world.rules = world.rules, None
    for _ in range(5):
        decision = world.step()
    assert (decision.phase, decision.reason, decision.recheck_after) == ("Testing", "EvaluatingPolicies", 1)
    assert condition(world) == ("Unknown", "EvaluatingPolicies")
    (question,) = decision.questions
    assert question.expressions == ("metrics.accuracy > 0.9",)
    assert question.facts["deployment"] == {"name": "digits", "namespace": "ns", "labels": {}}
    assert world.weights_seen == []
    # Planning again changes nothing.
    assert plan(world.spec, world.status, world.observe(), world.now).status == world.status
    world.rules = rules
    assert world.settle().phase == "Promoted"


def test_a_canary_keeps_its_traffic_while_rules_are_evaluated_anew(governed):
    steps = {"steps": [{"setWeight": 10}, {"pause": {"duration": "1h"}}, {"setWeight": 100}]}
    world = governed(policy("metrics.accuracy > 0.9"), rollout=steps)
    while world.status.reason != "Pausing":
        world.step()
    before = world.status
    world.rules, world.answers = None, {}
    decision = world.step()
    assert (decision.status, decision.recheck_after) == (before, 1)
    assert world.weights_seen[-1][1] == 10


def test_a_canary_goes_back_when_a_policy_changes_under_it(governed, child):
    steps = {"steps": [{"setWeight": 10}, {"pause": {"duration": "1h"}}, {"setWeight": 100}]}
    world = governed(policy("metrics.accuracy > 0.9"), rollout=steps)
    while world.status.reason != "Pausing":
        world.step()
    world.policies = {"safe": policy("metrics.accuracy > 0.99")}
    world.settle()
    assert (world.status.phase, world.status.reason) == ("RolledBack", "PolicyViolated")


def test_answers_that_are_too_few_are_no_answers():
    with pytest.raises(ValueError, match="zip"):
        judge(policy("true", "true").rules, 1.0, RuleAnswers((None,)))


def condition(world, kind="PoliciesMet"):
    (found,) = [known for known in world.status.conditions if known.type == kind]
    return found.status, found.reason
