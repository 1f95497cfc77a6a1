"""Plays a rollout without a cluster: the planner decides, a simulated world answers, a simulated clock runs.

The planner is a pure function of the time too. So the clock need not tick: the next moment at which
anything happens is the world's next event, or the first second at which the planner would decide
otherwise, found by bisection. A pause of a week costs as little as one of a second.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mooring_operator.adapters.routers import ROUTERS, likely_router
from mooring_operator.adapters.rules.child import Child
from mooring_operator.api import ModelDeploymentSpec, ModelDeploymentStatus, reasons
from mooring_operator.api.rollout_status import Retained
from mooring_operator.cli.rehearsal_odds import End, odds
from mooring_operator.cli.rehearsal_world import LONG_AGO, START, Script, World
from mooring_operator.cli.rollout_chart import Sample
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.identity import workload_name
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.strategies.demands import what_pinning_does

_HORIZON = timedelta(days=366)
_JUDGED = (reasons.ANALYSING, reasons.PAUSED_BY_ANALYSIS)
_SETTLED = ("Promoted", "RolledBack", "Failed")
_MOST_MOMENTS = 2000
_MOST_DECISIONS = 200


@dataclass(frozen=True)
class Moment:
    """One line of the timeline: `at` counts from the start, `weight` is what the new revision is to have."""

    at: timedelta
    phase: str
    reason: str
    weight: int
    step: int | None
    what: str
    sample: Sample
    waits_for: str = ""


@dataclass(frozen=True)
class Timeline:
    """What would happen, and how it ends: Promoted, RolledBack, Failed or Waiting."""

    title: str
    moments: tuple[Moment, ...]
    end: str
    because: str
    odds: Sequence[End] = ()
    new: str = ""
    stable: str = ""
    router: str = ""
    pinning: str = ""


@dataclass
class Rehearsal:
    """One rollout in the making."""

    spec: ModelDeploymentSpec
    world: World
    rules: Child = field(default_factory=Child)
    now: datetime = START
    status: ModelDeploymentStatus = field(default_factory=ModelDeploymentStatus)
    known: list[str] = field(default_factory=list)
    """Revisions that were candidates."""

    def run(self) -> Iterator[Moment]:
        """Yield what happens until the rollout has ended or waits for what will not come."""
        for _ in range(_MOST_MOMENTS):
            yield from self._settle()
            if self.status.phase in _SETTLED and not self._is_watched:
                return
            following = self._next_moment()
            if following is None:
                return
            self.now = following

    def later(self, seconds: timedelta) -> Iterator[Moment]:
        """Yield what happens so much later, if nothing does before."""
        self.now += seconds
        yield from self._settle()

    @property
    def _is_watched(self) -> bool:
        found = self.status.analysis
        return found is not None and found.promoted_at is not None

    def plan(self, at: datetime | None = None) -> Decision:
        """Ask the planner what it would do, now or then."""
        moment = at or self.now
        decision = plan(self.spec, self.status, self.world.observe(moment, self.status), moment)
        if not decision.questions:
            return decision
        for question in decision.questions:
            self.world.answers[question.key] = self.rules.ask(question)
        return plan(self.spec, self.status, self.world.observe(moment, self.status), moment)

    def _settle(self) -> Iterator[Moment]:
        """Decide at one moment until nothing changes any more."""
        for _ in range(_MOST_DECISIONS):
            self.world.react(self.status, self.now)
            decision = self.plan()
            yield from self._approvals(decision)
            before, self.status = self.status, decision.status
            moved = self.world.apply(decision.actions, self.now)
            if _visible(self.status) != _visible(before):
                yield self._moment()
            if not moved and self.status == before:
                return

    def _approvals(self, decision: Decision) -> Iterator[Moment]:
        for action in decision.actions:
            if isinstance(action, Notify) and action.reason == reasons.APPROVED:
                yield self._moment(reason=reasons.APPROVED, what=action.message)

    def _moment(self, *, reason: str | None = None, what: str | None = None) -> Moment:
        status = self.status
        candidate = status.candidate
        if candidate is not None and candidate.revision not in self.known:
            self.known.append(candidate.revision)
        weight = candidate.weight if candidate else 0
        if candidate is None and status.phase in ("Promoted", "Promoting"):
            weight = 100
        return Moment(
            at=self.now - self.world.script.start,
            phase=status.phase,
            reason=reason or status.reason,
            weight=weight,
            step=candidate.step if candidate and status.stable else None,
            what=what or status.message,
            sample=Sample(
                self.now - self.world.script.start,
                self.world.shares(self.now),
                frozen=status.reason == reasons.FROZEN,
            ),
            waits_for="" if reason else self.world.awaited(status),
        )

    def _next_moment(self) -> datetime | None:
        event = self.world.next_event(self.now, self.status)
        if self.status.reason in reasons.AWAIT_A_TIME and (wait := self.plan().recheck_after) is not None:
            # Windows come again: what would be decided far from now says nothing about when this one ends.
            goes_on = self.now + timedelta(seconds=wait)
            return goes_on if event is None else min(event, goes_on)
        limit = event or self.now + _HORIZON
        if not self._decides_otherwise(limit):
            return event
        early, late = self.now, limit
        while late - early > timedelta(seconds=1):
            middle = early + timedelta(seconds=int((late - early).total_seconds() / 2) or 1)
            early, late = (early, middle) if self._decides_otherwise(middle) else (middle, late)
        return late

    def _decides_otherwise(self, at: datetime) -> bool:
        # The world as it is now: only the clock has moved.
        observed = self.world.observe(self.now, self.status)
        decision = plan(self.spec, self.status, observed, at)
        return _visible(decision.status) != _visible(self.status)


def _visible(status: ModelDeploymentStatus) -> tuple[object, ...]:
    candidate = status.candidate
    place = (
        (candidate.revision, candidate.weight, candidate.step, candidate.settled)
        if candidate is not None
        else None
    )
    # What the evidence says changes with every look; the line tells where it begins, and the next one where it ends.
    judged = status.reason in _JUDGED or "is watched until" in status.message
    return (status.phase, status.reason, "" if judged else status.message, place)


def _without_glimpses(moments: Iterator[Moment]) -> tuple[Moment, ...]:
    """Of several lines for one second, one reason and one weight, keep the last; of equal ones, the first."""
    kept: list[Moment] = []
    for moment in moments:
        if kept and _shown(kept[-1]) == _shown(moment):
            continue
        if kept and _place(kept[-1]) == _place(moment):
            kept.pop()
        kept.append(moment)
    return tuple(kept)


def _place(moment: Moment) -> tuple[object, ...]:
    return (moment.at, moment.phase, moment.reason, moment.weight)


def _shown(moment: Moment) -> tuple[object, ...]:
    sample = moment.sample
    return (moment.phase, moment.reason, moment.weight, moment.what, sample.shares, sample.frozen)


def _without_registry(spec: ModelDeploymentSpec) -> ModelDeploymentSpec:
    """Give the spec as it is rolled out where no registry is asked."""
    return spec.model_copy(update={"model": spec.model.model_copy(update={"promote_alias": None})})


def rehearse(spec: ModelDeploymentSpec, script: Script, *, name: str, from_stable: bool) -> Timeline:
    """Play the rollout of `spec`: the first of its deployment, or one on top of a stable revision.

    Raises:
        RulesUnavailable: the rules of policies cannot be evaluated on this machine.
    """
    spec = _without_registry(spec)
    with Child() as rules:
        rehearsal = Rehearsal(spec, World(spec, script, name=name), rules, script.start)
        if from_stable:
            rehearsal = after_a_promotion(spec, script, name, rules)
        stable = rehearsal.status.stable.revision if rehearsal.status.stable else ""
        moments = _without_glimpses(rehearsal.run())
    status, known = rehearsal.status, rehearsal.known
    end = status.phase if status.phase in _SETTLED else "Waiting"
    title = "A new revision on top of a stable one" if from_stable else "The first deployment"
    because = status.message if end != "Waiting" else f"nothing more happens: {status.message}"
    ends = odds(spec.rollout, script.traffic, approve_after=script.approve_after) if from_stable else ()
    new, router = known[-1] if known else "", likely_router(spec)
    # Of the first one there is nothing to edit yet, and one line says it.
    pinning = what_pinning_does(spec.serving, ROUTERS[router].traits) if from_stable else ""
    return Timeline(
        title, moments, end, because, ends, new=new, stable=stable, router=router, pinning=pinning
    )


def after_a_promotion(spec: ModelDeploymentSpec, script: Script, name: str, rules: Child) -> Rehearsal:
    """Give a rehearsal that finds another model of the same kind promoted and serving."""
    at_once = spec.rollout.model_copy(
        update={"freeze": [], "not_before": None, "requires": [], "max_concurrent": None}
    )
    smooth = World(spec.model_copy(update={"rollout": at_once}), Script.smooth(), name=name, older=True)
    before = Rehearsal(smooth.spec, smooth, rules)
    for _ in before.run():
        pass
    world = World(spec, script, name=name)
    world.routing, world.before = before.world.routing, frozenset(before.world.started)
    world.started = {revision: [LONG_AGO] * len(pods) for revision, pods in before.world.started.items()}
    status = before.status.model_copy(
        update={"history": [], "ci": None, "retained": _variants(spec, before.status)}
    )
    return Rehearsal(spec, world, rules, script.start, status)


def _variants(spec: ModelDeploymentSpec, status: ModelDeploymentStatus) -> list[Retained]:
    """Give the revisions that an A/B test names, as many as are kept, served as the stable one is."""
    test, stable = spec.rollout.ab_test, status.stable
    if test is None or stable is None:
        return []
    names = [variant.revision for variant in test.variants[: spec.revision_history_limit]]
    like = [stable.model_copy(update={"revision": name, "workload": workload_name(name)}) for name in names]
    return [Retained(**one.model_dump(), left_at=START) for one in like]
