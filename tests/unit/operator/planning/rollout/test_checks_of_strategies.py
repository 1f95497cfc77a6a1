"""Steps of the strategies that give all of the traffic at once: what is found out, and asked, before they do."""

from datetime import timedelta
from typing import Any

import pytest
from mooring_operator.api import reasons
from mooring_operator.planning.strategies.course import Exposure, course_of

from tests.unit.operator.planning.fleet import EACH, Fleet
from tests.unit.operator.planning.fleet import promoted as promoted_by
from tests.unit.operator.planning.rollout.test_strategies import ALL, SERVING
from tests.unit.operator.planning.world import spec_of

JOB = {"job": {"image": "smoke", "timeout": "2m"}}
HOOK = {"webhook": {"url": "https://gates.example.com/go", "timeout": "2m"}}
ALL_OF_IT = {"setWeight": 100}
TEST = {"weight": 30, "duration": "10s", "then": "Promote"}


def beginning(finds: str | None = None, **rollout: Any) -> Fleet:
    """A fleet in which a second revision has begun, whose checks find this out."""
    fleet = promoted_by(serving=SERVING)
    fleet.router, fleet.finds = ALL, finds
    fleet.apply(spec_of("v2", rollout=rollout, serving=SERVING))
    for _ in range(20):
        fleet.step()
        fleet.now += timedelta(seconds=1)
    return fleet


def kinds(**rollout: Any) -> list[str]:
    course = course_of(spec_of("v2", rollout=rollout).rollout)
    return [
        f"{stage.weight}%" if isinstance(stage, Exposure) else type(stage).__name__.lower()
        for stage in course
    ]


@pytest.mark.parametrize(
    ("rollout", "course"),
    [
        ({"strategy": "BlueGreen"}, ["0%", "pause", "100%"]),
        ({"strategy": "BlueGreen", "steps": [JOB, ALL_OF_IT]}, ["0%", "job", "pause", "100%"]),
        (
            {"strategy": "BlueGreen", "steps": [JOB, ALL_OF_IT, HOOK]},
            ["0%", "job", "pause", "100%", "webhook"],
        ),
        (
            {"strategy": "BlueGreen", "steps": [JOB, {"approve": {}}, ALL_OF_IT]},
            ["0%", "job", "approve", "100%"],
        ),
        (
            {
                "strategy": "BlueGreen",
                "blueGreen": {"promoteAfter": "1m"},
                "steps": [HOOK, {"approve": {}}, ALL_OF_IT],
            },
            ["0%", "webhook", "approve", "pause", "100%"],
        ),
        (
            {"strategy": "BlueGreen", "steps": [ALL_OF_IT, {"approve": {}}]},
            ["0%", "pause", "100%", "approve"],
        ),
        ({"strategy": "ABTest", "abTest": TEST}, ["30%", "trial", "100%"]),
        (
            {"strategy": "ABTest", "abTest": TEST, "steps": [HOOK, ALL_OF_IT]},
            ["30%", "trial", "webhook", "100%"],
        ),
        ({"strategy": "Recreate"}, ["100%"]),
        ({"strategy": "Recreate", "steps": [HOOK, ALL_OF_IT, JOB]}, ["webhook", "100%", "job"]),
        ({"strategy": "Shadow", "steps": [JOB, ALL_OF_IT]}, ["0%", "pause", "job", "100%"]),
    ],
)
def test_steps_are_taken_before_and_after_the_switch(rollout, course):
    assert kinds(**rollout) == course


@pytest.mark.parametrize("check", [JOB, HOOK], ids=["job", "webhook"])
def test_a_preview_is_checked_before_anybody_is_asked(check):
    fleet = beginning(strategy="BlueGreen", steps=[check, ALL_OF_IT])
    assert (fleet.status.reason, fleet.weights()) == (reasons.CHECKING, {"v1": 100})
    assert fleet.routing.preview == fleet.status.candidate.revision
    fleet.finds = "Pass"
    fleet.settle()
    assert (fleet.status.reason, fleet.weights()) == (reasons.PAUSED_BY_STEP, {"v1": 100})
    fleet.command("approve")
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v2": 100})


@pytest.mark.parametrize("finds", ["Fail", "Insufficient"])
@pytest.mark.parametrize(
    "rollout",
    [
        {"strategy": "BlueGreen", "steps": [JOB, ALL_OF_IT]},
        {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "1s"}, "steps": [HOOK, ALL_OF_IT]},
        {"strategy": "Shadow", "shadow": {"duration": "5s"}, "steps": [JOB, ALL_OF_IT]},
        {"strategy": "ABTest", "abTest": TEST, "steps": [HOOK, ALL_OF_IT]},
    ],
)
def test_what_does_not_pass_never_gets_all_of_the_traffic(finds, rollout):
    fleet = beginning(finds, **rollout)
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("RolledBack", {"v1": 100})
    assert f"it says {finds}" in fleet.status.message
    assert all(
        arm.weight < 100 or arm.revision.storage_uri.endswith("v1")
        for routing, _ in fleet.carried_out
        for arm in routing.arms
    )


def test_a_preview_that_passes_takes_over_by_itself_where_it_may():
    fleet = beginning("Pass", strategy="BlueGreen", blueGreen={"promoteAfter": "1s"}, steps=[JOB, ALL_OF_IT])
    fleet.settle()
    assert (fleet.status.phase, fleet.weights(), len(fleet.checked)) == ("Promoted", {"v2": 100}, 1)


def test_what_fails_after_the_switch_goes_back_and_finds_the_pods():
    rollout = {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "1s"}, "steps": [ALL_OF_IT, JOB]}
    fleet = beginning(**rollout)
    assert (fleet.status.reason, fleet.weights()) == (reasons.CHECKING, {"v2": 100})
    assert fleet.running() == {"v1": 2, "v2": 2}
    fleet.finds = "Fail"
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("RolledBack", {"v1": 100})


def test_nothing_stops_before_a_person_takes_the_gap():
    fleet = beginning(strategy="Recreate", steps=[{"approve": {"message": "nothing answers"}}, ALL_OF_IT])
    assert fleet.status.phase == "AwaitingApproval"
    assert (fleet.weights(), fleet.running()) == ({"v1": 100}, {"v1": 2})
    fleet.command("approve")
    fleet.settle()
    assert (fleet.status.phase, fleet.weights()) == ("Promoted", {"v2": 100})


def test_a_preview_by_shares_of_pods_is_checked_too():
    fleet = promoted_by(serving=SERVING)
    fleet.router, fleet.finds = (
        type(EACH)("Pods", 40, serves_each=True, weighs_by_pods=True, previews=True),
        "Fail",
    )
    fleet.apply(spec_of("v2", rollout={"strategy": "BlueGreen", "steps": [JOB, ALL_OF_IT]}, serving=SERVING))
    fleet.settle(limit=300)
    assert (fleet.status.phase, fleet.weights()) == ("RolledBack", {"v1": 100})
