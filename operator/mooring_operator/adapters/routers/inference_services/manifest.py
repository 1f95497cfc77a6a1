"""Builds InferenceServices: revisions in, manifest out.

Source: KServe 0.21, serving.kserve.io/v1beta1.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services.capturing import with_capture
from mooring_operator.adapters.routers.inference_services.merging import merged
from mooring_operator.adapters.routers.inference_services.texts import (
    container_as_written,
    escape_templates,
    pod_as_written,
)
from mooring_operator.api.autoscaling import Autoscaling, Metric
from mooring_operator.api.names import (
    APPLIED_ANNOTATION,
    DEPLOYMENT_LABEL,
    REVISION_LABEL,
)
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.scheduling import DeploymentStrategy, TopologySpread
from mooring_operator.api.serving import ServingSpec
from mooring_operator.api.templates import CUSTOM_CONTAINER
from mooring_operator.api.types import Model
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.manifests.pods import int_or_percent, variables
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owned_labels, owner_reference

LONGEST_NAMES = 51 - len("-r12345678-")
"""Characters of InferenceService and namespace together: KServe puts both and a predictor's name into a DNS label."""

_MODE = "serving.kserve.io/deploymentMode"
_REVISION_VARIABLE = "MOORING_REVISION"
_DIGEST_VARIABLE = "MOORING_MODEL_DIGEST"
_TRANSFORMER_CONTAINER = "transformer-container"


def service(
    owner: Owner, mode: str, spec: dict[str, Any], annotations: Mapping[str, str] | None = None
) -> Manifest:
    """Give the owner's InferenceService in a deployment mode of KServe's."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": owner.name,
            "namespace": owner.namespace,
            "labels": owned_labels(owner.name),
            "annotations": {_MODE: mode, APPLIED_ANNOTATION: fingerprint(spec), **(annotations or {})},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": spec,
    }


def predictor(revision: Revision) -> dict[str, Any]:
    """Give KServe's predictor for a revision, but for its name and its replicas."""
    serving = revision.serving_spec
    pod = {**_pod(revision, serving), **_extension(serving)}
    if serving.is_custom:
        pod["containers"] = [{"name": CUSTOM_CONTAINER, **_container(serving)}]
        out = merged(pod, serving.template)
        out["containers"] = [
            with_capture(out, container, revision) if container.get("name") == CUSTOM_CONTAINER else container
            for container in out["containers"]
        ]
        variables = _ours(revision, {"STORAGE_URI": revision.load_address})
        out = pod_as_written(out)
        out["containers"] = _with_model_first(out["containers"], variables)
    else:
        pod["model"] = _container(serving)
        out = merged(pod, serving.template or {})
        # KServe executes these two containers, and no others.
        kept = with_capture(out, out.pop("model"), revision)
        model = escape_templates(container_as_written(kept))
        out = pod_as_written(out, templated=[_TRANSFORMER_CONTAINER])
        out["model"] = {**_with_variables(model, _ours(revision)), **_model(revision, serving)}
    if "workerSpec" in out:
        out["workerSpec"] = pod_as_written(out["workerSpec"])
    return _marked(out, revision)


def components(revision: Revision) -> dict[str, Any]:
    """Give what KServe runs for a revision beside its predictor: transformer and explainer, where it has them."""
    serving = revision.serving_spec
    said = {"transformer": serving.transformer, "explainer": serving.explainer}
    return {
        name: _marked(pod_as_written(_with_name(merged({}, component))), revision)
        for name, component in said.items()
        if component is not None
    }


def _with_name(component: dict[str, Any]) -> dict[str, Any]:
    """Give a component whose only container has the name that KServe would give it."""
    containers = component.get("containers", [])
    if len(containers) != 1:
        return component
    return {**component, "containers": [{**containers[0], "name": CUSTOM_CONTAINER}]}


def scaling(serving: ServingSpec) -> dict[str, Any]:
    """Give the fields of a predictor that say how many replicas it has."""
    out: dict[str, Any] = {"minReplicas": serving.min_replicas}
    most = serving.max_replicas or max(serving.min_replicas, 1)
    out["maxReplicas"] = most
    wanted = serving.autoscaling
    if wanted is None or wanted.scaler == "None":
        return out
    if wanted.scaler == "KEDA" or wanted.metrics:
        metrics = wanted.metrics or [Metric.model_construct(**_only_metric(wanted))]
        auto: dict[str, Any] = {"metrics": [_metric(metric) for metric in metrics]}
        if wanted.behavior is not None:
            auto["behavior"] = _as_is(wanted.behavior)
        return {**out, "autoScaling": auto}
    if wanted.metric:
        out["scaleMetric"] = wanted.metric
    if wanted.target is not None:
        out["scaleTarget"] = wanted.target
    return out


def _as_is(part: Model) -> dict[str, Any]:
    """Give a part of a spec whose fields are Kubernetes' own."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _pod(revision: Revision, serving: ServingSpec) -> dict[str, Any]:
    """Give the fields of a pod's spec."""
    out: dict[str, Any] = {}
    if serving.service_account_name:
        out["serviceAccountName"] = serving.service_account_name
    if serving.node_selector:
        out["nodeSelector"] = dict(serving.node_selector)
    if serving.tolerations:
        out["tolerations"] = [_as_is(toleration) for toleration in serving.tolerations]
    if serving.affinity:
        out["affinity"] = serving.affinity.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if serving.image_pull_secrets:
        out["imagePullSecrets"] = [_as_is(secret) for secret in serving.image_pull_secrets]
    if serving.priority_class_name:
        out["priorityClassName"] = serving.priority_class_name
    if serving.topology_spread_constraints:
        out["topologySpreadConstraints"] = [
            _spread(constraint, revision) for constraint in serving.topology_spread_constraints
        ]
    return out


def _spread(constraint: TopologySpread, revision: Revision) -> dict[str, Any]:
    out = constraint.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"label_selector"})
    if constraint.label_selector is not None:
        selector = constraint.label_selector.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {**out, "labelSelector": selector}
    # Another deployment may have a revision of this name: the same model, served alike.
    own = {"matchLabels": {REVISION_LABEL: revision.revision}}
    return {**out, "labelSelector": own, "matchLabelKeys": [DEPLOYMENT_LABEL]}


def _extension(serving: ServingSpec) -> dict[str, Any]:
    """Give the fields that KServe adds to a pod's, but for how many replicas there are."""
    out: dict[str, Any] = {"labels": dict(serving.labels), "annotations": dict(serving.annotations)}
    if serving.timeout is not None:
        out["timeout"] = serving.timeout
    if serving.container_concurrency is not None:
        out["containerConcurrency"] = serving.container_concurrency
    if serving.deployment_strategy is not None:
        out["deploymentStrategy"] = _strategy(serving.deployment_strategy)
    if serving.logger is not None:
        said = serving.logger.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        out["logger"] = {"mode": serving.logger.mode, **said}
    if serving.batching:
        out["batcher"] = {"maxBatchSize": serving.batching.max_batch_size}
        if serving.batching.max_latency_ms is not None:
            out["batcher"]["maxLatency"] = serving.batching.max_latency_ms
    return out


def _strategy(strategy: DeploymentStrategy) -> dict[str, Any]:
    out: dict[str, Any] = {"type": strategy.type}
    if strategy.rolling_update is not None:
        said = _as_is(strategy.rolling_update)
        out["rollingUpdate"] = {field: int_or_percent(amount) for field, amount in said.items()}
    return out


def _container(serving: ServingSpec) -> dict[str, Any]:
    """Give the fields of the model's container that the spec says, as they stand there."""
    out: dict[str, Any] = {"env": variables(serving.env)}
    if serving.args:
        out["args"] = list(serving.args)
    if serving.env_from:
        out["envFrom"] = [_as_is(source) for source in serving.env_from]
    resources = _resources(serving)
    if resources:
        out["resources"] = resources
    return out


def _model(revision: Revision, serving: ServingSpec) -> dict[str, Any]:
    """Give what a model has beside the fields of its container."""
    model_format = {"name": revision.format}
    if revision.format_version:
        model_format["version"] = revision.format_version
    out: dict[str, Any] = {"modelFormat": model_format, "storageUri": revision.load_address}
    if serving.runtime:
        out["runtime"] = serving.runtime
    if serving.storage is not None:
        # The path is the address's: another one would be served without having been tested.
        out["storage"] = serving.storage.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return out


def _ours(revision: Revision, more: Mapping[str, str] | None = None) -> list[dict[str, str]]:
    said = {**(more or {}), _REVISION_VARIABLE: revision.revision}
    if revision.files_to_load is not None:
        said[_DIGEST_VARIABLE] = revision.files_to_load
    return [{"name": name, "value": value} for name, value in said.items()]


def _with_variables(container: dict[str, Any], ours: list[dict[str, str]]) -> dict[str, Any]:
    names = {variable["name"] for variable in ours}
    kept = [variable for variable in container.get("env", []) if variable.get("name") not in names]
    return {**container, "env": [*kept, *ours]}


def _with_model_first(
    containers: list[dict[str, Any]], variables: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """Give the containers with the model's first, whose place KServe takes for it, and with our variables."""
    by_name = {container.get("name"): container for container in containers}
    model = _with_variables(by_name[CUSTOM_CONTAINER], variables)
    return [model, *(container for name, container in by_name.items() if name != CUSTOM_CONTAINER)]


def _marked(component: dict[str, Any], revision: Revision) -> dict[str, Any]:
    """Give a component with what holds for every one of Mooring's."""
    return {
        **component,
        "labels": {**component.get("labels", {}), REVISION_LABEL: revision.revision},
        # KServe gives pods the service's annotations too: one that changes with every step of a rollout
        # would start all pods anew, the stable revision's as well. What a predictor says comes first.
        "annotations": {**component.get("annotations", {}), APPLIED_ANNOTATION: revision.revision},
        # A model never speaks to the API server. Clouds that give identities to service accounts mount what they
        # need by themselves.
        "automountServiceAccountToken": False,
    }


def _resources(serving: ServingSpec) -> dict[str, dict[str, str]]:
    requests: Mapping[str, str] = serving.resources.requests if serving.resources else {}
    limits: Mapping[str, str] = serving.resources.limits if serving.resources else {}
    # The scheduler takes the limit of an extended resource for its request too.
    gpus = {serving.gpu.resource_name: str(serving.gpu.count)} if serving.gpu else {}
    wanted = {"requests": {**requests}, "limits": {**limits, **gpus}}
    return {kind: quantities for kind, quantities in wanted.items() if quantities}


def _only_metric(scaling: Autoscaling) -> dict[str, Any]:
    return {
        "metric": scaling.metric or "cpu",
        "target": scaling.target,
        "prometheus": scaling.prometheus,
    }


def _metric(metric: Metric) -> dict[str, Any]:
    if metric.prometheus is not None:
        source = {
            "backend": "prometheus",
            "serverAddress": metric.prometheus.address,
            "query": metric.prometheus.query,
        }
        target = {"type": "Value", "value": str(metric.target)}
        return {"type": "External", "external": {"metric": source, "target": target}}
    utilization = {"type": "Utilization", "averageUtilization": metric.target or 80}
    return {"type": "Resource", "resource": {"name": metric.metric, "target": utilization}}
