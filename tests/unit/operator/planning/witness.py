"""Watches a fleet and says what no decision may do; it keeps its own account, and believes no status."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mooring_operator.api.checks import Check
from mooring_operator.api.rollout import Approve, Pause
from mooring_operator.api.rollout_status import Candidate, ModelDeploymentStatus
from mooring_operator.planning import identity
from mooring_operator.planning.rollout.actions import Route
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.situation import Observed
from mooring_operator.planning.routes import Variant
from mooring_operator.planning.routing import Arm, Routing
from mooring_operator.planning.strategies.course import Exposure, Stage, Trial, course_of, first_with

from tests.unit.operator.planning.fleet import Fleet


def up(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def carries(pods: int, whole: int) -> int:
    """The percent that `pods` carry where `whole` carry all."""
    return min(100, 100 * pods // whole)


@dataclass
class Journey:
    """A candidate's way, as it was seen from outside.

    whole: most pods that the stable revision had under way.
    allowed: the most that any stage it came to exposes it to.
    arrived: when it came to the stage that it is at.
    routed: what it was seen to get, and when.
    unready: how long it was expected to be ready, was not, and nothing else was to blame; while it `counts`.
    timed: whether that can be told from outside.
    delay: the shortest scaleDownDelay that the spec had under way.
    """

    steps_hash: str
    arrived: datetime
    whole: int = 0
    least: int = 0
    allowed: int = 0
    approved: bool = False
    routed: list[tuple[datetime, int]] = field(default_factory=list)
    unready: timedelta = timedelta()
    counts: bool = False
    timed: bool = True
    delay: timedelta = timedelta(days=365)


@dataclass
class Left:
    """A revision that lost its traffic.

    asked: what it was to get.
    whole: pods that carry all traffic; `least` as it was before the decision, which may not have counted anew.
    """

    at: datetime
    asked: int
    whole: int
    least: int


@dataclass
class Moment:
    """One decision, with all that it was made from."""

    before: ModelDeploymentStatus
    after: ModelDeploymentStatus
    observed: Observed
    now: datetime
    routing: Routing | None
    served: dict[str, int]
    """Who really had how much when it was decided."""

    def variant(self, revision: str) -> Variant | None:
        service = self.observed.service
        return service.variants.get(revision) if service is not None else None

    def pods(self, revision: str) -> int:
        variant = self.variant(revision)
        return (variant.pods or 0) if variant is not None else 0

    def routed(self, revision: str) -> int:
        variant = self.variant(revision)
        return (variant.weight or 0) if variant is not None else 0

    def asked(self, command: str, candidate: Candidate) -> bool:
        return self.observed.commands.get(command, "").partition(" ")[0] == candidate.revision


@dataclass
class Witness:
    fleet: Fleet
    journey: Journey | None = None
    next: Journey | None = None
    """What is known of the candidate that the decision left, which may be another one."""
    left: dict[str, Left] = field(default_factory=dict)
    last: datetime | None = None
    crashes: list[tuple[int, int]] = field(default_factory=list)
    """After how many decisions the operator crashes next, and how many actions it has done then."""
    history: list[str] = field(default_factory=list)
    """The revisions that were promoted and left, the last first, without those that came back."""

    def step(self, *, crash_after: int | None = None) -> Decision:
        before, served = self.fleet.status, dict(self.fleet.routed)
        decision = self.fleet.step(crash_after=crash_after)
        routing = next((a.routing for a in decision.actions if isinstance(a, Route)), None)
        assert self.fleet.observed is not None
        self.saw(Moment(before, decision.status, self.fleet.observed, self.fleet.now, routing, served))
        return decision

    def next_crash(self) -> int | None:
        """Give how many actions are done of the next decision; None for all."""
        if not self.crashes:
            return None
        (pause, done), *later = self.crashes
        self.crashes = later if pause == 0 else [(pause - 1, done), *later]
        return done if pause == 0 else None

    def saw(self, moment: Moment) -> None:
        self._account(moment)
        self._begin(moment)
        self._check_steps(moment)
        self._check_endings(moment)
        self._check_promotion(moment)
        self._check_checks(moment)
        if moment.routing is not None:
            self._check_weights(moment, moment.routing)
            self._check_leaving(moment, moment.routing)
            self._check_pods(moment, moment.routing)
            self._check_exposure(moment, moment.routing)
        else:
            assert moment.after.stable is None, "what is stable is not served"
        self._note_exits(moment)
        self.last, self.journey = moment.now, self.next

    @property
    def _rollout(self):  # type: ignore[no-untyped-def]
        return self.fleet.spec.rollout

    @property
    def course(self) -> tuple[Stage, ...]:
        return course_of(self._rollout)

    # --- the account ----------------------------------------------------------------------------

    def _account(self, moment: Moment) -> None:
        """Follow the candidate that the decision was about."""
        candidate = moment.before.candidate
        if candidate is None:
            self.journey = None
            return
        journey = self.journey
        assert journey is not None
        if self.last is not None and journey.counts:
            journey.unready += moment.now - self.last
        journey.delay = min(journey.delay, self._rollout.scale_down_delay)
        journey.routed.append((moment.now, moment.routed(candidate.revision)))
        if moment.asked("approve", candidate):
            journey.approved = True
        self._count_pods(moment, candidate, journey)
        self._count_unready(moment, candidate, journey)

    def _begin(self, moment: Moment) -> None:
        """Open the account of a candidate that was taken up, or begins to run: it is not ready yet."""
        before, candidate = moment.before.candidate, moment.after.candidate
        same = _same(before, candidate)
        self.next = self.journey if same else None
        if candidate is None or (same and before is not None and before.runs):
            return
        if self.next is None:
            self.next = Journey(candidate.steps_hash, arrived=moment.now)
        self._count_pods(moment, candidate, self.next)
        self._count_unready(moment, candidate, self.next)

    def _count_pods(self, moment: Moment, candidate: Candidate, journey: Journey) -> None:
        stable = moment.before.stable
        if stable is None or not candidate.runs or moment.observed.service is None:
            return
        seen = moment.pods(stable.revision)
        if not journey.whole:
            seen = seen or int(stable.serving.get("minReplicas", 1))
        journey.least = journey.whole or max(seen, 1)
        journey.whole = max(journey.whole, seen, 1)

    def _count_unready(self, moment: Moment, candidate: Candidate, journey: Journey) -> None:
        variant, service = moment.variant(candidate.revision), moment.observed.service
        waits = bool(variant is not None and variant.waiting) or bool(service is not None and service.problem)
        wanted = self._wanted(candidate, journey)
        ready = variant is not None and variant.ready and (variant.pods or 0) >= wanted
        if candidate.runs and ready and not waits:
            journey.unready = timedelta()
        journey.counts = candidate.runs and not ready and not waits

    def _wanted(self, candidate: Candidate, journey: Journey) -> int:
        if self.fleet.status.stable is None:
            return 1
        by_pods = self.fleet.router.weighs_by_pods and candidate.weight not in (0, 100)
        return self._needed(candidate.weight, "" if by_pods else candidate.replicas, journey.whole or 1)

    def _needed(self, weight: int, replicas: str, whole: int) -> int:
        least = up(int(replicas[:-1]) * whole, 100) if replicas.endswith("%") else int(replicas or 1)
        return max(1, least, up(weight * whole, 100))

    def _note_exits(self, moment: Moment) -> None:
        before, after = moment.before, moment.after
        candidate, old, new = before.candidate, before.stable, after.stable
        if after.candidate is not None and after.candidate.runs:
            self.left.pop(after.candidate.revision, None)
            self.history = [known for known in self.history if known != after.candidate.revision]
        if old is not None and new is not None and old.revision != new.revision:
            self.left[old.revision] = self._leaves(moment, 0)
            self.history = [old.revision, *(known for known in self.history if known != new.revision)]
            self.left.pop(new.revision, None)
        if (
            not _is_promoted(moment)
            and candidate is not None
            and not _same(candidate, after.candidate)
            and candidate.runs
        ):
            self.left[candidate.revision] = self._leaves(moment, candidate.weight)
            if candidate.restores and after.phase == "Failed" and before.phase != "Failed":
                self.history = [candidate.revision, *self.history]
        self._forget(moment)

    def _forget(self, moment: Moment) -> None:
        """Forget what has no pods any more, but for as many as the spec wants to be kept."""
        arms = {arm.revision.revision for arm in moment.routing.arms} if moment.routing is not None else set()
        self.left = {
            name: left
            for name, left in self.left.items()
            if name in arms or moment.now - left.at < self._rollout.scale_down_delay
        }
        without = [name for name in self.history if name not in arms]
        over = without[self.fleet.spec.revision_history_limit :]
        self.history = [name for name in self.history if name not in over]

    # --- what holds -----------------------------------------------------------------------------

    def _check_steps(self, moment: Moment) -> None:
        """A stage is left when what it asks for was seen, and not before."""
        after, journey = moment.after.candidate, self.next
        candidate = moment.before.candidate if journey is self.journey else after
        promoted = _is_promoted(moment)
        if promoted:
            candidate, journey = moment.before.candidate, self.journey
        if candidate is None or journey is None or moment.before.stable is None or candidate.restores:
            return
        course, digest = self.course, identity.steps_hash(self._rollout)
        begins = candidate.step if journey is self.journey else 0
        if after is not None and not promoted and after.steps_hash != digest:
            # The edited steps wait, for the router for example.
            assert after.step == candidate.step
            return
        if digest != journey.steps_hash:
            begins = first_with(course, candidate.weight) if candidate.weight else 0
            journey.steps_hash, journey.arrived = digest, moment.now
        ends = len(course) if after is None or promoted else after.step
        if moment.asked("promote", candidate) or candidate.returns:
            begins = ends
        elif moment.asked("pause", candidate):
            assert ends <= begins, "a rollout that is held went on"
        for index in range(begins, ends):
            arrived = journey.arrived if index == begins else moment.now
            approved = journey.approved and index == begins
            self._check_stage(moment, candidate, journey, course[index], arrived, approved=approved)
        if ends != candidate.step:
            journey.arrived, journey.approved = moment.now, moment.asked("approve", candidate)
        weights = [stage.weight for stage in course[: ends + 1] if isinstance(stage, Exposure)]
        journey.allowed = max([journey.allowed, *weights, 100 if ends == len(course) else 0])

    def _check_stage(
        self,
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
                assert self._has(moment, candidate, journey, stage), f"{stage} was not in effect"
            case Pause(duration=timedelta() as duration):
                assert moment.now - arrived >= duration, "a pause was cut short"
            case Pause() | Approve():
                assert approved, "nobody has approved"
            case Check():
                check = moment.before.candidate.check if moment.before.candidate is not None else None
                passed = check is not None and self.fleet.found.get(check.id) == "Pass"
                assert approved or passed, "a check that did not pass was passed over"
            case Trial():
                end = stage.ends(arrived)
                over = end is not None and moment.now >= end and stage.test.then == "Promote"
                assert approved or over, "a trial ended too early"

    def _has(self, moment: Moment, candidate: Candidate, journey: Journey, to: Exposure) -> bool:
        whole, pods = journey.whole or 1, moment.pods(candidate.revision)
        routed = moment.routed(candidate.revision)
        enough = pods >= self._needed(to.weight, to.replicas, whole)
        if self.fleet.router.weighs_by_pods and to.weight not in (0, 100):
            # More pods would be more of the traffic.
            enough = pods >= self._needed(to.weight, "", whole)
            stable = moment.before.stable
            beside = moment.pods(stable.revision) if stable is not None else 0
            return enough and 0 < routed <= to.weight and 100 * pods <= to.weight * (pods + beside)
        return enough and routed == to.weight

    def _check_checks(self, moment: Moment) -> None:
        """Each check is started once, and those that go on are waited for or told to stop."""
        fleet, candidate = self.fleet, moment.after.candidate
        assert len(set(fleet.checked)) == len(fleet.checked)
        check = candidate.check if candidate is not None else None
        left = {run.run_id for run in moment.after.abandoned_runs if not run.ended}
        assert fleet.running_checks <= left | ({check.id} if check is not None else set())
        if check is not None and candidate is not None and not candidate.restores:
            assert check.step <= candidate.step
            assert check.step == candidate.step or check.outcome is not None

    def _check_promotion(self, moment: Moment) -> None:
        """Only who has all traffic, and the pods for it, becomes stable."""
        old, new = moment.before.stable, moment.after.stable
        if new is None or (old is not None and old.revision == new.revision):
            return
        candidate, journey = moment.before.candidate, self.journey
        assert candidate is not None
        assert candidate.revision == new.revision, "what was promoted was not on its way"
        assert candidate.runs
        assert moment.pods(new.revision) >= (1 if old is None or journey is None else journey.whole)
        assert old is None or moment.routed(new.revision) == 100, "promoted before it had all traffic"

    def _check_endings(self, moment: Moment) -> None:
        """A candidate is not given up before its time, and not waited for beyond it."""
        candidate, journey = moment.before.candidate, self.journey
        if candidate is None or journey is None:
            return
        rollout = self._rollout
        gone = not _same(candidate, moment.after.candidate)
        reason = moment.after.reason if moment.after.reason != moment.before.reason else ""
        if gone and reason == "Aborted":
            assert moment.asked("abort", candidate)
        # With a surge, or in place, who has to have which pods is another's business from moment to moment.
        if rollout.max_surge is not None or rollout.strategy == "Recreate":
            journey.timed = False
        if not journey.timed or moment.after.reason == "UnsupportedByRouter":
            return
        if gone and reason == "ProgressDeadlineExceeded":
            assert journey.unready >= rollout.progress_deadline, "given up too early"
        if not gone and journey.counts and moment.after.phase != "Testing":
            assert journey.unready < rollout.progress_deadline, "waited for too long"

    def _check_weights(self, moment: Moment, routing: Routing) -> None:
        """Nobody gets what its pods do not carry, or more than the strategy exposes it to."""
        assert sum(arm.weight for arm in routing.arms) == 100
        assert all(arm.weight >= 0 for arm in routing.arms)
        named = [arm.revision.revision for arm in routing.arms] + [known.revision for known in routing.kept]
        assert len(named) == len(set(named)), "a revision is named twice"
        stable, candidate = moment.after.stable, moment.after.candidate
        first, *others = routing.arms
        assert first.revision.revision == (stable or candidate).revision  # type: ignore[union-attr]
        for arm in others:
            assert not arm.weight or moment.pods(arm.revision.revision), "traffic for what is not ready"
        running = candidate if candidate is not None and candidate.runs and stable is not None else None
        for arm in others:
            if running is not None and arm.revision.revision == running.revision:
                self._check_candidates(moment, arm, running, first)
        if running is None and candidate is not None and stable is not None:
            early = [arm for arm in others if arm.revision.revision == candidate.revision]
            assert not early or candidate.revision in self.left, "it runs before its time"

    def _check_candidates(self, moment: Moment, arm: Arm, candidate: Candidate, stable: Arm) -> None:
        journey, pods = self.next, moment.pods(candidate.revision)
        assert journey is not None
        allowed = 100 if candidate.restores else journey.allowed
        assert arm.weight <= allowed, f"{arm.weight}% where the stages expose to {allowed}%"
        assert arm.weight <= candidate.weight
        whole = journey.whole or 1
        beside = moment.pods(stable.revision.revision)
        by_pods = self.fleet.router.weighs_by_pods and self._rollout.strategy != "Recreate"
        if by_pods and candidate.weight not in (0, 100):
            assert not arm.weight or 100 * pods <= candidate.weight * (pods + beside), (
                "more than its pods make"
            )
        else:
            dead = beside == 0 and pods and candidate.weight == 100
            assert arm.weight <= carries(pods, whole) or dead, f"{arm.weight}% for {pods} of {whole} pods"

    def _check_leaving(self, moment: Moment, routing: Routing) -> None:
        """What leaves keeps what stable cannot carry yet, and no more; it keeps its pods for a while."""
        stable, *others = routing.arms
        candidate = moment.after.candidate
        leaving = [a for a in others if candidate is None or a.revision.revision != candidate.revision]
        lacks, beside = 0, moment.pods(stable.revision.revision)
        for arm in leaving:
            left = self._left(moment, arm.revision.revision)
            assert left is not None, "traffic for what nobody has left"
            lacks = max(lacks, 100 - carries(beside, left.whole))
            late = moment.now - left.at >= self._rollout.progress_deadline
            pods = moment.pods(arm.revision.revision)
            allowed = 0 if late else min(left.asked, up(100 * pods, max(1, pods + beside)))
            assert arm.weight <= allowed, f"{arm.weight}% for what leaves, where {allowed}% is due"
        assert sum(arm.weight for arm in leaving) <= lacks, "more is kept than the stable revision lacks"
        known = {name: left for name, left in self.left.items() if left.asked}
        for arm in leaving:
            known.setdefault(arm.revision.revision, self._leaves(moment, 0))
        if len(known) == 1 and (candidate is None or not candidate.runs):
            [(name, left)] = known.items()
            left = self._left(moment, name) or left
            late = moment.now - left.at >= self._rollout.progress_deadline
            pods = moment.pods(name)
            due = min(left.asked, up(100 * pods, max(1, pods + beside)))
            able = carries(beside, left.least)
            assert late or stable.weight <= max(able, 100 - due), "traffic goes back before the pods for it"
        arms = {arm.revision.revision for arm in routing.arms}
        for revision, left in self.left.items():
            if moment.now - left.at < self._rollout.scale_down_delay:
                assert revision in arms, "its pods went before scaleDownDelay was over"
        for revision, weight in moment.served.items():
            assert not weight or revision in arms, "its pods went while requests went to it"

    def _left(self, moment: Moment, revision: str) -> Left | None:
        """Give what is known of a revision that leaves, with this decision at the latest."""
        if revision in self.left:
            return self.left[revision]
        candidate, stable = moment.before.candidate, moment.before.stable
        if candidate is not None and candidate.revision == revision:
            return self._leaves(moment, candidate.weight)
        if stable is not None and stable.revision == revision:
            return self._leaves(moment, 0)
        return None

    def _leaves(self, moment: Moment, asked: int) -> Left:
        journey = self.journey
        return Left(moment.now, asked, (journey and journey.whole) or 1, (journey and journey.least) or 1)

    def _check_pods(self, moment: Moment, routing: Routing) -> None:
        """Stable keeps the pods for its traffic; with a surge there are no more than it allows."""
        candidate, journey, rollout = moment.after.candidate, self.next, self._rollout
        if (
            candidate is None
            or journey is None
            or not candidate.runs
            or moment.after.stable is None
            or rollout.strategy == "Recreate"
        ):
            return
        stable, *others = routing.arms
        arm = next(arm for arm in others if arm.revision.revision == candidate.revision)
        whole, floor, pods = journey.whole or 1, stable.pods or 0, moment.pods(candidate.revision)
        assert arm.pods is not None
        if self.fleet.router.weighs_by_pods:
            assert floor >= whole or pods >= self._needed(candidate.weight, "", whole)
            return
        if rollout.max_surge is None:
            assert floor >= whole, "stable leaves pods before it is replaced"
            assert arm.pods >= self._needed(candidate.weight, candidate.replicas, whole)
            return
        surge = rollout.max_surge
        spare = up(int(surge[:-1]) * whole, 100) if surge.endswith("%") else int(surge)
        there = max(floor, min(moment.pods(stable.revision.revision), whole))
        assert arm.pods + there <= whole + max(spare, 1), "more pods than maxSurge allows"
        assert floor * 100 > (100 - self._settled(moment, journey) - 1) * whole, "pods are gone too early"

    def _settled(self, moment: Moment, journey: Journey) -> int:
        """The percent that the candidate has had for scaleDownDelay without a break."""
        since = moment.now - journey.delay
        recent = [routed for at, routed in journey.routed if at > since]
        before = [routed for at, routed in journey.routed if at <= since]
        return min([*recent, *before[-1:]]) if before else 0

    def _check_exposure(self, moment: Moment, routing: Routing) -> None:
        """Copies, matches and previews are for a candidate that is at such a stage, and ready for them."""
        candidate, router = moment.after.candidate, self.fleet.router
        if candidate is None or not candidate.runs or moment.after.stable is None:
            assert (routing.rules, routing.mirror, routing.preview) == ((), None, "")
            return
        pods = moment.pods(candidate.revision)
        at = [stage for stage in self.course[: candidate.step + 1] if isinstance(stage, Exposure)]
        # One that is out of the router's reach leaves things as they are.
        recent = at[-2:] if candidate.step < len(self.course) else [Exposure(100)]
        edited = candidate.steps_hash != identity.steps_hash(self._rollout)
        if routing.mirror is not None:
            assert router.mirrors
            assert pods
            assert edited or routing.mirror.percent in [stage.mirror for stage in recent]
            assert routing.mirror.revision == candidate.revision
        if routing.rules:
            assert router.matches
            assert edited or any(stage.matched for stage in recent)
            assert pods >= self._wanted(candidate, self.next) if self.next else True
        assert not routing.sticky or router.sticks
        if routing.preview:
            assert (self._rollout.strategy, routing.preview) == ("BlueGreen", candidate.revision)


def _same(one: Candidate | None, other: Candidate | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.revision, one.started_at, one.restores) == (other.revision, other.started_at, other.restores)


def _is_promoted(moment: Moment) -> bool:
    candidate, stable = moment.before.candidate, moment.after.stable
    if candidate is None or stable is None or _same(candidate, moment.after.candidate):
        return False
    return moment.before.stable != stable and candidate.revision == stable.revision
