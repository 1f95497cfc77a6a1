"""An account of a fleet, kept from what is seen of it: it believes no status."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.api.rollout_status import Candidate, ModelDeploymentStatus
from mooring_operator.planning import identity
from mooring_operator.planning.rollout.situation import Observed
from mooring_operator.planning.routes import Variant
from mooring_operator.planning.routing import Routing
from mooring_operator.planning.strategies.course import Stage, course_of

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.witness.looks import Look, is_known


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
    returns: whether it was promoted before, and is kept.
    in_place: whether there was never to be a pod of it beside those of the stable revision.
    looks: what it and the stable revision answered.
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
    returns: bool = False
    in_place: bool = False
    looks: list[Look] = field(default_factory=list)


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
    taken_up: Routing | None
    """What the router carried out by then."""
    dropped: tuple[tuple[str, str], ...]
    """The commands that were taken away, and their values."""

    def variant(self, revision: str) -> Variant | None:
        service = self.observed.service
        return service.variants.get(revision) if service is not None else None

    def pods(self, revision: str) -> int:
        variant = self.variant(revision)
        return (variant.pods or 0) if variant is not None else 0

    def routed(self, revision: str) -> int:
        variant = self.variant(revision)
        return (variant.weight or 0) if variant is not None else 0

    def asked(self, command: str, candidate: Candidate, step: int | None = None) -> bool:
        """Whether a command names the candidate, and no step or the one that it is at."""
        named, _, at = self.observed.commands.get(command, "").partition(" ")[0].partition("/")
        return named == candidate.revision and at in ("", str(candidate.step if step is None else step))


@dataclass
class Account:
    """What is known of a fleet's revisions.

    journey: of the candidate that a decision is about.
    next: of the one that it left, which may be another one.
    left: the revisions that lost their traffic, and have pods yet.
    history: the revisions that were promoted and left, the last first, without those that came back.
    previous: the revision that was promoted before the stable one, and can be gone back to.
    sides: the variants of a test that goes on, and what they are to get.
    watched: what the stable revision has answered since it was promoted; whether enough is `known` to go by, of what
        the one before answered beside it.
    images: what the runtimes of revisions were when they were first seen.
    last: when the last decision was made.
    read: the rollout that was read last, its course, and the hash of its steps.
    """

    fleet: Fleet
    journey: Journey | None = None
    next: Journey | None = None
    left: dict[str, Left] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    previous: str = ""
    sides: dict[str, int] = field(default_factory=dict)
    watched: list[Look] = field(default_factory=list)
    known: bool = False
    images: dict[str, Any] = field(default_factory=dict)
    last: datetime | None = None
    read: tuple[RolloutSpec, tuple[Stage, ...], str] | None = None

    @property
    def rollout(self) -> RolloutSpec:
        return self.fleet.spec.rollout

    @property
    def course(self) -> tuple[Stage, ...]:
        return self._read()[0]

    @property
    def steps_hash(self) -> str:
        return self._read()[1]

    def _read(self) -> tuple[tuple[Stage, ...], str]:
        """Give the course of the spec, and the hash of it: of each spec once."""
        if self.read is None or self.read[0] is not self.rollout:
            self.read = (self.rollout, course_of(self.rollout), identity.steps_hash(self.rollout))
        return self.read[1:]

    @property
    def may_be_slow(self) -> bool:
        """Whether a revision can be left for how long its requests take."""
        analysis = self.rollout.analysis
        return analysis is not None and any(limit.metric == "latency" for limit in analysis.metrics)

    def brings_back(self, candidate: Candidate, journey: Journey | None) -> bool:
        """Whether a candidate was promoted before."""
        returns = journey is not None and journey.returns
        return candidate.restores or returns or candidate.revision == self.previous

    def follow(self, moment: Moment) -> None:
        """Follow the candidate that the decision was about."""
        candidate = moment.before.candidate
        if candidate is None:
            self.journey = None
            return
        journey = self.journey
        assert journey is not None
        if self.last is not None and journey.counts:
            journey.unready += moment.now - self.last
        journey.in_place = journey.in_place and self.rollout.strategy == "Recreate"
        journey.delay = min(journey.delay, self.rollout.scale_down_delay)
        # A clock that was set back: what was seen before was seen by now.
        journey.routed = [(min(at, moment.now), routed) for at, routed in journey.routed]
        journey.routed.append((moment.now, moment.routed(candidate.revision)))
        if moment.asked("approve", candidate):
            journey.approved = True
        self.count_pods(moment, candidate, journey)
        self.count_unready(moment, candidate, journey)

    def begin(self, moment: Moment) -> None:
        """Open the account of a candidate that was taken up, or begins to run: it is not ready yet."""
        before, candidate = moment.before.candidate, moment.after.candidate
        goes_on = same(before, candidate)
        self.next = self.journey if goes_on else None
        if candidate is None or (goes_on and before is not None and before.runs):
            return
        if self.next is None:
            self.next = Journey(candidate.steps_hash, arrived=moment.now)
            self.next.returns = not candidate.restores and candidate.revision in self.history
        self.next.in_place = self.rollout.strategy == "Recreate" and not moment.pods(candidate.revision)
        self.count_pods(moment, candidate, self.next)
        self.count_unready(moment, candidate, self.next)

    def count_pods(self, moment: Moment, candidate: Candidate, journey: Journey) -> None:
        stable = moment.before.stable
        if stable is None or not candidate.runs or moment.observed.service is None:
            return
        seen = moment.pods(stable.revision)
        if not journey.whole:
            seen = seen or int(stable.serving.get("minReplicas", 1))
        journey.least = journey.whole or max(seen, 1)
        journey.whole = max(journey.whole, seen, 1)

    def count_unready(self, moment: Moment, candidate: Candidate, journey: Journey) -> None:
        variant, service = moment.variant(candidate.revision), moment.observed.service
        waits = bool(variant is not None and variant.waiting) or bool(service is not None and service.problem)
        wanted = self.wanted(candidate, journey)
        ready = variant is not None and variant.ready and (variant.pods or 0) >= wanted
        if candidate.runs and ready and not waits:
            journey.unready = timedelta()
        journey.counts = candidate.runs and not ready and not waits

    def wanted(self, candidate: Candidate, journey: Journey) -> int:
        if self.fleet.status.stable is None:
            return 1
        by_pods = self.fleet.router.weighs_by_pods and candidate.weight not in (0, 100)
        return self.needed(candidate.weight, "" if by_pods else candidate.replicas, journey.whole or 1)

    def needed(self, weight: int, replicas: str, whole: int) -> int:
        least = up(int(replicas[:-1]) * whole, 100) if replicas.endswith("%") else int(replicas or 1)
        return max(1, least, up(weight * whole, 100))

    def note_exits(self, moment: Moment) -> None:
        before, after = moment.before, moment.after
        candidate, old, new = before.candidate, before.stable, after.stable
        if after.candidate is not None and after.candidate.runs:
            self.left.pop(after.candidate.revision, None)
            self.history = [known for known in self.history if known != after.candidate.revision]
        if old is not None and new is not None and old.revision != new.revision:
            self.left[old.revision] = self.leaves(moment, 0)
            self.history = [old.revision, *(known for known in self.history if known != new.revision)]
            self.left.pop(new.revision, None)
            self.previous = "" if candidate is not None and candidate.restores else old.revision
        if after.candidate is not None or old != new:
            self.watched, self.known = [], self.journey is not None and is_known(self.journey.looks)
        if (
            not is_promoted(moment)
            and candidate is not None
            and not same(candidate, after.candidate)
            and candidate.runs
        ):
            self.left[candidate.revision] = self.leaves(moment, candidate.weight)
            if candidate.restores and after.phase == "Failed" and before.phase != "Failed":
                self.history = [candidate.revision, *self.history]
        self.forget(moment)

    def forget(self, moment: Moment) -> None:
        """Forget what has no pods any more, but for as many as the spec wants to be kept."""
        arms = {arm.revision.revision for arm in moment.routing.arms} if moment.routing is not None else set()
        self.left = {
            name: left
            for name, left in self.left.items()
            if name in arms or moment.now - left.at < self.rollout.scale_down_delay
        }
        without = [name for name in self.history if name not in arms]
        over = without[self.fleet.spec.revision_history_limit :]
        self.history = [name for name in self.history if name not in over]

    def left_of(self, moment: Moment, revision: str) -> Left | None:
        """Give what is known of a revision that leaves, with this decision at the latest."""
        if revision in self.left:
            return self.left[revision]
        candidate, stable = moment.before.candidate, moment.before.stable
        if candidate is not None and candidate.revision == revision:
            return self.leaves(moment, candidate.weight)
        if stable is not None and stable.revision == revision:
            return self.leaves(moment, 0)
        return None

    def leaves(self, moment: Moment, asked: int) -> Left:
        journey = self.journey
        # A status tells whole seconds.
        return Left(
            moment.now.replace(microsecond=0),
            asked,
            (journey and journey.whole) or 1,
            (journey and journey.least) or 1,
        )


def same(one: Candidate | None, other: Candidate | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.revision, one.started_at, one.restores) == (other.revision, other.started_at, other.restores)


def is_promoted(moment: Moment) -> bool:
    candidate, stable = moment.before.candidate, moment.after.stable
    if candidate is None or stable is None or same(candidate, moment.after.candidate):
        return False
    return moment.before.stable != stable and candidate.revision == stable.revision
