"""``ModelPolicy``: governance rules that several deployments share."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.analysis import MOST_TEMPLATES, NamedTemplate, NamedTemplates
from mooring_operator.api.demands import DemandsOnFiles
from mooring_operator.api.types import Condition, Model, StatusModel

FACTS = ("metrics", "model", "deployment", "serving", "signature", "documents", "scan")
"""What an expression sees."""
RULES_BY_NAME: dict[str, Any] = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}


class PolicyRule(Model):
    """One rule: a CEL expression over the facts about a revision."""

    name: Annotated[
        str,
        forms.LABEL.field,
        Field(description="Rule's name, unique in the policy."),
    ]
    expression: Annotated[
        str,
        Field(
            description="CEL that must be true. It sees metrics (of the CI run, by name), model {uri, storageUri, "
            "digest, format}, deployment {name, namespace, labels}, serving (spec.serving), signature {verified, "
            "signer, key, problem}, documents {NAME: {digest}} and scan {findings, kinds}. Numbers are doubles. An "
            "error, a missing fact included, counts as false, and so does what costs too much: all rules of a policy "
            "have a second of CPU time.",
            min_length=1,
            max_length=4096,
        ),
    ]
    message: Annotated[
        str, Field(description="What to tell people when the rule is not met.", max_length=1024)
    ] = ""


RequiredTemplates = Annotated[
    list[NamedTemplate],
    NamedTemplates,
    Field(
        description="Templates that spec.rollout.analysis.templates must name, all of them.",
        max_length=MOST_TEMPLATES,
    ),
]


class ModelPolicySpec(DemandsOnFiles):
    """What a revision must satisfy before any of it is served."""

    rules: Annotated[
        list[PolicyRule],
        Field(
            description="The rules.",
            min_length=1,
            max_length=64,
            json_schema_extra=RULES_BY_NAME,
        ),
    ] = []
    required_templates: RequiredTemplates = []
    minimum_score: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="Share of the rules that must be met; signedBy and requiredDocuments count as one each. 1 "
            "(default) means every rule: with less, a model passes that breaks a rule.",
        ),
    ] = 1.0

    @model_validator(mode="after")
    def _demands_something(self) -> "ModelPolicySpec":
        if not self.rules and not self.required_templates and not self.looks_at_files:
            raise ValueError(_NOTHING)
        return self


_NOTHING = "a policy has rules, requiredTemplates, signedBy or requiredDocuments"
ModelPolicySpec.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "has(self.rules) && self.rules.size() > 0 || "
            "has(self.requiredTemplates) && self.requiredTemplates.size() > 0 || "
            "has(self.signedBy) && self.signedBy.size() > 0 || "
            "has(self.requiredDocuments) && self.requiredDocuments.size() > 0",
            "message": f"spec: {_NOTHING}",
        }
    ]
}


class PolicyStatus(StatusModel):
    """What the operator has found about a policy; it has one writer."""

    observed_generation: Annotated[
        int, Field(description="Generation of the spec that this status is about; -1 before the first look.")
    ] = -1
    conditions: Annotated[
        list[Condition],
        Field(
            description="Ready: whether every part of the policy can be applied; Stalled where one cannot.",
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
