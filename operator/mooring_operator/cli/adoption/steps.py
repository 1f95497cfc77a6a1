"""Steps of ``spec.rollout`` as they come from others': their weights ascend to 100, and they are few."""

from mooring_operator.cli.adoption.adopted import Object

MOST_STEPS = 30
ALL_AT_ONCE: Object = {"setWeight": 100}


def weight_before(steps: list[Object]) -> int:
    """Give the last weight of steps, -1 where there is none."""
    return next((int(step["setWeight"]) for step in reversed(steps) if "setWeight" in step), -1)


def ended(steps: list[Object]) -> tuple[list[Object], str]:
    """Give the steps up to where all traffic is the new revision's, and what was changed for it."""
    whole = steps if weight_before(steps) == 100 else [*steps, ALL_AT_ONCE]
    if len(whole) <= MOST_STEPS:
        return whole, ""
    kept = whole[: MOST_STEPS - 1]
    if weight_before(kept) != 100:
        kept = [*kept, ALL_AT_ONCE]
    return kept, f"{len(whole)} steps; {MOST_STEPS} are allowed, and the last but one are left out"
