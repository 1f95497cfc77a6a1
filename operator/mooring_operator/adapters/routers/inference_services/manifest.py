"""Builds InferenceServices: revisions in, manifest out.

Source: KServe 0.21, serving.kserve.io/v1beta1.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.api.names import (
    APPLIED_ANNOTATION,
    DEPLOYMENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_VALUE,
    REVISION_LABEL,
)
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.serving import Autoscaling, ServingSpec
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.manifests.pods import escape_expansion
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owner_reference

LONGEST_NAMES = 51 - len("-r12345678-")
"""Characters of InferenceService and namespace together: KServe puts both and a predictor's name into a DNS label."""

_MODE = "serving.kserve.io/deploymentMode"
_REVISION_VARIABLE = "MOORING_REVISION"


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
            "labels": {
                MANAGED_BY: MANAGED_BY_VALUE,
                "app.kubernetes.io/part-of": "mooring",
                DEPLOYMENT_LABEL: owner.name,
            },
            "annotations": {_MODE: mode, APPLIED_ANNOTATION: fingerprint(spec), **(annotations or {})},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": spec,
    }


def predictor(revision: Revision) -> dict[str, Any]:
    """Give KServe's predictor for a revision, but for its name and its replicas."""
    serving = revision.serving_spec
    out: dict[str, Any] = {
        "labels": {REVISION_LABEL: revision.revision},
        # KServe gives pods the service's annotations too: one that changes with every step of a rollout
        # would start all pods anew, the stable revision's as well. What a predictor says comes first.
        "annotations": {APPLIED_ANNOTATION: revision.revision},
        "model": _model(revision, serving),
        # A model never speaks to the API server. Clouds that give identities to service accounts mount what they
        # need by themselves.
        "automountServiceAccountToken": False,
    }
    if serving.service_account_name:
        out["serviceAccountName"] = serving.service_account_name
    if serving.node_selector:
        out["nodeSelector"] = dict(serving.node_selector)
    if serving.tolerations:
        out["tolerations"] = [
            toleration.model_dump(mode="json", by_alias=True, exclude_none=True)
            for toleration in serving.tolerations
        ]
    if serving.affinity:
        out["affinity"] = serving.affinity.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if serving.batching:
        out["batcher"] = {"maxBatchSize": serving.batching.max_batch_size}
        if serving.batching.max_latency_ms is not None:
            out["batcher"]["maxLatency"] = serving.batching.max_latency_ms
    return out


def scaling(serving: ServingSpec) -> dict[str, Any]:
    """Give the fields of a predictor that say how many replicas it has."""
    out: dict[str, Any] = {"minReplicas": serving.min_replicas}
    most = serving.max_replicas or max(serving.min_replicas, 1)
    out["maxReplicas"] = most
    wanted = serving.autoscaling
    if wanted is None or wanted.scaler == "None":
        return out
    if wanted.scaler == "KEDA":
        return {**out, "autoScaling": {"metrics": [_keda_metric(wanted)]}}
    if wanted.metric:
        out["scaleMetric"] = wanted.metric
    if wanted.target is not None:
        out["scaleTarget"] = wanted.target
    return out


def _model(revision: Revision, serving: ServingSpec) -> dict[str, Any]:
    model_format = {"name": revision.format}
    if revision.format_version:
        model_format["version"] = revision.format_version
    environment = [
        {"name": variable.name, "value": _escape_template(escape_expansion(variable.value))}
        for variable in serving.env
    ]
    out: dict[str, Any] = {
        "modelFormat": model_format,
        "storageUri": revision.storage_uri,
        "env": [*environment, {"name": _REVISION_VARIABLE, "value": revision.revision}],
    }
    if serving.runtime:
        out["runtime"] = serving.runtime
    resources = _resources(serving)
    if resources:
        out["resources"] = resources
    return out


def _escape_template(text: str) -> str:
    """Write `text` so that KServe takes no part of it for a program of its own.

    It writes the model's container as JSON, executes that as a template of Go's with the InferenceService's metadata,
    and reads what comes out. A template has variables and can make gigabytes of a few bytes.
    Source: KServe 0.21, ReplacePlaceholders; Go, text/template.
    """
    return text.replace("{{", "{{`{{`}}")


def _resources(serving: ServingSpec) -> dict[str, dict[str, str]]:
    requests: Mapping[str, str] = serving.resources.requests if serving.resources else {}
    limits: Mapping[str, str] = serving.resources.limits if serving.resources else {}
    # The scheduler takes the limit of an extended resource for its request too.
    gpus = {serving.gpu.resource_name: str(serving.gpu.count)} if serving.gpu else {}
    wanted = {"requests": {**requests}, "limits": {**limits, **gpus}}
    return {kind: quantities for kind, quantities in wanted.items() if quantities}


def _keda_metric(scaling: Autoscaling) -> dict[str, Any]:
    if scaling.prometheus is not None:
        source = {
            "backend": "prometheus",
            "serverAddress": scaling.prometheus.address,
            "query": scaling.prometheus.query,
        }
        target = {"type": "Value", "value": str(scaling.target)}
        return {"type": "External", "external": {"metric": source, "target": target}}
    utilization = {"type": "Utilization", "averageUtilization": scaling.target or 80}
    return {"type": "Resource", "resource": {"name": scaling.metric or "cpu", "target": utilization}}
