"""What an InferenceService's status says, as KServe writes it: from observations, without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.serving.conditions import Condition, ready_condition, render_conditions

Status = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """Why a process does not serve; ``reason`` is one of KServe's failure reasons."""

    reason: str
    message: str
    exit_code: int = 0

    def info(self) -> dict[str, Any]:
        """``lastFailureInfo``."""
        exit_code = {"exitCode": self.exit_code} if self.exit_code else {}
        return {"reason": self.reason, "message": self.message, **exit_code}


@dataclass(frozen=True)
class Observation:
    """What is known about one deployment.

    Attributes:
        name: the deployment's.
        generation: how often what it should run has changed.
        ready: processes of the wanted content that answer.
        available: something answers for it, if only what ran before.
        failure: why the wanted content does not run.
        idle: it is to have no process, as it has: Kubernetes calls that available.
    """

    name: str
    generation: int
    ready: int
    available: bool
    failure: Failure | None = None
    idle: bool = False


@dataclass(frozen=True)
class CanaryObservation:
    """A canary's entry and what is known about it."""

    name: str
    percent: int
    deployment: Observation


def standard_status(
    previous: Mapping[str, Any],
    stable: Observation,
    canaries: Sequence[CanaryObservation],
    *,
    base_url: str,
    namespace: str,
    service: str,
    now: str,
    local: bool = False,
) -> Status:
    """Status in Standard mode.

    Args:
        previous: the status so far; its times and its last failure are kept.
        stable: the stable predictor's deployment.
        canaries: in the order of the spec.
        base_url: address of the namespace on the front, without a slash at its end.
        namespace, service: of the InferenceService.
        now: the time for conditions that change, RFC 3339.
        local: whether others route to it: then it has an address from the start, whatever its pods do.
    """
    predictor = _predictor_ready(previous, stable)
    ingress = Condition("IngressReady", "True") if local else _ingress_ready(previous, predictor)
    conditions = [
        predictor,
        ingress,
        # Where neither is True it has the reason of the later one.
        ready_condition([ingress, predictor]),
        Condition("Stopped", "False", informational=True),
    ]
    if canaries:
        conditions.append(_canaries_ready(canaries))
    component: dict[str, Any] = dict(previous.get("components", {}).get("predictor", {}))
    if predictor.status == "True":
        component["url"] = f"{base_url}/{stable.name}"
    status: Status = {
        "deploymentMode": "Standard",
        # The child Deployment's, as in KServe: not to be compared with metadata.generation.
        "observedGeneration": stable.generation,
        "conditions": render_conditions(conditions, previous.get("conditions", []), now),
        "components": {"predictor": component},
        "modelStatus": model_status(previous, stable),
    }
    if canaries:
        status["canaryStatuses"] = [
            {
                "name": canary.name,
                "ready": canary.deployment.available,
                "trafficPercent": canary.percent,
                # KServe has this field and does not fill it.
                "modelStatus": {"transitionStatus": ""},
            }
            for canary in canaries
        ]
    if ingress.status == "True":
        status |= _addresses(f"{base_url}/{service}", stable.name, namespace)
    return status


def knative_status(
    previous: Mapping[str, Any],
    component: Mapping[str, Any],
    created: Observation,
    *,
    base_url: str,
    namespace: str,
    service: str,
    now: str,
    taken_up: bool = True,
) -> Status:
    """Status in Knative mode; ``component`` is the outcome of ``knative.roll_out``.

    Its traffic is told before Knative's ingress has ``taken_up`` what is asked.
    """
    configuration = _configuration_ready(created)
    routes = "True" if component.get("traffic") and taken_up else "Unknown"
    route = Condition("PredictorRouteReady", routes, informational=True)
    if component.get("traffic") and not taken_up:
        route = replace(route, reason="IngressNotConfigured", message="Ingress has not yet been reconciled.")
    predictor = ready_condition([configuration, route])
    ingress = Condition("IngressReady", "True") if routes == "True" else Condition("IngressReady", "Unknown")
    conditions = [
        Condition("PredictorReady", predictor.status, predictor.reason, predictor.message),
        Condition(
            "PredictorConfigurationReady",
            configuration.status,
            configuration.reason,
            configuration.message,
            True,
        ),
        route,
        Condition(
            "LatestDeploymentReady",
            configuration.status,
            _not_ready("PredictorConfigurationReady", configuration),
            "",
            True,
        ),
        Condition(
            "RoutesReady", routes, "" if routes == "True" else "PredictorRouteReady not ready", "", True
        ),
        Condition("Stopped", "False", informational=True),
        ingress,
    ]
    conditions.append(ready_condition([conditions[0], ingress]))
    rendered = dict(component)
    if predictor.status == "True":
        rendered["url"] = f"{base_url}/{service}-predictor"
    status: Status = {
        "deploymentMode": "Knative",
        "observedGeneration": created.generation,
        "conditions": render_conditions(conditions, previous.get("conditions", []), now),
        "components": {"predictor": rendered},
        "modelStatus": model_status(previous, created),
    }
    if routes == "True":
        status |= _addresses(f"{base_url}/{service}", service, namespace)
    return status


def stopped_status(previous: Mapping[str, Any], mode: str, now: str, *, local: bool = False) -> Status:
    """Status under the stop annotation: all else is cleared, but for the URL of what others route to."""
    predictor = Condition("PredictorReady", "False", "Stopped")
    ingress = Condition("IngressReady", "True") if local else Condition("IngressReady", "False", "Stopped")
    conditions = [predictor, ingress, ready_condition([ingress, predictor])]
    conditions.append(Condition("Stopped", "True", informational=True))
    rendered = render_conditions(conditions, previous.get("conditions", []), now)
    kept = {"url": previous["url"]} if local and "url" in previous else {}
    return {"deploymentMode": mode, "conditions": rendered, "modelStatus": {"transitionStatus": ""}, **kept}


def invalid_status(previous: Mapping[str, Any], mode: str, failure: Failure) -> Status:
    """Status of a spec that KServe's webhook would have refused, or that has no runtime: what ran goes on."""
    states = dict(previous.get("modelStatus", {}).get("states") or {"activeModelState": ""})
    return {
        **previous,
        "deploymentMode": mode,
        "modelStatus": {
            **previous.get("modelStatus", {}),
            "transitionStatus": "InvalidSpec",
            "states": {**states, "targetModelState": "FailedToLoad"},
            "lastFailureInfo": failure.info(),
        },
    }


def model_status(previous: Mapping[str, Any], deployment: Observation) -> dict[str, Any]:
    """``modelStatus``; as in KServe the last failure stays on display after a recovery."""
    before = previous.get("modelStatus", {})
    active = (before.get("states") or {}).get("activeModelState", "")
    if deployment.ready:
        transition, active, target = "UpToDate", "Loaded", "Loaded"
    elif deployment.failure:
        transition, target = "BlockedByFailedLoad", "FailedToLoad"
    else:
        transition, target = "InProgress", "Pending"
    result = {
        "transitionStatus": transition,
        "states": {"activeModelState": active, "targetModelState": target},
        "copies": {"failedCopies": 0, **({"totalCopies": deployment.ready} if deployment.ready else {})},
    }
    failure = deployment.failure.info() if deployment.failure else before.get("lastFailureInfo")
    return {**result, "lastFailureInfo": failure} if failure else result


def _predictor_ready(previous: Mapping[str, Any], stable: Observation) -> Condition:
    if not stable.available and not stable.idle:
        if not previous.get("conditions"):
            # KServe has made the Deployment, of which Kubernetes has said nothing yet.
            return Condition("PredictorReady", "False")
        message = "Deployment does not have minimum availability."
        return Condition("PredictorReady", "False", "MinimumReplicasUnavailable", message)
    if stable.ready or stable.idle:
        message = f'ReplicaSet "{stable.name}" has successfully progressed.'
        return Condition("PredictorReady", "True", "NewReplicaSetAvailable", message)
    return Condition(
        "PredictorReady", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
    )


def _ingress_ready(previous: Mapping[str, Any], predictor: Condition) -> Condition:
    """Routes are made when the predictor is first ready, looked at after that, and stay."""
    if previous.get("url"):
        return Condition("IngressReady", "True")
    if predictor.status != "True":
        made = ("Predictor Deployment NotReady", "Predictor HTTPRoute not created")
        return Condition("IngressReady", "False", *made)
    before = {entry["type"]: entry["status"] for entry in previous.get("conditions") or []}
    if before.get("PredictorReady") != "True":
        return Condition("IngressReady", "False", "ParentStatusNotAvailable", "Predictor HttpRouteNotReady")
    return Condition("IngressReady", "True")


def _canaries_ready(canaries: Sequence[CanaryObservation]) -> Condition:
    unready = [canary for canary in canaries if not canary.deployment.available]
    if not unready:
        return Condition("CanaryPredictorReady", "True", "AllCanariesReady", informational=True)
    told = [f"{c.name}: {c.deployment.failure.message}" for c in unready if c.deployment.failure]
    return Condition("CanaryPredictorReady", "False", "CanariesNotReady", "; ".join(told), informational=True)


def _configuration_ready(created: Observation) -> Condition:
    if created.ready:
        return Condition("ConfigurationsReady", "True")
    if created.failure:
        message = f'Revision "{created.name}" failed with message: {created.failure.message}.'
        return Condition("ConfigurationsReady", "False", "RevisionFailed", message)
    return Condition("ConfigurationsReady", "Unknown")


def _not_ready(condition_type: str, condition: Condition) -> str:
    return "" if condition.status == "True" else f"{condition_type} not ready"


def _addresses(url: str, entry: str, namespace: str) -> Status:
    """Where it answers: by the front, as by KServe's Gateway, and by a Service of the cluster's inside."""
    return {"url": url, "address": {"url": f"http://{entry}.{namespace}.svc.cluster.local"}}
