"""Steps of a canary of Argo Rollouts, as steps of ``spec.rollout``."""

from collections.abc import Callable
from datetime import timedelta

from mooring_operator.api.rollout import Step
from mooring_operator.cli.adoption.adopted import Object
from mooring_operator.cli.adoption.durations import duration_text, seconds_of
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.forms import takes
from mooring_operator.cli.adoption.steps import ended, weight_before

_MOST_PERCENT = 100


def steps_of(given: list[Fields], *, shadowed: bool) -> tuple[list[Object], bool, str]:
    """Give the steps, whether one of them awaits a verdict, and what was changed to have them end with all traffic.

    shadowed: the new revision answers copies before the first of them.
    """
    steps: list[Object] = []
    for step in given:
        if (taken := _step(step, weight_before(steps), shadowed)) is not None:
            steps.append(taken)
    whole, changed = ended(steps)
    return whole, any("analyse" in step for step in whole), changed


def templates_of(analysis: Fields) -> str:
    """Name the AnalysisTemplates of an analysis, which say what it measures."""
    names = ", ".join(one.text("templateName") or "?" for one in analysis.parts("templates"))
    return f"what it measures stands in AnalysisTemplates {names}" if names else "it names no template"


def length_of_pause(step: Fields) -> timedelta | None:
    """Give how long a pause lasts; None where it waits for a person, or for nobody knows how long."""
    duration = step.part("pause").any("duration")
    # A bare number is one of seconds.
    found = None if duration is None else seconds_of(duration)
    if found is None and duration is not None:
        step.tell("pause", f"{duration!r:.40} is not a duration; it waits until approved")
    return found


def scale_of(step: Fields) -> str:
    """Give how many pods the new revision has, as a number or a share; empty where its weight says it again."""
    scale = step.part("setCanaryScale")
    replicas, weight = scale.whole("replicas"), scale.whole("weight")
    matching = scale.flag("matchTrafficWeight")
    said = str(replicas) if replicas is not None else "" if weight is None else f"{weight}%"
    if takes(Step, {"setReplicas": said}):
        return said
    why = (
        "that is what pods follow in any case"
        if matching
        else f"{said or 'nothing'} is not 1 or more, or 1% to 100%"
    )
    step.tell("setCanaryScale", why)
    return ""


def _step(step: Fields, weight: int, shadowed: bool) -> Object | None:
    if len(step.names) != 1:
        step.tell("", f"has {' and '.join(step.names) or 'nothing'}; a step is one thing")
        return None
    name = step.names[0]
    if name == "analysis":
        return _analysis(step, weight, shadowed)
    take = _TAKEN.get(name)
    return take(step, weight) if take is not None else None


def _weight(step: Fields, before: int) -> Object | None:
    weight = step.whole("setWeight")
    if weight is None or not 0 <= weight <= _MOST_PERCENT:
        step.tell("setWeight", f"{weight} is not a percentage")
    elif weight <= before:
        step.tell("setWeight", f"{weight} after {before}: weights ascend here")
    else:
        return {"setWeight": weight}
    return None


def _pause(step: Fields, _: int) -> Object | None:
    length = length_of_pause(step)
    return {"pause": {} if length is None else {"duration": duration_text(length)}}


def _scale(step: Fields, _: int) -> Object | None:
    said = scale_of(step)
    return {"setReplicas": said} if said else None


def _analysis(step: Fields, weight: int, shadowed: bool) -> Object | None:
    """Wait for a verdict on error rates: templates are other objects, and measure what they like."""
    told = templates_of(step.only("analysis"))
    if not (0 < weight < _MOST_PERCENT or (shadowed and weight < 0)):
        step.tell("analysis", f"{told}; with {max(weight, 0)}% of traffic there is nothing to compare")
        return None
    step.tell(
        "analysis", f"{told}; the step awaits a verdict on error rates, compared with the stable revision's"
    )
    return {"analyse": {}}


def _route(step: Fields, _: int) -> Object | None:
    name = step.names[0]
    if len(Fields(step.peek(name), f"{step.place}.{name}").names) == 1:
        step.tell(name, "ends a route that is not carried over")
    elif name == "setHeaderRoute":
        step.tell(name, "strategy ABTest sends by headers, beside one weight, until it is decided")
    else:
        step.tell(
            name,
            "strategy Shadow copies all requests, or a percentage of them, before the weights and no longer",
        )
    return None


_TAKEN: dict[str, Callable[[Fields, int], Object | None]] = {
    "setWeight": _weight,
    "pause": _pause,
    "setCanaryScale": _scale,
    "setHeaderRoute": _route,
    "setMirrorRoute": _route,
}
