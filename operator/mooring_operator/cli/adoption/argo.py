"""The ModelDeployment for a Rollout of Argo's, as far as it serves a model.

Source: Argo Rollouts 1.8, argoproj.io/v1alpha1.
"""

from collections.abc import Iterator
from datetime import timedelta

from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.cli.adoption.adopted import AdoptedDeployment, Object
from mooring_operator.cli.adoption.argo_routes import ab_test_of, shadow_of
from mooring_operator.cli.adoption.argo_steps import steps_of, templates_of
from mooring_operator.cli.adoption.durations import duration_text, seconds_of
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.forms import takes
from mooring_operator.cli.adoption.pods import REASONS as POD_REASONS
from mooring_operator.cli.adoption.pods import deadline_of, serving_of_template, template_of_target
from mooring_operator.cli.adoption.serving import valid
from mooring_operator.cli.adoption.steps import ALL_AT_ONCE
from mooring_operator.cli.errors import CliError

_MOST_REVISIONS = 10
_SERVICE = "callers use status.url, and Mooring makes its own Services"
_PODS_OF_ONE_SIDE = (
    "the labels and annotations of pods are constant for their life: write them in spec.serving"
)
_SCALING_DOWN = "pods of a revision that lost its traffic go after spec.rollout.scaleDownDelay"
REASONS = {
    **POD_REASONS,
    "activeService": _SERVICE,
    "previewService": "the preview has its own address: Service NAME-preview, or host name NAME-preview",
    "canaryService": _SERVICE,
    "stableService": _SERVICE,
    "pingPong": _SERVICE,
    "trafficRouting": "spec.rollout.router says who shifts traffic: name its Gateway in spec.rollout.gateway",
    "maxUnavailable": "the stable revision keeps its pods until the new one carries its share",
    "dynamicStableScale": "write spec.rollout.maxSurge: the stable revision leaves pods as the new one takes over",
    "minPodsPerReplicaSet": "write a step setReplicas",
    "previewReplicaCount": "a preview has all its pods",
    "antiAffinity": "write spec.serving.affinity",
    "canaryMetadata": _PODS_OF_ONE_SIDE,
    "stableMetadata": _PODS_OF_ONE_SIDE,
    "previewMetadata": _PODS_OF_ONE_SIDE,
    "activeMetadata": _PODS_OF_ONE_SIDE,
    "scaleDownDelayRevisionLimit": "write spec.revisionHistoryLimit",
    "abortScaleDownDelaySeconds": _SCALING_DOWN,
    "prePromotionAnalysis": "nobody asks a preview: write steps webhook or job in strategy Canary, after setWeight: 0",
    "postPromotionAnalysis": "write spec.rollout.analysis.afterPromotion",
    "experiment": "no revision runs beside a rollout's two: write a step job",
    "plugin": "write a step webhook or job",
    "replicaProgressThreshold": "a revision gets as much of its weight as its ready pods carry",
    "minReadySeconds": "write a step pause",
    "rollbackWindow": "going back to a kept revision takes no steps: spec.revisionHistoryLimit",
    "paused": "mooring pause stops a rollout",
    "restartAt": "a ModelDeployment restarts no pods",
    "successfulRunHistoryLimit": "there are no AnalysisRuns",
    "unsuccessfulRunHistoryLimit": "there are no AnalysisRuns",
}


def adopt_rollout(item: Object, model: Object, target: Object | None = None) -> AdoptedDeployment:
    """Give the ModelDeployment for a Rollout whose pods serve `model`.

    target: what ``spec.workloadRef`` names, where it was found.

    Raises:
        CliError: a field has another type than its definition says.
    """
    spec = Fields(item.get("spec"), "spec")
    rollout = _rollout(spec.part("strategy"))
    rollout |= deadline_of(spec)
    spec.flag("progressDeadlineAbort")  # A deadline that is missed is rolled back here in any case.
    spec.any("selector")  # Which pods are its own is for KServe to say.
    serving, told = _pods(spec, target)
    out = {"model": model, **({"serving": serving} if serving else {}), "rollout": rollout, **_history(spec)}
    metadata = item["metadata"]
    left_out = (*spec.left_out(REASONS), *told)
    return AdoptedDeployment(metadata["name"], metadata.get("namespace") or "", out, left_out)


def _rollout(strategy: Fields) -> Object:
    if {"blueGreen", "canary"} <= {*strategy.names}:
        raise CliError(f"{strategy.place}: has blueGreen and canary; Argo takes one of them")
    if "blueGreen" in strategy.names:
        return _blue_green(strategy.part("blueGreen"))
    if "canary" not in strategy.names:
        strategy.tell("", "has neither canary nor blueGreen; the rollout takes all traffic at once")
        return {"steps": [ALL_AT_ONCE]}
    return _canary(strategy.part("canary"))


def _blue_green(strategy: Fields) -> Object:
    rollout: Object = {"strategy": "BlueGreen", **_scale_down_delay(strategy)}
    seconds = strategy.whole("autoPromotionSeconds") or 0
    if strategy.flag("autoPromotionEnabled", default=True):
        # At once is not to be had here: the shortest preview is a second.
        rollout["blueGreen"] = {"promoteAfter": duration_text(timedelta(seconds=min(seconds, 10**8)))}
    elif seconds:
        strategy.tell("autoPromotionSeconds", "Argo ignores it while autoPromotionEnabled is false")
    return rollout


def _canary(canary: Fields) -> Object:
    steps = canary.parts("steps")
    rollout = {**_max_surge(canary), **_scale_down_delay(canary)}
    if (test := ab_test_of(steps)) is not None:
        return {"strategy": "ABTest", "abTest": test, **rollout, **_background(canary)}
    shadow, rest = shadow_of(steps)
    found, analysed, changed = steps_of(rest, shadowed=shadow is not None)
    if changed:
        canary.tell("steps", changed)
    if shadow is not None:
        rollout = {"strategy": "Shadow", "shadow": shadow, **rollout}
    analysis = _background(canary) or ({"analysis": {}} if analysed else {})
    return {"steps": found, **rollout, **analysis}


def _background(canary: Fields) -> Object:
    """Give an analysis for the one that runs beside the steps, by templates that are other objects."""
    if "analysis" not in canary:
        return {}
    canary.tell(
        "analysis",
        f"{templates_of(canary.only('analysis'))}; error rates are compared with the stable revision's",
    )
    return {"analysis": {}}


def _max_surge(canary: Fields) -> Object:
    surge = canary.any("maxSurge")
    if surge is None:
        return {}
    if not takes(RolloutSpec, {"maxSurge": str(surge)}):
        canary.tell("maxSurge", f"{surge!r:.20} is not a number of pods above 0, or a percentage up to 100%")
        return {}
    return {"maxSurge": str(surge)}


def _scale_down_delay(strategy: Fields) -> Object:
    delay = strategy.whole("scaleDownDelaySeconds")
    if delay is None or (found := seconds_of(delay)) is None:
        return {}
    return {"scaleDownDelay": duration_text(found)}


def _history(spec: Fields) -> Object:
    limit = spec.whole("revisionHistoryLimit")
    if limit is None:
        return {}
    kept = min(max(limit, 0), _MOST_REVISIONS)
    if kept != limit:
        spec.tell("revisionHistoryLimit", f"{limit} becomes {kept}: 0 to {_MOST_REVISIONS} are allowed")
    return {"revisionHistoryLimit": kept}


def _pods(spec: Fields, target: Object | None) -> tuple[Object, Iterator[str]]:
    """Give ``spec.serving`` of the Rollout's own template, or of that of the workload that it names."""
    template = spec.part("template")
    told: Iterator[str] = iter(())
    if "workloadRef" in spec:
        name = spec.only("workloadRef").text("name")
        if target is None:
            spec.tell("workloadRef", f"what the pods are like stands in {name}, which could not be read")
        template, told = template_of_target(target or {}, REASONS)
    serving = serving_of_template(template)
    replicas = spec.whole("replicas")
    if replicas is None or replicas == 1:
        return serving, told
    scaled = valid({**serving, "minReplicas": replicas})
    if "minReplicas" not in scaled or replicas == 0:
        spec.tell("replicas", f"{replicas} is not from 1 to 1000")
        return serving, told
    return scaled, told
