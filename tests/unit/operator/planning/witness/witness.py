"""Watches a fleet and says what no decision may do."""

from dataclasses import dataclass, field

from mooring_operator.planning.rollout.actions import DropCommand, Route
from mooring_operator.planning.rollout.decision import Decision

from tests.unit.operator.planning.fleet import Fleet
from tests.unit.operator.planning.witness.account import Account, Moment
from tests.unit.operator.planning.witness.endings import check_endings, check_promotion
from tests.unit.operator.planning.witness.holds import check_holds
from tests.unit.operator.planning.witness.leaving import check_leaving
from tests.unit.operator.planning.witness.requests import check_requests, check_runtimes
from tests.unit.operator.planning.witness.steps import check_checks, check_steps
from tests.unit.operator.planning.witness.variants import check_variants, note_variants
from tests.unit.operator.planning.witness.verdicts import check_verdicts, take_looks
from tests.unit.operator.planning.witness.weights import (
    check_exposure,
    check_in_place,
    check_pods,
    check_weights,
)

DECISIONS = (
    check_steps,
    check_endings,
    check_promotion,
    check_checks,
    check_holds,
    check_verdicts,
    check_requests,
)
ROUTINGS = (
    check_weights,
    check_variants,
    check_leaving,
    check_pods,
    check_in_place,
    check_exposure,
    check_runtimes,
)


@dataclass
class Witness:
    """`crashes`: after how many decisions the operator crashes next, and how many actions it has done then."""

    fleet: Fleet
    crashes: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account = Account(self.fleet)

    def step(self, *, crash_after: int | None = None) -> Decision:
        before, served, taken_up = self.fleet.status, dict(self.fleet.routed), self.fleet.effective
        decision = self.fleet.step(crash_after=crash_after)
        routing = next((a.routing for a in decision.actions if isinstance(a, Route)), None)
        dropped = tuple((a.name, a.value) for a in decision.actions if isinstance(a, DropCommand))
        observed, now = self.fleet.observed, self.fleet.now
        assert observed is not None
        self.saw(Moment(before, decision.status, observed, now, routing, served, taken_up, dropped))
        return decision

    def next_crash(self) -> int | None:
        """Give how many actions are done of the next decision; None for all."""
        if not self.crashes:
            return None
        (pause, done), *later = self.crashes
        self.crashes = later if pause == 0 else [(pause - 1, done), *later]
        return done if pause == 0 else None

    def saw(self, moment: Moment) -> None:
        account = self.account
        account.follow(moment)
        take_looks(account, moment)
        account.begin(moment)
        note_variants(account, moment)
        for check in DECISIONS:
            check(account, moment)
        if moment.routing is None:
            assert moment.after.stable is None, "what is stable is not served"
        else:
            for watch in ROUTINGS:
                watch(account, moment, moment.routing)
        account.note_exits(moment)
        account.last, account.journey = moment.now, account.next
