"""``spec.serving``: how a model runs."""

import json
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.affinity import Affinity, LabelKey, LabelValue
from mooring_operator.api.autoscaling import Autoscaling
from mooring_operator.api.capture import HMAC_KEY, NEEDS_KEY, Capture
from mooring_operator.api.environment import EnvFrom, EnvVar
from mooring_operator.api.resources import Gpu, Resources
from mooring_operator.api.runtimes import RuntimePolicy
from mooring_operator.api.scheduling import DeploymentStrategy, DisruptionBudget, Toleration, TopologySpread
from mooring_operator.api.templates import (
    HAS_CUSTOM,
    Explainer,
    Template,
    Transformer,
    check_keys,
    has_custom_container,
    key_rule,
)
from mooring_operator.api.types import Model

# A status holds up to four copies of spec.serving, and etcd takes 1.5 MB for an object.
LARGEST_ENV = 11_264
LARGEST_SERVING = 163_840
"""Bytes of spec.serving as JSON in ASCII: no rule of a schema can count them all."""


class Batching(Model):
    """Server-side batching by KServe's agent. In Standard mode a canary is served without the agent."""

    max_batch_size: Annotated[int, Field(ge=1, le=4096, description="Most requests in one batch.")] = 32
    max_latency_ms: Annotated[
        int | None,
        Field(ge=1, le=60_000, description="Milliseconds that a request waits for a batch to fill, at most."),
    ] = None


_FREE_OF_OURS: dict[str, dict[str, JsonValue]] = {
    field: {"x-kubernetes-validations": [{**key_rule(f"spec.serving.{field}")}]}
    for field in ("labels", "annotations")
}
_NEEDS_KNATIVE = "containerConcurrency needs mode Knative: nothing counts requests in mode Standard"
_NEEDS_STANDARD = "deploymentStrategy needs mode Standard: Knative replaces revisions its own way"


class Logging(Model):
    """Requests and answers as CloudEvents, sent by KServe's agent. A canary of spec.canary is served without it."""

    url: Annotated[str, forms.WEB_ADDRESS.field, Field(description="Where the events are sent.")]
    mode: Annotated[
        Literal["all", "request", "response"], Field(description="What is sent: both, or one of the two.")
    ] = "all"
    metadata_headers: Annotated[
        list[Annotated[str, forms.HEADER.field]],
        Field(description="Headers of requests that events carry.", max_length=16),
    ] = []


class Storage(Model):
    """How KServe gets at spec.model.uri, beside the service account's credentials."""

    key: Annotated[
        str, forms.CONFIG_KEY.field, Field(description="Key of the namespace's Secret storage-config.")
    ]
    parameters: Annotated[
        dict[LabelKey, Annotated[str, Field(max_length=253)]],
        Field(description="What overrides the key's own: type, bucket, region, ...", max_length=16),
    ] = {}


class PullSecret(Model):
    """A Secret of type kubernetes.io/dockerconfigjson in the same namespace."""

    name: Annotated[str, forms.OBJECT_NAME.field, Field(description="Name of the Secret.")]


class ServingSpec(Model):
    """How the model is served. Replicas change in place; a change of anything else is a new revision, rolled out."""

    mode: Annotated[
        Literal["Standard", "Knative"],
        Field(
            description="KServe's deployment mode, which cannot change. Standard: Deployments and Gateway API. "
            "Knative: scale to zero, request-based scaling.",
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
            description="(Cluster)ServingRuntime; else the administrator's for the format, else KServe's choice.",
        ),
    ] = None
    runtime_policy: Annotated[
        RuntimePolicy,
        Field(
            description="An edited runtime is rolled out, or nothing.",
            exclude=True,
        ),
    ] = "Follow"
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
    env_from: Annotated[
        list[EnvFrom],
        Field(
            description="Secrets and ConfigMaps whose keys become variables of the container.", max_length=16
        ),
    ] = []
    args: Annotated[
        list[Annotated[str, Field(max_length=4096)]],
        Field(
            description="Arguments behind the runtime's own, passed as they are written: nothing is expanded.",
            max_length=64,
        ),
    ] = []
    labels: Annotated[
        dict[LabelKey, LabelValue],
        Field(description="Labels of the pods.", max_length=16, json_schema_extra=_FREE_OF_OURS["labels"]),
    ] = {}
    annotations: Annotated[
        dict[LabelKey, Annotated[str, Field(max_length=1024)]],
        Field(
            description="Annotations of the pods.",
            max_length=16,
            json_schema_extra=_FREE_OF_OURS["annotations"],
        ),
    ] = {}
    image_pull_secrets: Annotated[
        list[PullSecret], Field(description="Secrets that images are pulled with.", max_length=8)
    ] = []
    timeout: Annotated[
        int | None,
        Field(
            ge=1, le=86_400, description="Seconds after which a request is given up; KServe's 60 if left out."
        ),
    ] = None
    container_concurrency: Annotated[
        int | None,
        Field(
            ge=0, le=1000, description="Requests that a pod answers at once; 0 is any number. Mode Knative."
        ),
    ] = None
    deployment_strategy: Annotated[
        DeploymentStrategy | None,
        Field(description="How pods of one revision replace each other. Mode Standard."),
    ] = None
    priority_class_name: Annotated[
        str | None, forms.OBJECT_NAME.field, Field(description="PriorityClass of the pods.")
    ] = None
    topology_spread_constraints: Annotated[
        list[TopologySpread],
        Field(description="How evenly the pods of a revision are spread over places.", max_length=8),
    ] = []
    pod_disruption_budget: Annotated[
        DisruptionBudget | None,
        Field(
            description="How many pods may go at once when nodes are drained, of all revisions together. It changes "
            "in place.",
            exclude=True,
        ),
    ] = None
    storage: Annotated[
        Storage | None, Field(description="How KServe gets at the model, by its Secret storage-config.")
    ] = None
    logger: Annotated[
        Logging | None, Field(description="Where requests and answers are sent; nowhere when left out.")
    ] = None
    capture: Annotated[
        Capture | None,
        Field(description="Which requests the runtime keeps, and where; none when left out."),
    ] = None
    batching: Annotated[Batching | None, Field(description="Server-side batching; off when left out.")] = None
    transformer: Annotated[
        Transformer | None,
        Field(
            description="KServe's transformer: pods of yours before the model. It is of the revision, and moves "
            "with it."
        ),
    ] = None
    explainer: Annotated[
        Explainer | None, Field(description="KServe's explainer: pods of yours that answer :explain.")
    ] = None
    template: Annotated[
        Template | None,
        Field(
            description="Everything else of KServe's predictor, merged into what the fields above say: volumes, "
            "initContainers, containers, workerSpec, securityContext, model.image, ..."
        ),
    ] = None

    @property
    def is_custom(self) -> bool:
        """Whether the model's container is one of the template's, and no runtime's."""
        return self.template is not None and has_custom_container(self.template)

    @model_validator(mode="after")
    def _is_of_limited_size(self) -> "ServingSpec":
        size = sum(len(variable.name) + len(variable.value) for variable in self.env)
        if size > LARGEST_ENV:
            raise ValueError(f"env has {size} characters; at most {LARGEST_ENV} are allowed in all")
        whole = len(json.dumps(self.model_dump(mode="json", by_alias=True, exclude_defaults=True)))
        if whole > LARGEST_SERVING:
            raise ValueError(f"has {whole} bytes as JSON; at most {LARGEST_SERVING} are allowed in all")
        return self

    @model_validator(mode="after")
    def _labels_are_free(self) -> "ServingSpec":
        for field, entries in (("labels", self.labels), ("annotations", self.annotations)):
            check_keys(field, entries)
        return self

    @model_validator(mode="after")
    def _fits_its_mode(self) -> "ServingSpec":
        if self.container_concurrency is not None and self.mode != "Knative":
            raise ValueError(_NEEDS_KNATIVE)
        if self.deployment_strategy is not None and self.mode != "Standard":
            raise ValueError(_NEEDS_STANDARD)
        return self

    @model_validator(mode="after")
    def _has_a_key(self) -> "ServingSpec":
        named = any(variable.name == HMAC_KEY for variable in self.env)
        if (
            self.capture is not None
            and self.capture.needs_key
            and not (named or self.env_from or self.template)
        ):
            raise ValueError(NEEDS_KEY)
        return self


def _rule(rule: str, message: str) -> JsonValue:
    return {"rule": rule, "messageExpression": message}


_SCALER = "has(self.autoscaling) && has(self.autoscaling.scaler)"
_METRIC = "has(self.autoscaling) && has(self.autoscaling.metric)"
_CUSTOM = HAS_CUSTOM.replace("self.", "self.template.")
_ENV_SIZE = "self.env.map(v, size(v.name) + (has(v.value) ? size(v.value) : 0)).sum()"

SERVING_RULES: list[JsonValue] = [
    _rule(
        "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "'spec.serving.minReplicas (%d) must not exceed maxReplicas (%d)'"
        ".format([self.minReplicas, self.maxReplicas])",
    ),
    _rule(
        "self.minReplicas != 0 || self.mode == 'Knative'",
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
        "(!has(self.autoscaling.metrics) || self.autoscaling.metrics.size() == 0) && "
        "(!has(self.maxReplicas) || self.maxReplicas == self.minReplicas))",
        "'spec.serving.autoscaling: scaler None keeps minReplicas replicas; "
        "leave out metric, target and a larger maxReplicas'",
    ),
    _rule(
        f"!has(self.env) || {_ENV_SIZE} <= {LARGEST_ENV}",
        f"'spec.serving.env has %d characters; at most {LARGEST_ENV} are allowed in all'.format([{_ENV_SIZE}])",
    ),
    _rule(
        "!(has(self.autoscaling) && has(self.autoscaling.metrics) && self.autoscaling.metrics.size() > 0 "
        "&& self.mode == 'Knative')",
        "'spec.serving.autoscaling.metrics needs mode Standard: Knative scales on one metric'",
    ),
    _rule(
        f"!has(self.template) || !({_CUSTOM}) || (!has(self.runtime) && !has(self.storage))",
        "'spec.serving: template.containers has kserve-container, which replaces the runtime: "
        "leave out runtime and storage'",
    ),
    _rule("!has(self.containerConcurrency) || self.mode == 'Knative'", f"'spec.serving.{_NEEDS_KNATIVE}'"),
    _rule(
        "!has(self.capture) || !has(self.capture.mask) || !self.capture.mask.exists(k, self.capture.mask[k] == 'hmac') "
        "|| (has(self.envFrom) && self.envFrom.size() > 0) || has(self.template) "
        f"|| (has(self.env) && self.env.exists(v, v.name == '{HMAC_KEY}'))",
        f"'spec.serving.{NEEDS_KEY}'",
    ),
    _rule("!has(self.deploymentStrategy) || self.mode == 'Standard'", f"'spec.serving.{_NEEDS_STANDARD}'"),
]

ServingSpec.model_config["json_schema_extra"] = {"x-kubernetes-validations": [*SERVING_RULES]}
