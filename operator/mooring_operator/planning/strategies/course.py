"""The course of a rollout: what its strategy exposes the new revision to, and waits for, one after the other."""

from dataclasses import dataclass
from datetime import datetime

from mooring_operator.api.analysis import Analyse
from mooring_operator.api.checks import Check
from mooring_operator.api.rollout import Approve, Pause, RolloutSpec, Step
from mooring_operator.api.strategies import ABTest, BlueGreen, Shadow


@dataclass(frozen=True)
class Exposure:
    """What a new revision is exposed to.

    weight: percent of the requests that no match takes.
    replicas: pods that it has whatever the weight, a number or a percentage of stable's; empty for the weight's.
    mirror: percent of the requests that it gets a copy of.
    matched: whether the matches of ``spec.rollout.abTest`` hold.
    """

    weight: int = 0
    replicas: str = ""
    mirror: int = 0
    matched: bool = False


@dataclass(frozen=True)
class Trial:
    """Two revisions side by side until somebody decides, or until a time: `promotes` where nobody has."""

    test: ABTest

    def ends(self, began: datetime) -> datetime | None:
        """When it ends by itself; None where it does not."""
        if self.test.duration is not None:
            return began + self.test.duration
        return self.test.until


ALL = 100
"""Percent of the traffic that the last stage leads to."""

Stage = Exposure | Pause | Approve | Analyse | Trial | Check


def course_of(rollout: RolloutSpec) -> tuple[Stage, ...]:
    """Give the stages in order; what follows the last one is all of the traffic."""
    steps = _by_steps(rollout.steps)
    match rollout.strategy:
        case "BlueGreen":
            return (Exposure(replicas="100%"), *_previewed(rollout.blue_green or BlueGreen(), steps))
        case "Shadow":
            shadow = rollout.shadow or Shadow()
            copied = Exposure(replicas=f"{shadow.percent}%", mirror=shadow.percent)
            return (copied, Pause(duration=shadow.duration), *steps)
        case "ABTest":
            test = rollout.ab_test or ABTest()
            return (Exposure(test.weight, test.replicas, matched=True), Trial(test), *steps)
        case "Recreate" | "Canary":
            return steps


def first_with(course: tuple[Stage, ...], weight: int) -> int:
    """Give the index of the first stage that exposes to no less than `weight` percent."""
    found = (i for i, stage in enumerate(course) if isinstance(stage, Exposure) and stage.weight >= weight)
    return next(found, len(course))


def place_in(course: tuple[Stage, ...], weight: int, *, gives_back: bool) -> int:
    """Give the index of the stage at which a revision goes on that has `weight` percent by another course.

    It is the first that exposes to the most that is no more than that: whatever stands before the next share of the
    traffic, an approval or a preview, is not passed over. Where nothing can be given back at once, it is the stage
    behind: the stable revision has left the pods for it.
    """
    if weight == ALL:
        return first_with(course, ALL)
    place, reached = 0, 0
    for index, stage in enumerate(course):
        if not isinstance(stage, Exposure):
            continue
        if stage.weight > weight:
            break
        if stage.weight > reached:
            place, reached = index, stage.weight
    there = course[place] if course else None
    less = isinstance(there, Exposure) and there.weight < weight
    return place + 1 if less and not gives_back else place


def _previewed(settings: BlueGreen, steps: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Give what follows a preview: people are asked when what comes before all of the traffic has passed, and once."""
    wait, switch = settings.promote_after, first_with(steps, ALL)
    asked = wait is None and any(isinstance(stage, Approve) for stage in steps[:switch])
    pause = () if asked else (Pause(duration=wait),)
    return (*steps[:switch], *pause, *steps[switch:])


def _by_steps(steps: list[Step]) -> tuple[Stage, ...]:
    stages: list[Stage] = []
    exposure = Exposure()
    for step in steps:
        if step.pause is not None:
            stages.append(step.pause)
        elif step.approve is not None:
            stages.append(step.approve)
        elif step.analyse is not None:
            stages.append(step.analyse)
        elif (check := step.check) is not None:
            stages.append(check)
        else:
            replicas = exposure.replicas if step.set_replicas is None else step.set_replicas
            weight = exposure.weight if step.set_weight is None else step.set_weight
            exposure = Exposure(weight, replicas)
            stages.append(exposure)
    return tuple(stages)
