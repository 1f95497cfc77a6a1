"""ModelPolicies: what counts as met, and what becomes of a revision that does not meet them."""

from dataclasses import replace

import pytest
from mooring_operator.api import ModelPolicySpec
from mooring_operator.planning.policy import evaluate
from mooring_operator.planning.rollout import plan

from tests.unit.rollout_world import CI, World, spec_of

FACTS = {
    "metrics": {"accuracy": 0.95, "rows": 200},
    "model": {"format": "onnx"},
    "serving": {"minReplicas": 2},
}


def policy(*expressions, minimum=1.0):
    rules = [{"name": f"rule-{index}", "expression": text} for index, text in enumerate(expressions)]
    return ModelPolicySpec.model_validate({"rules": rules, "minimumScore": minimum})


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("metrics.accuracy >= 0.9", None),
        ("metrics.rows == 200.0 && model.format == 'onnx'", None),
        ("serving.minReplicas > 1.5", None),
        ("has(metrics.f1) && metrics.f1 > 0.5", "is not true"),
        ("metrics.accuracy > 0.99", "is not true"),
        ("metrics.f1 > 0.5", "cannot be evaluated"),
        ("metrics.accuracy", "not true or false"),
        ("metrics.accuracy >", "cannot be read"),
    ],
)
def test_a_rule_is_met_only_by_true(expression, problem):
    result = evaluate(policy(expression), FACTS)
    assert result.compliant == (problem is None)
    assert problem is None or problem in result.failures[0]


def test_a_share_of_the_rules_may_be_enough():
    rules = ("metrics.accuracy > 0.9", "metrics.accuracy > 0.99")
    assert not evaluate(policy(*rules), FACTS).compliant
    assert evaluate(policy(*rules, minimum=0.5), FACTS).compliant


class Governed(World):
    """A world with ModelPolicies."""

    policies = {}  # noqa: RUF012 - each test sets its own

    def observe(self):
        return replace(super().observe(), policies=self.policies)


def governed(found):
    world = Governed(spec_of("v1"))
    world.settle()
    world.policies = {"safe": found}
    world.apply(spec_of("v2", ci=CI, policies=["safe"]))
    return world


def test_a_revision_that_breaks_a_rule_is_not_served():
    world = governed(policy("metrics.accuracy > 0.99"))
    world.settle()
    assert (world.status.phase, world.status.reason) == ("Failed", "PolicyViolated")
    assert "safe meets 0 of 1 rules (rule-0: metrics.accuracy > 0.99 is not true)" in world.status.message
    assert world.weights_seen == []
    assert world.status.stable is not None
    assert world.status.stable.model_uri == "s3://m/v1"


def test_a_revision_that_meets_every_rule_goes_on():
    world = governed(
        policy("metrics.accuracy > 0.9", "model.format == 'onnx'", "deployment.name == 'digits'")
    )
    assert world.settle().phase == "Promoted"


def test_a_policy_that_is_not_there_is_waited_for():
    world = governed(None)
    for _ in range(4):
        decision = world.step()
    assert (decision.phase, decision.reason, decision.recheck_after) == ("Pending", "PolicyNotFound", 60)
    assert "ModelPolicy 'safe' does not exist in namespace 'ns'" in decision.message
    world.policies = {"safe": policy("metrics.accuracy > 0.9")}
    assert world.settle().phase == "Promoted"
    assert plan(world.spec, world.status, world.observe(), world.now).actions
