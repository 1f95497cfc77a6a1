"""The ModelDeployment for a Canary of Flagger's, as far as it serves a model.

Source: Flagger 1.40, flagger.app/v1beta1.
"""

from collections.abc import Iterator

from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.cli.adoption.adopted import AdoptedDeployment, Object
from mooring_operator.cli.adoption.durations import seconds_of
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.flagger_metrics import analysis_of
from mooring_operator.cli.adoption.flagger_rollout import rollout_of
from mooring_operator.cli.adoption.forms import takes
from mooring_operator.cli.adoption.pods import REASONS as POD_REASONS
from mooring_operator.cli.adoption.pods import deadline_of, serving_of_template, template_of_target
from mooring_operator.cli.adoption.serving import valid
from mooring_operator.cli.adoption.steps import ALL_AT_ONCE

_ROUTE = "Mooring's route has the paths of the inference protocols; write a route of your own before it"
_MESH = "spec.rollout.router says who shifts traffic: name its Gateway in spec.rollout.gateway"
_SERVICE = "callers use status.url, and Mooring makes its own Services"
_PODS = "a revision gets as much of its weight as its ready pods carry"
REASONS = {
    **POD_REASONS,
    "provider": _MESH,
    "ingressRef": _MESH,
    "routeRef": _MESH,
    "upstreamRef": _MESH,
    "gateways": _MESH,
    "meshName": _MESH,
    "backends": _MESH,
    "delegation": _MESH,
    "metricsServer": "the operator counts answers, or reads its own MOORING_PROMETHEUS",
    "autoscalerRef": "write spec.serving.autoscaling, minReplicas and maxReplicas",
    "revertOnDeletion": "kubectl delete --cascade=orphan lets run on what runs",
    "suspend": "mooring pause stops a rollout",
    **dict.fromkeys(("port", "portName", "targetPort", "portDiscovery", "appProtocol", "name"), _SERVICE),
    **dict.fromkeys(("apex", "primary", "canary"), _SERVICE),
    **dict.fromkeys(("match", "rewrite", "retries", "headers", "corsPolicy", "trafficPolicy"), _ROUTE),
    "interval": "answers are counted one by one, from the first on",
    "muteAlert": "nobody is alerted",
    "threshold": "a limit that is passed beyond doubt rolls back: write spec.rollout.analysis.falseRollback",
    "stepWeightPromotion": "a promotion moves no pod, so that its traffic needs no steps",
    "primaryReadyThreshold": _PODS,
    "canaryReadyThreshold": _PODS,
    "alerts": "watch the Events and metrics of the ModelDeployment",
    "sessionAffinity": "write spec.rollout.abTest.sticky, in strategy ABTest",
    "mirrorWeight": "mirror is off",
    "stepWeight": "iterations go without weights",
    "stepWeights": "iterations go without weights",
    "maxWeight": "iterations go without weights",
}


def adopt_canary(item: Object, model: Object, target: Object | None = None) -> AdoptedDeployment:
    """Give the ModelDeployment for a Canary whose target's pods serve `model`.

    target: the workload that ``spec.targetRef`` names, where it was found.

    Raises:
        CliError: a field has another type than its definition says.
    """
    spec, metadata = Fields(item.get("spec"), "spec"), item["metadata"]
    service = spec.part("service")
    rollout = {**_rollout(spec), **deadline_of(spec), **_entrance(service)}
    serving, told = _serving(spec, service, target)
    out = {"model": model, **({"serving": serving} if serving else {}), "rollout": rollout}
    left_out = (*spec.left_out(REASONS), *told)
    return AdoptedDeployment(metadata["name"], metadata.get("namespace") or "", out, left_out)


def _rollout(spec: Fields) -> Object:
    name = "analysis" if "analysis" in spec or "canaryAnalysis" not in spec else "canaryAnalysis"
    if spec.flag("skipAnalysis"):
        if name in spec:
            spec.tell(name, "spec.skipAnalysis has it left out: all traffic moves at once")
        return {"steps": [ALL_AT_ONCE]}
    analysis = spec.part(name)
    rollout = rollout_of(analysis)
    judged = analysis_of(analysis, answers=rollout.get("strategy") != "BlueGreen")
    return {**rollout, **({"analysis": judged} if judged else {})}


def _entrance(service: Fields) -> Object:
    """Give the fields of ``spec.rollout`` for the Gateway and the host name that callers come by."""
    out: Object = {}
    for name, field, take in (("gatewayRefs", "gateway", _gateway), ("hosts", "host", lambda host: host)):
        given = service.list(name)
        sayable = [said for one in given if _fits(field, said := take(one))]
        if sayable:
            out[field] = sayable[0]
        if len(given) > 1 or len(sayable) < len(given):
            service.tell(name, f"spec.rollout.{field} is one, {_FORMS[field]}")
    return out


_FORMS = {
    "gateway": "a Gateway with name and namespace",
    "host": "a host name from outside of the cluster, without *",
}


def _gateway(reference: object) -> object:
    """Give the Gateway that a reference of the Gateway API names; one of its listeners cannot be said."""
    if not isinstance(reference, dict) or set(reference) - {"name", "namespace", "kind", "group"}:
        return None
    if reference.get("kind", "Gateway") != "Gateway":
        return None
    return {field: reference[field] for field in ("name", "namespace") if reference.get(field)}


def _fits(field: str, said: object) -> bool:
    return said is not None and takes(RolloutSpec, {field: said})


def _serving(spec: Fields, service: Fields, target: Object | None) -> tuple[Object, Iterator[str]]:
    reference = spec.only("targetRef")
    if target is None:
        named = f"{reference.text('kind') or 'the target'} {reference.text('name')}"
        spec.tell("targetRef", f"what the pods are like stands in {named}, which could not be read")
    template, told = template_of_target(target or {}, REASONS)
    serving = serving_of_template(template)
    if (timeout := service.text("timeout")) and (found := seconds_of(timeout)) is not None:
        said = valid({**serving, "timeout": int(found.total_seconds())})
        if "timeout" in said:
            return said, told
    if timeout:
        service.tell("timeout", f"{timeout!r:.40} is not from 1s to 24h")
    return serving, told
