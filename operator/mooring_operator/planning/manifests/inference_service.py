"""Builds KServe InferenceServices: revisions in, manifest out.

Source: KServe 0.21, serving.kserve.io/v1beta1; InferenceServiceSpec.canary for Standard mode,
predictor.canaryTrafficPercent for Knative mode.
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
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.api.serving import Autoscaling, ServingSpec
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.manifests.pods import escape_expansion
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owner_reference

_MODE = "serving.kserve.io/deploymentMode"
_SCALER = "serving.kserve.io/autoscalerClass"
_SCALER_CLASSES = {None: "hpa", "HPA": "hpa", "KEDA": "keda", "None": "none"}
_REVISION_VARIABLE = "MOORING_REVISION"


def serve(owner: Owner, stable: Revision) -> Manifest:
    """Give the service in which one revision has all traffic."""
    return _service(owner, stable, {"predictor": predictor(stable, named=True, scaled=True)})


def split(owner: Owner, stable: Revision, candidate: Candidate) -> Manifest:
    """Give the service in which `candidate` has its weight of the traffic, and `stable` the rest."""
    if candidate.serving_spec.mode == "Knative":
        latest = predictor(candidate, named=False, scaled=True)
        return _service(owner, candidate, {"predictor": {**latest, "canaryTrafficPercent": candidate.weight}})
    canary = predictor(candidate, named=True, scaled=False)
    # KServe's schema demands a name in a canary's model, and its webhook demands that it is empty.
    canary["model"]["name"] = ""
    if candidate.weight == 100:
        # As many replicas as stable has, so that the promotion moves no pod.
        canary["minReplicas"] = min(candidate.serving_spec.min_replicas, stable.serving_spec.min_replicas)
    return _service(
        owner,
        stable,
        {
            "predictor": predictor(stable, named=True, scaled=True),
            "canary": [{"trafficPercent": candidate.weight, "predictor": canary}],
        },
    )


def reject(owner: Owner, stable: Revision, rejected: Revision) -> Manifest:
    """Give the service in which `rejected` has no traffic any more.

    Knative keeps the rejected revision as the latest, at 0 percent: writing the stable one again
    would start a third revision while the rejected one still answers.
    """
    if rejected.serving_spec.mode == "Knative":
        latest = predictor(rejected, named=False, scaled=True)
        return _service(owner, rejected, {"predictor": {**latest, "canaryTrafficPercent": 0}})
    return serve(owner, stable)


def predictor(revision: Revision, *, named: bool, scaled: bool) -> dict[str, Any]:
    """Give KServe's predictor for a revision; a canary's is not `scaled`: its replicas follow its share."""
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
    if named and revision.workload and serving.mode == "Standard":
        out["name"] = revision.workload
    if scaled:
        out.update(_scaling(serving))
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


def _service(owner: Owner, shown: Revision, spec: dict[str, Any]) -> Manifest:
    serving = shown.serving_spec
    annotations = {_MODE: serving.mode, APPLIED_ANNOTATION: fingerprint(spec)}
    if serving.mode == "Standard":
        annotations[_SCALER] = _SCALER_CLASSES[serving.autoscaling.scaler if serving.autoscaling else None]
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
            "annotations": annotations,
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": spec,
    }


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


def _scaling(serving: ServingSpec) -> dict[str, Any]:
    out: dict[str, Any] = {"minReplicas": serving.min_replicas}
    most = serving.max_replicas or max(serving.min_replicas, 1)
    out["maxReplicas"] = most
    scaling = serving.autoscaling
    if scaling is None or scaling.scaler == "None":
        return out
    if scaling.scaler == "KEDA":
        return {**out, "autoScaling": {"metrics": [_keda_metric(scaling)]}}
    if scaling.metric:
        out["scaleMetric"] = scaling.metric
    if scaling.target is not None:
        out["scaleTarget"] = scaling.target
    return out


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
