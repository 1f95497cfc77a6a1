"""``spec.serving``: how a model runs."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.affinity import Affinity, LabelKey, LabelValue
from mooring_operator.api.quantities import parse_quantity
from mooring_operator.api.types import Model, Quantity

# A status holds up to four copies of spec.serving, and etcd takes 1.5 MB for an object.
LARGEST_ENV = 12_288

ResourceName = Annotated[str, forms.RESOURCE.field]


class Gpu(Model):
    """GPUs for each replica."""

    count: Annotated[int, Field(ge=1, le=64, description="GPUs for each replica.")]
    resource_name: Annotated[
        str,
        forms.EXTENDED_RESOURCE.field,
        Field(
            description="Extended resource to ask for: nvidia.com/gpu, nvidia.com/mig-1g.10gb, amd.com/gpu, ..."
        ),
    ] = "nvidia.com/gpu"


class Resources(Model):
    """CPU and memory of the model's container; GPUs have a field of their own."""

    requests: Annotated[
        dict[ResourceName, Quantity], Field(description="Least the scheduler must find.", max_length=16)
    ] = {}
    limits: Annotated[
        dict[ResourceName, Quantity], Field(description="Most the container may use.", max_length=16)
    ] = {}

    @model_validator(mode="after")
    def _limits_leave_room(self) -> "Resources":
        for name in _COMPARED:
            least, most = self.requests.get(name), self.limits.get(name)
            if least and most and parse_quantity(least) > parse_quantity(most):
                raise ValueError(f"requests of {name}, {least}, are above its limit {most}")
        return self


# One rule for each: in a loop over the maps, a rule would count as dearer than the API server allows.
_COMPARED = ("cpu", "memory", "ephemeral-storage")


def _leaves_room(name: str) -> JsonValue:
    least, most = f"self.requests['{name}']", f"self.limits['{name}']"
    given = f"has(self.requests) && has(self.limits) && '{name}' in self.requests && '{name}' in self.limits"
    amounts = f"isQuantity(string({least})) && isQuantity(string({most}))"
    return _rule(
        f"!({given} && {amounts}) || !quantity(string({least})).isGreaterThan(quantity(string({most})))",
        f"'requests of {name}, %s, are above its limit %s'.format([{least}, {most}])",
    )


def _rule(rule: str, message: str) -> JsonValue:
    return {"rule": rule, "messageExpression": message}


Resources.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [_leaves_room(name) for name in _COMPARED]
}


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


class EnvVar(Model):
    """An environment variable of the model's container."""

    name: Annotated[str, forms.VARIABLE.field, Field(description="Variable's name.")]
    value: Annotated[str, Field(description="Variable's value.", max_length=4096)] = ""


class Prometheus(Model):
    """A Prometheus query that KEDA scales on."""

    address: Annotated[str, forms.WEB_ADDRESS.field, Field(description="Prometheus server's URL.")]
    query: Annotated[str, Field(description="PromQL that yields one number.", min_length=1, max_length=2048)]


class Autoscaling(Model):
    """How the number of replicas follows the load."""

    scaler: Annotated[
        Literal["HPA", "KEDA", "None"] | None,
        Field(
            description="Who scales in Standard mode: HPA (default), KEDA, or None for a fixed count. "
            "Leave it out in Knative mode, where Knative scales."
        ),
    ] = None
    metric: Annotated[
        Literal["cpu", "memory", "concurrency", "rps", "prometheus"] | None,
        Field(
            description="What is measured. Standard with HPA: cpu, memory. Standard with KEDA: cpu, memory, "
            "prometheus. Knative: concurrency, rps, cpu, memory. Default: cpu in Standard, concurrency in Knative."
        ),
    ] = None
    target: Annotated[
        int | None,
        Field(
            ge=1,
            le=1_000_000,
            description="Value to hold per replica: percent for cpu and memory, else a count. KServe's default "
            "when left out.",
        ),
    ] = None
    prometheus: Annotated[
        Prometheus | None, Field(description="Query for metric prometheus (scaler KEDA only).")
    ] = None


class Batching(Model):
    """Server-side batching by KServe's agent. In Standard mode a canary is served without the agent."""

    max_batch_size: Annotated[int, Field(ge=1, le=4096, description="Most requests in one batch.")] = 32
    max_latency_ms: Annotated[
        int | None,
        Field(ge=1, le=60_000, description="Milliseconds that a request waits for a batch to fill, at most."),
    ] = None


class ServingSpec(Model):
    """How the model is served. A change of anything here is a new revision, rolled out like a new model."""

    mode: Annotated[
        Literal["Standard", "Knative"],
        Field(
            description="KServe's deployment mode. Standard: Deployments and Gateway API. Knative: scale to zero "
            "and request-based scaling. It cannot be changed once set.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    {
                        "rule": "self == oldSelf",
                        "messageExpression": "'spec.serving.mode cannot change from ' + oldSelf + ' to ' + self + "
                        "': KServe fixes it for an InferenceService; make a new ModelDeployment'",
                    }
                ]
            },
        ),
    ] = "Standard"
    runtime: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(
            description="ServingRuntime or ClusterServingRuntime to use; when left out, the administrator's for the "
            "model's format, or KServe's choice where there is none.",
        ),
    ] = None
    service_account_name: Annotated[
        str | None,
        forms.OBJECT_NAME.field,
        Field(description="ServiceAccount of the model's pods, with the credentials of the model's storage."),
    ] = None
    min_replicas: Annotated[
        int, Field(ge=0, le=1000, description="Fewest replicas; 0 (scale to zero) in Knative mode only.")
    ] = 1
    max_replicas: Annotated[
        int | None, Field(ge=1, le=1000, description="Most replicas; as minReplicas when left out.")
    ] = None
    autoscaling: Annotated[
        Autoscaling | None, Field(description="How the number of replicas follows the load.")
    ] = None
    resources: Annotated[Resources | None, Field(description="CPU and memory of each replica.")] = None
    gpu: Annotated[Gpu | None, Field(description="GPUs of each replica; none when left out.")] = None
    node_selector: Annotated[
        dict[LabelKey, LabelValue],
        Field(description="Labels that a node must have, for example nvidia.com/gpu.product.", max_length=32),
    ] = {}
    tolerations: Annotated[
        list[Toleration], Field(description="Taints that the pods tolerate.", max_length=32)
    ] = []
    affinity: Annotated[
        Affinity | None, Field(description="Nodes and pods to be near to, or away from, as in a pod's spec.")
    ] = None
    env: Annotated[
        list[EnvVar],
        Field(
            description=f"Environment of the model's container, {LARGEST_ENV} characters in all.",
            max_length=64,
        ),
    ] = []
    batching: Annotated[Batching | None, Field(description="Server-side batching; off when left out.")] = None

    @model_validator(mode="after")
    def _env_is_of_limited_size(self) -> "ServingSpec":
        size = sum(len(variable.name) + len(variable.value) for variable in self.env)
        if size > LARGEST_ENV:
            raise ValueError(f"env has {size} characters; at most {LARGEST_ENV} are allowed in all")
        return self


_SCALER = "has(self.autoscaling) && has(self.autoscaling.scaler)"
_METRIC = "has(self.autoscaling) && has(self.autoscaling.metric)"
_ENV_SIZE = "self.env.map(v, size(v.name) + (has(v.value) ? size(v.value) : 0)).sum()"

SERVING_RULES: list[JsonValue] = [
    _rule(
        "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "'spec.serving.minReplicas (%d) must not exceed maxReplicas (%d)'"
        ".format([self.minReplicas, self.maxReplicas])",
    ),
    _rule(
        "self.minReplicas > 0 || self.mode == 'Knative'",
        "'spec.serving.minReplicas: 0 needs mode Knative, got mode ' + self.mode + "
        "': nothing would wake the model up'",
    ),
    _rule(
        f"!({_SCALER} && self.mode == 'Knative')",
        "'spec.serving.autoscaling.scaler: ' + self.autoscaling.scaler + "
        "' is for mode Standard; leave it out in mode Knative'",
    ),
    _rule(
        f"!({_METRIC} && self.mode == 'Standard') || "
        f"self.autoscaling.metric in (has(self.autoscaling.scaler) && self.autoscaling.scaler == 'KEDA' ? "
        "['cpu', 'memory', 'prometheus'] : ['cpu', 'memory'])",
        "'spec.serving.autoscaling.metric: ' + self.autoscaling.metric + "
        "' does not exist in mode Standard with this scaler: HPA has cpu and memory, KEDA also prometheus; "
        "concurrency and rps need mode Knative'",
    ),
    _rule(
        f"!({_METRIC} && self.mode == 'Knative') || self.autoscaling.metric != 'prometheus'",
        "'spec.serving.autoscaling.metric: prometheus needs mode Standard with scaler KEDA, got mode Knative'",
    ),
    _rule(
        f"!({_SCALER} && self.autoscaling.scaler == 'None') || "
        "(!has(self.autoscaling.metric) && !has(self.autoscaling.target) && "
        "(!has(self.maxReplicas) || self.maxReplicas == self.minReplicas))",
        "'spec.serving.autoscaling: scaler None keeps minReplicas replicas; "
        "leave out metric, target and a larger maxReplicas'",
    ),
    _rule(
        "!has(self.autoscaling) || has(self.autoscaling.prometheus) == "
        "(has(self.autoscaling.metric) && self.autoscaling.metric == 'prometheus')",
        "'spec.serving.autoscaling.prometheus goes with metric prometheus: set both or neither'",
    ),
    _rule(
        "!has(self.autoscaling) || !has(self.autoscaling.prometheus) || has(self.autoscaling.target)",
        "'spec.serving.autoscaling.target is needed with metric prometheus'",
    ),
    _rule(
        f"!has(self.env) || {_ENV_SIZE} <= {LARGEST_ENV}",
        f"'spec.serving.env has %d characters; at most {LARGEST_ENV} are allowed in all'.format([{_ENV_SIZE}])",
    ),
]

ServingSpec.model_config["json_schema_extra"] = {"x-kubernetes-validations": [*SERVING_RULES]}
