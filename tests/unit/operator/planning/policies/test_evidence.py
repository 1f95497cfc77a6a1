"""Ready-made rules: what a run is asked to look up, and what is made of what it found."""

from pathlib import Path

import pytest
from mooring_artifacts.demands import parse_demands
from mooring_artifacts.public_keys import key_id
from mooring_artifacts.run_documents import Verdict
from mooring_operator.api import ModelPolicySpec
from mooring_operator.planning.policies.evidence import (
    as_if_met,
    demands_of,
    facts_in,
    judge_files,
    rule_facts,
)
from mooring_operator.planning.policies.rules import RuleAnswers, judge

PEM = (Path(__file__).parents[3] / "components" / "signed_by_model_signing.pem").read_text()
RELEASE = {"name": "release", "publicKey": PEM}
# Another text in the frame of a key: what a key is worth is for the run to say.
OTHER = {"name": "other", "publicKey": PEM.replace("M", "N", 1)}
CARD = {"name": "card", "address": "README.md"}
REVIEW = {"name": "review", "address": "s3://reviews/digits.pdf"}
DIGEST = f"sha256:{'a' * 64}"


def policy(**fields):
    return ModelPolicySpec.model_validate(fields)


def verdict(**found):
    document = {
        "schemaVersion": 1,
        "runId": "r",
        "modelUri": "s3://m",
        "passed": True,
        "metrics": {},
        "violations": [],
    }
    return Verdict.model_validate({**document, **found}, by_alias=True)


def test_what_policies_demand_together_is_one_question_whatever_their_order():
    one, two = policy(signedBy=[RELEASE], requiredDocuments=[CARD]), policy(signedBy=[OTHER, RELEASE])
    three = policy(requiredDocuments=[REVIEW, CARD])
    demands = demands_of([one, two, three])
    assert demands == demands_of([three, two, one])
    wanted = parse_demands(demands)
    assert {signer.key for signer in wanted.signers} == {PEM, OTHER["publicKey"]}
    assert [(one.name, one.is_beside) for one in wanted.documents] == [("card", True), ("review", False)]
    assert demands_of([policy(rules=[{"name": "a", "expression": "true"}])]) == {}


def test_where_the_signature_is_belongs_to_the_question():
    place = "s3://signatures/digits.sig"
    signed = [policy(signedBy=[RELEASE])]
    assert parse_demands(demands_of(signed, place)).signature == place
    assert parse_demands(demands_of(signed)).signature == ""
    # Where nobody has to have signed, it is no question.
    assert demands_of([], place) == {}


def test_a_run_is_not_asked_for_more_than_it_takes():
    many = [policy(requiredDocuments=[{**CARD, "address": f"{n}-{m}.md", "name": f"d{m}"} for m in range(12)])
            for n in range(3)]  # fmt: skip
    parse_demands(demands_of(many))
    facts = facts_in(verdict(documents=[{**CARD, "digest": DIGEST}]))
    assert judge_files(many[0], facts)[0].score == 0


def test_a_key_is_named_by_what_it_is_and_not_by_its_lines():
    body = "".join(PEM.splitlines()[1:-1])
    again = f"-----BEGIN PUBLIC KEY-----\n{body[:76]}\n{body[76:]}\n-----END PUBLIC KEY-----"
    assert key_id(again) == key_id(PEM) != key_id(OTHER["publicKey"])


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        ({"verified": True, "signer": "release", "key": key_id(PEM)}, ""),
        ({"verified": True, "signer": "other", "key": key_id(OTHER["publicKey"])},
         "signed by other, which is none of release"),
        ({"verified": False, "problem": "there is none at model.sig"}, "there is none at model.sig"),
        (None, "the run that tested it was not asked for it"),
    ],
)  # fmt: skip
def test_a_signature_is_of_somebody_whom_the_policy_names(signature, reason):
    facts = facts_in(verdict(signature=signature))
    (found,) = judge_files(policy(signedBy=[RELEASE]), facts)
    assert (found.name, found.score, found.reason) == ("signature", float(not reason), reason)


def test_documents_have_a_score_and_say_which_are_missing():
    documents = [{**CARD, "digest": DIGEST}, {**REVIEW, "problem": "it is empty"}]
    facts = facts_in(verdict(documents=documents))
    asked = policy(requiredDocuments=[CARD, REVIEW, {"name": "data", "address": "data.md"}])
    (found,) = judge_files(asked, facts)
    assert str(found) == (
        "documentation: 1 of 3 are there; review: it is empty; data: the run that tested it was not asked for it"
    )
    assert found.score == pytest.approx(1 / 3)
    assert judge_files(policy(requiredDocuments=[CARD]), facts)[0].score == 1
    # The same name elsewhere is another document.
    (found,) = judge_files(policy(requiredDocuments=[{**CARD, "address": "card.md"}]), facts)
    assert found.score == 0


def test_expressions_see_the_signature_and_the_documents_that_are_there():
    documents = [{**CARD, "digest": DIGEST}, {**REVIEW, "problem": "it is empty"}]
    seen = rule_facts(facts_in(verdict(documents=documents)))
    assert seen["signature"] == {}
    assert {name: one["digest"] for name, one in seen["documents"].items()} == {"card": DIGEST}


def test_a_ready_made_rule_counts_as_one_rule_of_the_share():
    asked = policy(rules=[{"name": "a", "expression": "true"}], requiredDocuments=[CARD], signedBy=[RELEASE])
    result = judge(asked.rules, 0.3, RuleAnswers((None,)), judge_files(asked, {}))
    assert (result.met, result.total, result.compliant) == (1, 3, True)
    assert not judge(asked.rules, 1.0, RuleAnswers((None,)), judge_files(asked, {})).compliant


def test_what_a_rehearsal_takes_as_found_is_what_is_demanded():
    asked = [policy(signedBy=[OTHER, RELEASE], requiredDocuments=[CARD]), policy(signedBy=[RELEASE])]
    facts = as_if_met(asked)
    assert [found.reason for one in asked for found in judge_files(one, facts)] == ["", "", ""]


def test_rules_see_how_much_was_found_in_the_files_and_what_kinds_of_it():
    findings = [{"kind": kind, "file": "m", "message": "is"} for kind in ("pickle", "archive", "pickle")]
    facts = facts_in(verdict(scan={"files": 9, "findings": findings, "leftOut": 4}))
    assert rule_facts(facts)["scan"] == {"findings": 7, "kinds": ["archive", "pickle"]}
    assert rule_facts(facts_in(verdict(scan={"files": 1})))["scan"] == {"findings": 0, "kinds": []}
    # Of files that no run could read a rule finds no number, and is not met.
    assert rule_facts(facts_in(verdict()))["scan"] == {}
    assert as_if_met([policy(requiredDocuments=[CARD])])["scan"]["findings"] == 0
