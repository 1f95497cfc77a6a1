"""Where a model's pods run, how they are replaced, and how many may be taken away at once."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from mooring_operator.api import forms
from mooring_operator.api.affinity import LabelKey, LabelSelector
from mooring_operator.api.types import Model


class Toleration(Model):
    """A taint that the model's pods tolerate, as in a pod's spec."""

    key: Annotated[
        str | None, forms.LABEL_KEY.field, Field(description="Taint's key; none means every key.")
    ] = None
    operator: Annotated[Literal["Exists", "Equal"], Field(description="How key and value are compared.")] = (
        "Equal"
    )
    value: Annotated[str | None, forms.LABEL_VALUE.field, Field(description="Taint's value, with Equal.")] = (
        None
    )
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="Effect to tolerate; none means every effect."),
    ] = None
    toleration_seconds: Annotated[
        int | None, Field(description="Seconds that a NoExecute taint is tolerated.", ge=0)
    ] = None


class TopologySpread(Model):
    """How evenly the pods of a revision are spread over places, as in a pod's spec."""

    max_skew: Annotated[int, Field(ge=1, le=1000, description="By how many pods places may differ.")] = 1
    topology_key: Annotated[
        LabelKey, Field(description="Label of nodes: those with the same value are one place.")
    ]
    when_unsatisfiable: Annotated[
        Literal["DoNotSchedule", "ScheduleAnyway"],
        Field(description="What happens to a pod that would make it more uneven."),
    ] = "ScheduleAnyway"
    min_domains: Annotated[
        int | None, Field(ge=1, le=1000, description="Fewest places, with DoNotSchedule.")
    ] = None
    label_selector: Annotated[
        LabelSelector | None, Field(description="Pods that are counted; those of the revision when left out.")
    ] = None
    node_affinity_policy: Annotated[
        Literal["Honor", "Ignore"] | None,
        Field(description="Whether nodes that nodeSelector and affinity rule out count as places."),
    ] = None
    node_taints_policy: Annotated[
        Literal["Honor", "Ignore"] | None,
        Field(description="Whether nodes whose taints are not tolerated count as places."),
    ] = None


Amount = Annotated[
    str,
    BeforeValidator(
        lambda value: str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    ),
    forms.AMOUNT.field,
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maximum": 100_000,
            "pattern": forms.AMOUNT.pattern,
            "maxLength": forms.AMOUNT.longest,
        }
    ),
]
"""Pods, or percent of them."""


class RollingUpdate(Model):
    """How many pods are replaced at a time; Kubernetes' defaults are 25%."""

    max_surge: Annotated[Amount | None, Field(description="Pods more than replicas, like 1 or 25%.")] = None
    max_unavailable: Annotated[
        Amount | None, Field(description="Pods fewer than replicas, like 0 or 25%.")
    ] = None

    @model_validator(mode="after")
    def _moves(self) -> "RollingUpdate":
        if {self.max_surge, self.max_unavailable} <= {"0", "0%"}:
            raise ValueError(_STANDS_STILL)
        return self


_STANDS_STILL = "maxSurge and maxUnavailable are both 0: no pod could ever be replaced"
_NONE = "['0', '0%']"
RollingUpdate.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "!has(self.maxSurge) || !has(self.maxUnavailable) || "
            f"!(string(self.maxSurge) in {_NONE} && string(self.maxUnavailable) in {_NONE})",
            "message": f"spec.serving.deploymentStrategy.rollingUpdate: {_STANDS_STILL}",
        }
    ]
}


class DeploymentStrategy(Model):
    """How the pods of one revision replace each other, for example when an administrator edits its runtime."""

    type: Annotated[
        Literal["RollingUpdate", "Recreate"],
        Field(description="Recreate stops all pods before new ones start: for GPUs that are there but once."),
    ] = "RollingUpdate"
    rolling_update: Annotated[RollingUpdate | None, Field(description="How many at a time.")] = None

    @model_validator(mode="after")
    def _fits(self) -> "DeploymentStrategy":
        if self.type == "Recreate" and self.rolling_update is not None:
            raise ValueError(_ONLY_ROLLING)
        return self


_ONLY_ROLLING = "rollingUpdate goes with type RollingUpdate: leave it out with Recreate"
DeploymentStrategy.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "self.type == 'RollingUpdate' || !has(self.rollingUpdate)",
            "message": f"spec.serving.deploymentStrategy: {_ONLY_ROLLING}",
        }
    ]
}


class DisruptionBudget(Model):
    """How many of the pods that serve may be taken away at once when nodes are drained: one of the two."""

    min_available: Annotated[Amount | None, Field(description="Pods that stay, like 1 or 50%.")] = None
    max_unavailable: Annotated[Amount | None, Field(description="Pods that may go, like 1 or 25%.")] = None
    unhealthy_pod_eviction_policy: Annotated[
        Literal["IfHealthyBudget", "AlwaysAllow"] | None,
        Field(description="Whether pods that are not ready may always go; IfHealthyBudget when left out."),
    ] = None

    @model_validator(mode="after")
    def _is_one(self) -> "DisruptionBudget":
        if (self.min_available is None) == (self.max_unavailable is None):
            raise ValueError(_ONE_LIMIT)
        return self


_ONE_LIMIT = "podDisruptionBudget has exactly one of minAvailable and maxUnavailable"
DisruptionBudget.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {
            "rule": "has(self.minAvailable) != has(self.maxUnavailable)",
            "message": f"spec.serving.podDisruptionBudget: {_ONE_LIMIT}",
        }
    ]
}
