"""Steps of Argo Rollouts and of Flagger, as steps of ``spec.rollout``."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from mooring_operator.api.types import format_duration, parse_duration
from mooring_operator.cli.adoption.adopted import Object

MOST_STEPS = 30


def steps_of_argo(canary: Object) -> tuple[list[Object], list[str]]:
    """Give the steps of ``spec.strategy.canary`` of a Rollout, and what has no counterpart."""
    steps: list[Object] = []
    left_out: list[str] = []
    for index, step in enumerate(canary.get("steps") or []):
        place = f"spec.strategy.canary.steps[{index}]"
        taken = _argo_step(step)
        if taken is None:
            left_out.append(f"{place}: {', '.join(step) or 'nothing'}")
        else:
            steps.append(taken)
    ascending, dropped = _ascending(steps)
    left_out += [f"spec.strategy.canary.steps: {text}" for text in dropped]
    left_out += [
        f"spec.strategy.canary.{name}" for name, value in canary.items() if name != "steps" and value
    ]
    return ascending, left_out


def steps_of_flagger(analysis: Object, *, skipped: bool) -> tuple[list[Object], list[str]]:
    """Give the steps that Flagger goes by ``spec.analysis``, and what of it has no counterpart."""
    known = {"interval", "stepWeight", "stepWeights", "maxWeight", "webhooks"}
    left_out = [
        f"spec.analysis.{name}: {_names(value)}" for name, value in analysis.items() if name not in known
    ]
    gates = _gates(analysis.get("webhooks") or [])
    left_out += [
        f"spec.analysis.webhooks: {hook.get('type') or 'rollout'} {hook.get('name', '')}"
        for hook in analysis.get("webhooks") or []
        if hook.get("type") not in _GATES
    ]
    if skipped:
        return [{"setWeight": 100}], left_out
    pause, thinned = _interval(analysis.get("interval"), left_out), _weights(analysis)
    weights, every = _thin(thinned, MOST_STEPS - 1 - len(gates))
    if every > 1:
        left_out.append(
            f"spec.analysis: {len(thinned)} weights would be more than {MOST_STEPS} steps; one in {every} is kept, and "
            f"pauses are {every} times as long"
        )
    steps: list[Object] = (
        [{"approve": {"message": "start the rollout"}}] if "confirm-rollout" in gates else []
    )
    for weight in weights:
        if "confirm-traffic-increase" in gates and weight != weights[0]:
            steps.append({"approve": {"message": f"raise the traffic to {weight}%"}})
        steps += [{"setWeight": weight}, {"pause": {"duration": format_duration(pause * every)}}]
    if "confirm-promotion" in gates:
        steps.append({"approve": {"message": "promote"}})
    ascending, dropped = _ascending(steps)
    return ascending, [*left_out, *(f"spec.analysis: {text}" for text in dropped)]


_GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")


def _gates(webhooks: list[Object]) -> set[str]:
    return {str(hook.get("type")) for hook in webhooks} & set(_GATES)


def _interval(text: Any, left_out: list[str]) -> timedelta:
    try:
        return parse_duration(str(text or "1m"))
    except (ValueError, OverflowError):
        left_out.append(f"spec.analysis.interval: {text!r} is not a duration; the pauses are 1m")
        return timedelta(minutes=1)


def _weights(analysis: Object) -> list[int]:
    most = int(analysis.get("maxWeight") or 100)
    if said := analysis.get("stepWeights"):
        return [int(weight) for weight in said if 0 < int(weight) < 100]
    step = int(analysis.get("stepWeight") or 0)
    return list(range(step, min(most, 99) + 1, step)) if step > 0 else []


def _thin(weights: list[int], room: int) -> tuple[list[int], int]:
    """Give every n-th weight, the last among them, so that each has room for its pause and an approval."""
    every = max(-(-3 * len(weights) // max(room, 1)), 1)
    return weights[::-1][::every][::-1], every


def blue_green_of_argo(strategy: Object) -> tuple[Object, list[str]]:
    """Give the fields of ``spec.rollout`` for ``spec.strategy.blueGreen`` of a Rollout, and what has no counterpart."""
    rollout: Object = {"strategy": "BlueGreen"}
    seconds = strategy.get("autoPromotionSeconds")
    if strategy.get("autoPromotionEnabled", True) or seconds:
        # At once is not to be had here: the shortest preview is a second.
        rollout["blueGreen"] = {"promoteAfter": format_duration(timedelta(seconds=int(seconds or 1)))}
    if delay := strategy.get("scaleDownDelaySeconds"):
        rollout["scaleDownDelay"] = format_duration(timedelta(seconds=int(delay)))
    known = {"autoPromotionEnabled", "autoPromotionSeconds", "scaleDownDelaySeconds"}
    return rollout, [
        f"spec.strategy.blueGreen.{name}" for name, value in strategy.items() if name not in known and value
    ]


def _argo_step(step: Object) -> Object | None:
    if set(step) == {"setWeight"}:
        return {"setWeight": step["setWeight"]}
    if set(step) == {"setCanaryScale"}:
        return _argo_scale(step["setCanaryScale"] or {})
    if set(step) == {"pause"}:
        duration = (step["pause"] or {}).get("duration")
        if duration is None:
            return {"pause": {}}
        # A bare number is one of seconds there.
        text = f"{duration}s" if str(duration).isdecimal() else str(duration)
        try:
            return {"pause": {"duration": format_duration(parse_duration(text))}}
        except (ValueError, OverflowError):
            return None
    return None


def _argo_scale(scale: Object) -> Object | None:
    """Give how many pods the new revision has, unless its weight says it again."""
    if set(scale) == {"replicas"} and isinstance(scale["replicas"], int) and scale["replicas"] > 0:
        return {"setReplicas": str(scale["replicas"])}
    if set(scale) == {"weight"} and isinstance(scale["weight"], int) and 0 < scale["weight"] <= 100:
        return {"setReplicas": f"{scale['weight']}%"}
    return None


def _ascending(steps: list[Object]) -> tuple[list[Object], list[str]]:
    """Give the steps with weights that ascend to 100, and say what was changed for it."""
    kept, dropped, last = [], [], -1
    for step in steps:
        weight = step.get("setWeight")
        if weight is None:
            kept.append(step)
        elif isinstance(weight, int) and last < weight <= 100:
            kept.append(step)
            last = weight
        else:
            dropped.append(f"setWeight {weight} after {max(last, 0)}: weights ascend here")
    if last < 100:
        kept.append({"setWeight": 100})
    if len(kept) > MOST_STEPS:
        dropped.append(f"{len(kept)} steps; {MOST_STEPS} are allowed, and the last but one are left out")
        kept = [*kept[: MOST_STEPS - 1], {"setWeight": 100}]
    return list(_without_repeated_ends(kept)), dropped


def _without_repeated_ends(steps: list[Object]) -> Iterator[Object]:
    """Where steps were cut, 100 may stand among those kept already."""
    done = False
    for step in steps:
        if step == {"setWeight": 100}:
            if done:
                continue
            done = True
        yield step


def _names(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(one.get("name", "?")) if isinstance(one, dict) else str(one) for one in value)
    return str(value)
