"""What a strategy demands of a router, by what the router says of itself."""

from collections.abc import Iterator

from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.planning.routes import Traits
from mooring_operator.planning.strategies.course import Exposure, course_of


def why_unsupported(rollout: RolloutSpec, router: Traits) -> str:
    """Say what of the strategy the router cannot carry out, and the way out; nothing where it can."""
    missing = list(dict.fromkeys(_missing(rollout, router)))
    if not missing:
        return ""
    others = [
        name for name in ("Canary", "BlueGreen", "Shadow", "ABTest", "Recreate") if name != rollout.strategy
    ]
    able = [name for name in others if not _missing_of_name(name, router)]
    way_out = f"it can carry out {', '.join(able)}" if able else "choose a router that can"
    return (
        f"spec.rollout: {rollout.strategy} as it is asked for is more than {router.controller}'s router can carry out: "
        f"it cannot {', and not '.join(missing)}; {way_out}"
    )


def _missing(rollout: RolloutSpec, router: Traits) -> Iterator[str]:
    yield from _missing_of_name(rollout.strategy, router)
    unexposed = [stage for stage in course_of(rollout) if isinstance(stage, Exposure)]
    if rollout.strategy == "Canary" and not router.serves_each:
        if any(stage.weight == 0 for stage in unexposed):
            yield "run a revision without traffic (setWeight 0)"
        if any(step.set_replicas is not None for step in rollout.steps):
            yield "give a revision pods of its own (setReplicas)"
    if rollout.max_surge is not None and not router.serves_each:
        yield "count the pods of each revision (maxSurge)"
    test = rollout.ab_test
    if test is not None and test.matches and not router.matches:
        yield "send requests by a header or a cookie (abTest.matches)"
    if test is not None and test.sticky is not None and not router.sticks:
        yield "keep a caller with a revision (abTest.sticky)"


def _missing_of_name(strategy: str, router: Traits) -> list[str]:
    if strategy == "Canary":
        return []
    missing = [] if router.serves_each else ["serve each revision by itself"]
    if strategy == "BlueGreen" and not router.previews:
        missing.append("give a revision an address of its own before it takes over")
    if strategy == "Shadow" and not router.mirrors:
        missing.append("copy requests")
    return missing
