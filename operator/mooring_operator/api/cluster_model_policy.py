"""``ClusterModelPolicy``: what an administrator demands of every deployment in some namespaces."""

from collections.abc import Mapping
from typing import Annotated, Literal

from mooring_artifacts import gates
from pydantic import ConfigDict, Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.ci import gate_rules
from mooring_operator.api.demands import DemandsOnFiles
from mooring_operator.api.freezes import Freezes
from mooring_operator.api.model_policy import RULES_BY_NAME, PolicyRule, RequiredTemplates
from mooring_operator.api.types import Model


class LabelRequirement(Model):
    """One demand on the labels of a namespace."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                    "messageExpression": "'spec.namespaceSelector: ' + self.operator + ' on ' + self.key + "
                    "(self.operator in ['In', 'NotIn'] ? ' needs values' : ' takes no values')",
                }
            ]
        }
    )

    key: Annotated[str, forms.LABEL_KEY.field, Field(description="Key of the label.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Field(description="In and NotIn compare with values; NotIn holds too where there is no such label."),
    ]
    values: Annotated[
        list[Annotated[str, forms.LABEL_VALUE.field]],
        Field(
            description="Values for In and NotIn.",
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = []

    @model_validator(mode="after")
    def _values_fit_the_operator(self) -> "LabelRequirement":
        if (self.operator in ("In", "NotIn")) != bool(self.values):
            wants = "needs" if not self.values else "takes no"
            raise ValueError(f"{self.operator} on {self.key} {wants} values")
        return self

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet it."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
        return self.key not in labels


class NamespaceSelector(Model):
    """Namespaces by their labels; all of them where it says nothing."""

    match_labels: Annotated[
        dict[Annotated[str, forms.LABEL_KEY.field], Annotated[str, forms.LABEL_VALUE.field]],
        Field(description="Labels that a namespace must have, all of them.", max_length=32),
    ] = {}
    match_expressions: Annotated[
        list[LabelRequirement], Field(description="Demands that must all hold.", max_length=32)
    ] = []

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether it selects a namespace with `labels`."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.selects(labels) for requirement in self.match_expressions
        )


class RequiredGate(gates.Gate):
    """A gate that spec.ci.gates of a deployment must have, with bounds at least as strict."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": gate_rules("spec.requiredGates")}
    )


class ClusterModelPolicySpec(DemandsOnFiles):
    """What every new revision in the selected namespaces must satisfy, whether its deployment names it or not."""

    namespace_selector: Annotated[
        NamespaceSelector, Field(description="Namespaces that it binds; all when left out.")
    ] = NamespaceSelector()
    require_ci: Annotated[
        bool, Field(alias="requireCI", description="Whether spec.ci is needed: nothing untested is served.")
    ] = False
    allowed_formats: Annotated[
        list[Annotated[str, forms.LABEL.field]],
        Field(
            description="Formats that spec.model.format may have; any when left out.",
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = []
    allowed_sources: Annotated[
        list[Annotated[str, forms.SOURCE.field]],
        Field(
            description="Where models may come from; anywhere when left out. An address stands for what is at or "
            "below it, in whole segments (s3://team-a does not reach into s3://team-ab); models:/ stands before "
            "the beginning of a registered model's name. Either spec.model.uri or the address that it resolves to "
            "must lie there.",
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = []
    required_gates: Annotated[
        list[RequiredGate],
        Field(
            description="Gates that spec.ci.gates must have, with bounds at least as strict.",
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["metric"]},
        ),
    ] = []
    required_templates: RequiredTemplates = []
    freeze: Freezes = []
    rules: Annotated[
        list[PolicyRule],
        Field(
            description="Rules that must all be met, as in a ModelPolicy.",
            max_length=64,
            json_schema_extra=RULES_BY_NAME,
        ),
    ] = []
