"""Builds the InferenceService of one revision: a revision in, a manifest out.

Source: KServe 0.21, serving.kserve.io/v1beta1. Whatever changes in the metadata of an InferenceService, or in its
predictor's beyond the scaling, starts its pods anew: all of it but the scaling is the same for the revision's life.
"""

from typing import Any

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE, REVISION_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import identity
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owner_reference

LONGEST_NAMES = 42
"""Characters of a ModelDeployment's name and namespace together: both are in a host name of KServe's, a DNS label."""
LONGEST_NAME = 38
"""Characters of a ModelDeployment's name: it is in a label's value of KServe's, beside the revision's."""

STOP_ANNOTATION = "serving.kserve.io/stop"
_MODE_ANNOTATION = "serving.kserve.io/deploymentMode"
_SCALER_ANNOTATION = "serving.kserve.io/autoscalerClass"
_VISIBILITY_LABEL = "networking.kserve.io/visibility"
_MODEL_NAME = "MLSERVER_MODEL_NAME"

_SCALER_CLASSES = {None: "hpa", "HPA": "hpa", "KEDA": "keda", "None": "none"}


def name_of(owner: Owner, revision: Revision) -> str:
    """Give the name of a revision's InferenceService, and of the copy of its runtime."""
    return f"{owner.name}-{revision.workload or identity.workload_name(revision.revision)}"


def scaler_class(serving: ServingSpec) -> str:
    """Give KServe's word for who scales."""
    return _SCALER_CLASSES[serving.autoscaling.scaler if serving.autoscaling else None]


def revision_service(owner: Owner, revision: Revision, *, pods: int | None, exact: bool = False) -> Manifest:
    """Give the InferenceService of a revision that has at least `pods` pods, or as its own scaling says for None.

    exact: it has no more than `pods` either, whatever its own scaling says.
    """
    serving = revision.serving_spec
    ours = {DEPLOYMENT_LABEL: owner.name, REVISION_LABEL: revision.revision}
    annotations = {_MODE_ANNOTATION: "Standard", _SCALER_ANNOTATION: scaler_class(serving)}
    if scaler_class(serving) == "keda":
        # KEDA would bring pods back by itself. Where there are none, none is started anew by another annotation.
        annotations[STOP_ANNOTATION] = str(pods == 0).lower()
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name_of(owner, revision),
            "namespace": owner.namespace,
            "labels": {
                MANAGED_BY: MANAGED_BY_VALUE,
                "app.kubernetes.io/part-of": "mooring",
                # No route, Ingress or VirtualService of KServe's, from the first moment on: routes are the routers'.
                _VISIBILITY_LABEL: "cluster-local",
                **ours,
            },
            "annotations": annotations,
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "predictor": _predictor(owner, revision, pods, exact=exact),
            **{name: _asleep(part, pods) for name, part in manifests.components(revision).items()},
        },
    }


def scaling_of(serving: ServingSpec, pods: int | None, *, exact: bool = False) -> dict[str, Any]:
    """Give the fields that say how many pods a predictor has; KServe takes them up without a restart."""
    fields = manifests.scaling(serving)
    if pods is None:
        return fields
    if exact or scaler_class(serving) == "none":
        return {**fields, "minReplicas": pods, "maxReplicas": max(pods, 1)}
    least = max(pods, fields["minReplicas"])
    return {**fields, "minReplicas": least, "maxReplicas": max(least, fields["maxReplicas"])}


def _asleep(component: dict[str, Any], pods: int | None) -> dict[str, Any]:
    """Give a transformer or explainer, without pods where its predictor has none."""
    return {**component, "minReplicas": 0} if pods == 0 else component


def _predictor(owner: Owner, revision: Revision, pods: int | None, *, exact: bool) -> dict[str, Any]:
    out = {
        **manifests.predictor(revision),
        **scaling_of(revision.serving_spec, pods, exact=exact),
    }
    # What Services select pods by: all of the deployment's, or one revision's.
    out["labels"] = {**out["labels"], DEPLOYMENT_LABEL: owner.name, REVISION_LABEL: revision.revision}
    if (runtime := revision.runtime) is not None and "model" in out:
        out["model"] = {**out["model"], "runtime": name_of(owner, revision)}
        environment = out["model"].get("env", [])
        if runtime.names_model and all(variable["name"] != _MODEL_NAME for variable in environment):
            # KServe says the InferenceService's name there, which differs with every revision.
            out["model"]["env"] = [*environment, {"name": _MODEL_NAME, "value": owner.name}]
    return out
