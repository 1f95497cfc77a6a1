"""Builds the InferenceService of one revision: a revision in, a manifest out.

Source: KServe 0.21, serving.kserve.io/v1beta1. Whatever changes in the metadata of an InferenceService, or in its
predictor's beyond the scaling, starts its pods anew: all of it but the scaling is the same for the revision's life.
"""

from collections.abc import Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.collecting import logger_of
from mooring_operator.adapters.routers.inference_services.running import (
    MODE_ANNOTATION,
    SCALER_ANNOTATION,
    replicas_of,
)
from mooring_operator.api.names import DEPLOYMENT_LABEL, REVISION_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import identity
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owned_labels, owner_reference
from mooring_operator.planning.rollout.capturing import collects

LONGEST_NAMES = 42
"""Characters of a ModelDeployment's name and namespace together: both are in a host name of KServe's, a DNS label."""
LONGEST_NAME = 38
"""Characters of a ModelDeployment's name: it is in a label's value of KServe's, beside the revision's."""

STOP_ANNOTATION = "serving.kserve.io/stop"
_VISIBILITY_LABEL = "networking.kserve.io/visibility"
_MODEL_NAME = "MLSERVER_MODEL_NAME"
_BOUNDS = ("minReplicas", "maxReplicas")

_SCALER_CLASSES = {None: "hpa", "HPA": "hpa", "KEDA": "keda", "None": "none"}


def name_of(owner: Owner, revision: Revision) -> str:
    """Give the name of a revision's InferenceService, and of the copy of its runtime."""
    if (adopted := revision.adopted_service) is not None:
        return adopted.name
    return f"{owner.name}-{revision.workload or identity.workload_name(revision.revision)}"


def scaler_class(serving: ServingSpec) -> str:
    """Give KServe's word for who scales."""
    return _SCALER_CLASSES[serving.autoscaling.scaler if serving.autoscaling else None]


def revision_service(
    owner: Owner,
    revision: Revision,
    *,
    pods: int | None,
    exact: bool = False,
    logger: Mapping[str, Any] | None = None,
) -> Manifest:
    """Give the InferenceService of a revision that has at least `pods` pods, or as its own scaling says for None.

    exact: it has no more than `pods` either, whatever its own scaling says.
    logger: the payload logger that is there and somebody else's; it stays.
    """
    serving = revision.serving_spec
    annotations = {MODE_ANNOTATION: "Standard", SCALER_ANNOTATION: scaler_class(serving)}
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
                **owned_labels(owner.name),
                # No route, Ingress or VirtualService of KServe's, from the first moment on: routes are the routers'.
                _VISIBILITY_LABEL: "cluster-local",
                REVISION_LABEL: revision.revision,
            },
            "annotations": annotations,
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "predictor": _predictor(owner, revision, pods, exact=exact, logger=logger),
            **{name: _asleep(part, pods) for name, part in manifests.components(revision).items()},
        },
    }


def is_as_adopted(service: Mapping[str, Any], revision: Revision) -> bool:
    """Whether an InferenceService is the very one that the revision was taken over with."""
    adopted = revision.adopted_service
    return adopted is not None and service["metadata"]["uid"] == adopted.uid


def adopted_service(
    owner: Owner, revision: Revision, there: Mapping[str, Any], *, pods: int | None, exact: bool = False
) -> Manifest:
    """Give what Mooring says of an InferenceService that was taken over: whose it is, and how many pods it has.

    Anything else would start its pods anew.
    """
    metadata: dict[str, Any] = {
        "name": there["metadata"]["name"],
        "namespace": owner.namespace,
        "ownerReferences": [owner_reference(owner)],
    }
    if scaler_class(revision.serving_spec) == "keda" and pods == 0:
        metadata["annotations"] = {STOP_ANNOTATION: "true"}
    predictor = _scaling_as_it_is(there["spec"]["predictor"], revision, pods, exact=exact)
    said = {"transformer": revision.serving_spec.transformer, "explainer": revision.serving_spec.explainer}
    parts = {name: _asleep(_least(part), pods) for name, part in said.items() if part is not None}
    return {
        "apiVersion": there["apiVersion"],
        "kind": there["kind"],
        "metadata": metadata,
        "spec": {"predictor": predictor, **parts},
    }


def _scaling_as_it_is(
    predictor: Mapping[str, Any], revision: Revision, pods: int | None, *, exact: bool
) -> dict[str, Any]:
    """Give the fields that say how many pods there are, those that are there where they mean the same."""
    wanted = scaling_of(revision.serving_spec, pods, exact=exact)
    bounds = (wanted.pop("minReplicas"), wanted.pop("maxReplicas"))
    if bounds == replicas_of(predictor):
        return {**{name: predictor[name] for name in _BOUNDS if predictor.get(name) is not None}, **wanted}
    return {**dict(zip(_BOUNDS, bounds, strict=True)), **wanted}


def _least(component: Mapping[str, Any]) -> dict[str, Any]:
    return {"minReplicas": component["minReplicas"]} if "minReplicas" in component else {}


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


def _predictor(
    owner: Owner,
    revision: Revision,
    pods: int | None,
    *,
    exact: bool,
    logger: Mapping[str, Any] | None,
) -> dict[str, Any]:
    out = {
        **manifests.predictor(revision),
        **scaling_of(revision.serving_spec, pods, exact=exact),
    }
    if collects(revision):
        out["logger"] = dict(logger or logger_of(owner, name_of(owner, revision)))
    # What Services select pods by: all of the deployment's, or one revision's.
    out["labels"] = {**out["labels"], DEPLOYMENT_LABEL: owner.name, REVISION_LABEL: revision.revision}
    if (runtime := revision.runtime) is not None and "model" in out:
        out["model"] = {**out["model"], "runtime": name_of(owner, revision)}
        environment = out["model"].get("env", [])
        if runtime.names_model and all(variable["name"] != _MODEL_NAME for variable in environment):
            # KServe says the InferenceService's name there, which differs with every revision.
            out["model"]["env"] = [*environment, {"name": _MODEL_NAME, "value": owner.name}]
    return out
