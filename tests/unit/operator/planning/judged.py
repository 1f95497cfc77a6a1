"""Worlds whose revisions answer requests, so that rollouts are judged."""

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from mooring_operator.planning.analysis.counting import Answer, Counted, Counting, Request
from mooring_operator.planning.analysis.histograms import Histogram
from mooring_operator.planning.rollout import analysis
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.rollout.situation import Observed
from mooring_operator.planning.routes import Traits

from tests.unit.operator.planning.fleet import EACH, Fleet
from tests.unit.operator.planning.world import World

BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
COUNTING = Counting(timedelta(seconds=10), timedelta(seconds=5))


@dataclass
class Answering(World):
    """`bad`, `slow` and `ones` are shares of each model's requests; `per_second` come to all of them together."""

    bad: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    ones: dict[str, float] = field(default_factory=dict)
    """Predictions of class 1; a model that is not named here has three in ten, and with -1 it counts none."""
    per_second: float = 100.0
    seed: int | None = None
    """Counts are what they are expected to be; with a seed they vary as requests do."""
    unavailable: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    counting: Counting = COUNTING
    taken: list[tuple[datetime, datetime]] = field(default_factory=list)
    """From when to when looks were taken."""

    def observe(self) -> Observed:
        observed = replace(super().observe(), counting=self.counting)
        request = analysis.due(self.spec, self.status, observed.owner, self.counting, self.now)
        return observed if request is None else replace(observed, counted=self.count(request))

    def step(self, *, crash_after: int | None = None) -> Decision:
        before = self.status.analysis
        decision = super().step(crash_after=crash_after)
        now = decision.status.analysis
        if before is not None and now is not None and now.until > before.until and now.since == before.since:
            self.taken.append((before.until, now.until))
        return decision

    def go_on(self, limit: int = 400) -> Decision:
        """Let time pass as the planner asks, until the rollout has ended or waits for a person."""
        for _ in range(limit):
            decision = self.step()
            if decision.phase in ("RolledBack", "Failed", "Paused", "AwaitingApproval"):
                return decision
            if decision.phase == "Promoted" and "is watched" not in decision.message:
                return decision
            self.now += timedelta(seconds=max(decision.recheck_after or 1, 1))
        raise AssertionError(f"does not end: {self.status.phase} {self.status.message}")

    def count(self, request: Request) -> Answer:
        if self.unavailable:
            return Answer(request, unavailable=self.unavailable)
        counted = {name: self._count(name, request) for name in request.metrics}
        return Answer(request, counted)

    def _count(self, name: str, request: Request) -> Counted:
        if name in self.problems:
            return Counted(problem=self.problems[name])
        counted = self._between(name, request, request.since, request.until)
        if name not in request.begins:
            return counted
        before = self._between(name, request, request.since - timedelta(hours=1), request.since, alone=True)
        return replace(counted, before=before)

    def _between(
        self, name: str, request: Request, since: datetime, until: datetime, *, alone: bool = False
    ) -> Counted:
        looks = int((until - since) / request.every)
        times = [(since + request.every * n).timestamp() for n in range(1, looks + 1)]
        shares = {request.candidate: 0.0 if alone else self.share(request), request.stable: 1.0}
        shares[request.stable] -= shares[request.candidate]
        arms = [revision for revision in shares if shares[revision] > 0]
        asked = {
            revision: self.per_second * shares[revision] * request.every.total_seconds() for revision in arms
        }
        if name == "latency":
            return Counted(
                histograms={arm: {at: self._histogram(arm, asked[arm], at) for at in times} for arm in arms}
            )
        if name == "predictionDrift":
            return Counted(
                predicted={
                    arm: {at: cells for at in times if (cells := self._predicted(arm, at, asked[arm]))}
                    for arm in arms
                }
            )
        wrong = {arm: self.bad.get(self.name_of(arm), 0.01) for arm in arms}
        return Counted(
            {arm: {at: float(round(asked[arm])) for at in times} for arm in arms},
            {arm: {at: self._drawn(arm, at, asked[arm], wrong[arm]) for at in times} for arm in arms},
        )

    def share(self, request: Request) -> float:
        if self.status.stable is not None and self.status.stable.revision == request.candidate:
            return 1.0
        candidate = self.status.candidate
        return ((candidate.weight or candidate.mirror) if candidate is not None else 0) / 100

    def name_of(self, revision: str) -> str:
        status = self.status
        kept = (status.stable, status.candidate, status.previous, *status.retained)
        known = next((r for r in kept if r is not None and r.revision == revision), None)
        return known.storage_uri.removeprefix("s3://m/") if known is not None else ""

    def _predicted(self, arm: str, at: float, of: float) -> dict[str, float]:
        share = self.ones.get(self.name_of(arm), 0.3)
        if share < 0:
            return {}
        ones = self._drawn(arm, at, of, share)
        return {"0": float(round(of)) - ones, "1": ones}

    def _drawn(self, arm: str, at: float, of: float, share: float) -> float:
        if self.seed is None:
            return float(round(of * share))
        dice = random.Random(f"{self.seed}/{arm}/{at}")
        return float(sum(dice.random() < share for _ in range(round(of))))

    def _histogram(self, arm: str, of: float, at: float) -> Histogram:
        """A tail that falls tenfold from bound to bound beyond 50 ms, and `slow` times as thick."""
        thick = self.slow.get(self.name_of(arm), 1.0)
        shares = [0.9, 0.5, *(min(0.1 * thick * 0.3**n, 1.0) for n in range(len(BOUNDS) - 2))]
        return Histogram(BOUNDS, tuple(float(round(of * share)) for share in shares), float(round(of)))


@dataclass
class AnsweringFleet(Answering, Fleet):
    """The same, with a router that serves each revision by itself."""

    router: Traits = EACH
    routed: dict[str, int] = field(default_factory=dict)  # type: ignore[assignment]


def rollout(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A rollout that is judged."""
    analysed = {"metrics": [{"metric": "errorRate"}], **fields.pop("analysis", {})}
    return {"steps": list(steps), "analysis": analysed, **fields}
