"""``spec.serving.affinity``: the nodes and the pods that a model's pods are to be near to, or away from.

The fields are those of a pod's affinity in Kubernetes 1.36; the limits are ours: a status holds copies of it.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Model

MOST_ENTRIES = 32
"""Expressions, their values, and labels: about nodes, about pods to be near to, and about others."""

_TOO_MANY = f"at most {MOST_ENTRIES} expressions, values and labels are allowed in all"
_ONE = "one whole number as its value"

LabelKey = Annotated[str, forms.LABEL_KEY.field]
LabelValue = Annotated[str, forms.LABEL_VALUE.field]
Weight = Annotated[int, Field(ge=1, le=100, description="Of this preference among the others.")]


Part = TypeVar("Part", bound=Model)


def _check_values(expression: Part) -> Part:
    """Hold an expression to the number of values that its operator takes."""
    found = expression.model_dump()
    operator, values = found["operator"], found["values"]
    needs = {"In": "at least one value", "NotIn": "at least one value", "Gt": _ONE, "Lt": _ONE}
    number = len(values) == 1 and values[0].isascii() and values[0].isdigit()
    if not {"In": bool(values), "NotIn": bool(values), "Gt": number, "Lt": number}.get(operator, not values):
        raise ValueError(
            f"operator {operator} of key {found['key']} needs {needs.get(operator, 'no values')}"
        )
    return expression


def _check_size(affinity: Part) -> Part:
    if _count(affinity.model_dump()) > MOST_ENTRIES:
        raise ValueError(_TOO_MANY)
    return affinity


def _count(node: object) -> int:
    """Count expressions, their values, fields and labels."""
    if isinstance(node, list):
        return sum(_count(item) for item in node)
    if not isinstance(node, dict):
        return 0
    own = sum(len(node.get(name) or ()) for name in ("match_labels", "match_fields"))
    own += sum(1 + len(expression["values"]) for expression in node.get("match_expressions") or ())
    return own + sum(_count(child) for child in node.values())


class NodeRequirement(Model):
    """What a label of a node must be."""

    key: Annotated[LabelKey, Field(description="Label's key.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"],
        Field(description="How the label's value is compared with values."),
    ]
    values: Annotated[
        list[LabelValue],
        Field(
            description="At least one for In and NotIn, one number for Gt and Lt, else none.", max_length=32
        ),
    ] = []

    @model_validator(mode="after")
    def _has_its_values(self) -> "NodeRequirement":
        return _check_values(self)


class NodeField(Model):
    """What a field of a node must be."""

    key: Annotated[Literal["metadata.name"], Field(description="The only field there is.")]
    operator: Annotated[Literal["In", "NotIn"], Field(description="Whether it must be the value.")]
    values: Annotated[
        list[Annotated[str, forms.OBJECT_NAME.field]],
        Field(description="Name of a node.", min_length=1, max_length=1),
    ]


class NodeSelectorTerm(Model):
    """Requirements that a node must all meet."""

    match_expressions: Annotated[
        list[NodeRequirement], Field(description="Requirements by labels.", max_length=8)
    ] = []
    match_fields: Annotated[list[NodeField], Field(description="Requirements by fields.", max_length=8)] = []


class NodeSelector(Model):
    """Terms of which a node must meet one."""

    node_selector_terms: Annotated[
        list[NodeSelectorTerm], Field(description="The terms.", min_length=1, max_length=8)
    ]


class PreferredNodes(Model):
    """Nodes that are better than others."""

    weight: Weight
    preference: Annotated[NodeSelectorTerm, Field(description="What such nodes are like.")]


class NodeAffinity(Model):
    """Which nodes the pods run on."""

    required_during_scheduling_ignored_during_execution: Annotated[
        NodeSelector | None, Field(description="Nodes that the pods must run on.")
    ] = None
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[PreferredNodes], Field(description="Nodes that are better than others.", max_length=8)
    ] = []

    @model_validator(mode="after")
    def _is_of_limited_size(self) -> "NodeAffinity":
        return _check_size(self)


class LabelRequirement(Model):
    """What a label must be."""

    key: Annotated[LabelKey, Field(description="Label's key.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Field(description="How the label's value is compared with values."),
    ]
    values: Annotated[
        list[LabelValue], Field(description="At least one for In and NotIn, else none.", max_length=32)
    ] = []

    @model_validator(mode="after")
    def _has_its_values(self) -> "LabelRequirement":
        return _check_values(self)


class LabelSelector(Model):
    """Labels that must all fit."""

    match_labels: Annotated[
        dict[LabelKey, LabelValue], Field(description="Labels and their values.", max_length=8)
    ] = {}
    match_expressions: Annotated[
        list[LabelRequirement], Field(description="Requirements by labels.", max_length=8)
    ] = []


class PodAffinityTerm(Model):
    """Pods of this namespace, and the place that is shared with them, or not."""

    label_selector: Annotated[LabelSelector | None, Field(description="Labels of those pods.")] = None
    topology_key: Annotated[
        LabelKey, Field(description="Label of nodes: those with the same value are one place.")
    ]


class WeightedPodAffinityTerm(Model):
    """Pods that it is better to share a place with, or not."""

    weight: Weight
    pod_affinity_term: Annotated[PodAffinityTerm, Field(description="Which pods, and which place.")]


class PodAffinity(Model):
    """Which pods a place is shared with, or not shared with."""

    required_during_scheduling_ignored_during_execution: Annotated[
        list[PodAffinityTerm], Field(description="What must hold.", max_length=8)
    ] = []
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[WeightedPodAffinityTerm], Field(description="What is better than otherwise.", max_length=8)
    ] = []

    @model_validator(mode="after")
    def _is_of_limited_size(self) -> "PodAffinity":
        return _check_size(self)


class Affinity(Model):
    """Where the pods run."""

    node_affinity: Annotated[NodeAffinity | None, Field(description="Nodes to run on.")] = None
    pod_affinity: Annotated[PodAffinity | None, Field(description="Pods to be near to.")] = None
    pod_anti_affinity: Annotated[PodAffinity | None, Field(description="Pods to stay away from.")] = None


# --- limits that a structural schema cannot say ---------------------------------------------------

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _sum(items: str, each: str) -> str:
    return f"(has({items}) ? {items}.map(i, {each}).sum() : 0)"


def _size(items: str) -> str:
    return f"(has({items}) ? size({items}) : 0)"


def _expressions(items: str) -> str:
    return f"(has({items}) ? {items}.map(e, 1 + {_size('e.values')}).sum() : 0)"


def _term(term: str) -> str:
    return f"{_expressions(f'{term}.matchExpressions')} + {_size(f'{term}.matchFields')}"


def _pods(term: str) -> str:
    selector = f"{term}.labelSelector"
    inner = f"{_size(f'{selector}.matchLabels')} + {_expressions(f'{selector}.matchExpressions')}"
    return f"(has({selector}) ? {inner} : 0)"


def _limit(*counts: str) -> dict[str, str]:
    return {
        "rule": f"{' + '.join(counts)} <= {MOST_ENTRIES}",
        "message": f"spec.serving.affinity: {_TOO_MANY}",
    }


def _values(comparisons: bool) -> dict[str, str]:
    """Give the rule on the number of values for each operator."""
    size, listed = _size("self.values"), "self.operator in ['In', 'NotIn']"
    one = "self.operator in ['Gt', 'Lt']"
    known = ", ".join(
        map(repr, ["In", "NotIn", "Exists", "DoesNotExist", *(["Gt", "Lt"] if comparisons else [])])
    )
    number = f"{one} ? {size} == 1 && self.values[0].matches('^[0-9]+$') : " if comparisons else ""
    says = f"{one} ? 'one whole number as its value' : " if comparisons else ""
    return {
        # What is no operator at all is said by the field's own schema.
        "rule": f"!(self.operator in [{known}]) || ({listed} ? {size} > 0 : {number}{size} == 0)",
        "messageExpression": "'spec.serving.affinity: operator ' + self.operator + ' of key ' + self.key + ' needs ' + "
        f"({listed} ? 'at least one value' : {says}'no values')",
    }


def _set_rule(model: type[Model], rule: dict[str, str]) -> None:
    model.model_config["json_schema_extra"] = {"x-kubernetes-validations": [{**rule}]}


_set_rule(NodeRequirement, _values(comparisons=True))
_set_rule(LabelRequirement, _values(comparisons=False))
_set_rule(
    NodeAffinity,
    _limit(
        f"(has(self.{_REQUIRED}) ? {_sum(f'self.{_REQUIRED}.nodeSelectorTerms', _term('i'))} : 0)",
        _sum(f"self.{_PREFERRED}", _term("i.preference")),
    ),
)
_set_rule(
    PodAffinity,
    _limit(
        _sum(f"self.{_REQUIRED}", _pods("i")),
        _sum(f"self.{_PREFERRED}", _pods("i.podAffinityTerm")),
    ),
)
