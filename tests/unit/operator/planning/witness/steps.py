"""What holds of the way through the stages: none is left before what it waits for."""

from datetime import datetime, timedelta

from mooring_operator.api.analysis import Analyse
from mooring_operator.api.checks import Check
from mooring_operator.api.rollout import Approve, Pause
from mooring_operator.api.rollout_status import Candidate
from mooring_operator.planning.strategies.course import Exposure, Stage, Trial, place_in

from tests.unit.operator.planning.witness.account import (
    Account,
    Journey,
    Moment,
    is_promoted,
)
from tests.unit.operator.planning.witness.verdicts import has_evidence


def check_steps(account: Account, moment: Moment) -> None:
    """A stage is left when what it asks for was seen, and not before."""
    after, journey = moment.after.candidate, account.next
    candidate = moment.before.candidate if journey is account.journey else after
    promoted = is_promoted(moment)
    if promoted:
        candidate, journey = moment.before.candidate, account.journey
    if candidate is None or journey is None or moment.before.stable is None or candidate.restores:
        return
    course, digest = account.course, account.steps_hash
    begins = candidate.step if journey is account.journey else 0
    if after is not None and not promoted and after.steps_hash != digest:
        # The edited steps wait, for the router for example.
        assert after.step == candidate.step
        return
    if digest != journey.steps_hash:
        leaves_pods = account.fleet.router.weighs_by_pods or account.rollout.max_surge is not None
        begins = place_in(course, candidate.weight, gives_back=not leaves_pods)
        journey.steps_hash, journey.arrived = digest, moment.now
    ends = len(course) if after is None or promoted else after.step
    if moment.asked("promote", candidate, begins) or journey.returns:
        begins = ends
    for index in range(begins, ends):
        assert not moment.asked("pause", candidate, index), "a rollout that is held went on"
        arrived = journey.arrived if index == begins else moment.now
        approved = journey.approved and index == begins
        check_stage(account, moment, candidate, journey, course[index], arrived, approved=approved)
    waits = after is not None and after.runs and ends < len(course)
    assert not (waits and journey.returns), "what comes back is held up by a step"
    if ends != candidate.step:
        journey.arrived, journey.approved = moment.now, moment.asked("approve", candidate)
    weights = [stage.weight for stage in course[: ends + 1] if isinstance(stage, Exposure)]
    journey.allowed = max([journey.allowed, *weights, 100 if ends == len(course) else 0])


def check_stage(
    account: Account,
    moment: Moment,
    candidate: Candidate,
    journey: Journey,
    stage: Stage,
    arrived: datetime,
    *,
    approved: bool,
) -> None:
    match stage:
        case Exposure():
            assert has(account, moment, candidate, journey, stage), f"{stage} was not in effect"
            check_beside(account, moment, candidate, stage)
            late = moment.now - arrived >= account.rollout.progress_deadline
            for revision, asked in account.sides.items() if stage.matched and not late else ():
                enough = account.needed(asked, stage.replicas, journey.whole or 1)
                assert moment.pods(revision) >= enough, "the test began before a variant had its pods"
                assert moment.routed(revision) == asked, "the test began before a variant had its part"
        case Pause(duration=timedelta() as duration):
            over = moment.now - arrived >= duration
            assert over or ends_early(account, journey, arrived), "a pause was cut short"
        case Analyse():
            over = moment.now - arrived >= stage.duration
            may = account.rollout.analysis is None or (over and stage.on_insufficient == "Pass")
            assert may or has_evidence(journey, arrived) or (over and approved), "no verdict, and it went on"
        case Pause() | Approve():
            assert approved, "nobody has approved"
        case Check():
            check = moment.before.candidate.check if moment.before.candidate is not None else None
            passed = check is not None and account.fleet.found.get(check.id) == "Pass"
            assert approved or passed, "a check that did not pass was passed over"
        case Trial():
            end = stage.ends(arrived)
            over = end is not None and moment.now >= end and stage.test.then == "Promote"
            early = ends_early(account, journey, arrived)
            assert approved or over or early, "a trial ended too early"


def ends_early(account: Account, journey: Journey, arrived: datetime) -> bool:
    """Whether evidence may end what has a duration."""
    analysis = account.rollout.analysis
    return analysis is not None and analysis.early_promotion and has_evidence(journey, arrived)


def has(account: Account, moment: Moment, candidate: Candidate, journey: Journey, to: Exposure) -> bool:
    whole, pods = journey.whole or 1, moment.pods(candidate.revision)
    routed = moment.routed(candidate.revision)
    enough = pods >= account.needed(to.weight, to.replicas, whole)
    if account.fleet.router.weighs_by_pods and to.weight not in (0, 100):
        # More pods would be more of the traffic.
        enough = pods >= account.needed(to.weight, "", whole)
        stable = moment.before.stable
        beside = moment.pods(stable.revision) if stable is not None else 0
        return enough and 0 < routed <= to.weight and 100 * pods <= to.weight * (pods + beside)
    return enough and routed == to.weight


def check_beside(account: Account, moment: Moment, candidate: Candidate, stage: Exposure) -> None:
    """Copies were taken up, and who matches was sent where the spec says, before the stage was left."""
    router, taken_up, test = account.fleet.router, moment.taken_up, account.rollout.ab_test
    assert taken_up is not None
    copied = taken_up.mirror.percent if taken_up.mirror is not None else 0
    assert copied == (stage.mirror if router.mirrors else 0), f"{copied}% were copied"
    matches = test.matches if test is not None and stage.matched and router.matches else []
    led = {rule.value for rule in taken_up.rules if rule.revision == candidate.revision}
    assert {match.value for match in matches if match.to == "New"} <= led, "who matches was sent elsewhere"


def check_checks(account: Account, moment: Moment) -> None:
    """Each check is started once, and those that go on are waited for or told to stop."""
    fleet, candidate = account.fleet, moment.after.candidate
    assert len(set(fleet.checked)) == len(fleet.checked)
    check = candidate.check if candidate is not None else None
    left = {run.run_id for run in moment.after.abandoned_runs if not run.ended}
    assert fleet.running_checks <= left | ({check.id} if check is not None else set())
    if check is not None and candidate is not None and not candidate.restores:
        assert check.step <= candidate.step
        assert check.step == candidate.step or check.outcome is not None
