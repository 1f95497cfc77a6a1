"""How a judged rollout ends, and when: a few hundred of them, with requests that fail by chance."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import quantiles

from mooring_operator.api.analysis import Analyse, Analysis
from mooring_operator.api.rollout import Approve, Pause, RolloutSpec
from mooring_operator.cli.rehearsal_copies import share_copied
from mooring_operator.cli.rehearsal_traffic import Traffic, drawn
from mooring_operator.cli.rehearsal_world import START
from mooring_operator.planning.analysis.agreements import Copies
from mooring_operator.planning.analysis.counting import Counting, Request
from mooring_operator.planning.analysis.evidence import Evidence
from mooring_operator.planning.analysis.measuring import counted_of, limits_of, queries_of
from mooring_operator.planning.strategies.course import Exposure, Stage, Trial, course_of

_MOST_LOOKS = 5_000
"""Of one rollout: beyond them it goes on, for all that is known."""

ROLLED_BACK = "rolled back by evidence"
LEFT = "promoted, then left by evidence"
PROMOTED = "promoted"
TOO_LITTLE = "rolled back for too little evidence"
PAUSED = "waits for a person"
GOES_ON = "is not decided"


@dataclass(frozen=True)
class End:
    """One way in which rollouts end: in so many of `of`, after these times from the first request on."""

    end: str
    after: tuple[timedelta, ...]
    of: int

    @property
    def share(self) -> float:
        """How many of all end like this."""
        return len(self.after) / self.of

    @property
    def times(self) -> tuple[timedelta, timedelta, timedelta]:
        """The tenth, the fifth and the ninth of ten times."""
        seconds = sorted(after.total_seconds() for after in self.after)
        if len(seconds) == 1:
            seconds *= 2
        tenths = quantiles(seconds, n=10, method="inclusive")
        return (
            timedelta(seconds=tenths[0]),
            timedelta(seconds=tenths[4]),
            timedelta(seconds=tenths[8]),
        )


def odds(
    rollout: RolloutSpec, traffic: Traffic, *, approve_after: timedelta | None, of: int = 200
) -> Sequence[End]:
    """Play `of` rollouts from the first request of the new revision on; the most frequent end comes first."""
    if rollout.analysis is None or not traffic.is_any:
        return ()
    found: dict[str, list[timedelta]] = defaultdict(list)
    for seed in range(of):
        dice = random.Random(seed)  # noqa: S311 - the same numbers every time
        played = _Played(rollout, rollout.analysis, traffic, approve_after, dice)
        end = played.play()
        found[end].append(played.now - START)
    ends = [End(end, tuple(after), of) for end, after in found.items()]
    return sorted(ends, key=lambda end: -len(end.after))


@dataclass
class _Played:
    rollout: RolloutSpec
    analysis: Analysis
    traffic: Traffic
    approve_after: timedelta | None
    dice: random.Random
    counting: Counting = field(default_factory=Counting)
    now: datetime = START
    share: float = 0.0
    copies: Copies = field(default_factory=Copies)
    verdict: str = "INSUFFICIENT"

    def __post_init__(self) -> None:
        queries = queries_of(self.analysis)
        tallies = {query.name: query.unpacked("") for query in queries}
        self.evidence = Evidence(limits_of(self.analysis), queries=queries, tallies=tallies)
        self.count = drawn(self.dice)

    def play(self) -> str:
        for stage in course_of(self.rollout):
            self.evidence, self.verdict = self.evidence.of_a_new_step(), "INSUFFICIENT"
            end = self._take(stage)
            if end:
                return end
        if self.analysis.after_promotion is None:
            return PROMOTED
        self.evidence, self.share = self.evidence.alone(), 1.0
        for _ in self._looks(self.analysis.after_promotion):
            if self.verdict == "FAIL":
                return LEFT
        return PROMOTED

    def _take(self, stage: Stage) -> str:
        match stage:
            case Exposure():
                self.share = (stage.weight or stage.mirror) / 100
                if stage.mirror:
                    self.copies = Copies(problem="")
                elif not self.copies.problem and self.copies.until is None:
                    self.copies = replace(self.copies, until=self.now)
                return ""
            case Analyse():
                return self._await(stage.duration, passes=True) or self._go_by(stage)
            case Pause() if stage.duration is not None:
                return self._await(stage.duration, passes=self.analysis.early_promotion)
            case Trial():
                return self._try(stage)
            case Pause() | Approve():
                return self._for_a_person()
            case _:
                return ""

    def _go_by(self, stage: Analyse) -> str:
        if self.verdict == "PASS" or stage.on_insufficient == "Pass":
            return ""
        return TOO_LITTLE if stage.on_insufficient == "Fail" else self._for_a_person()

    def _try(self, trial: Trial) -> str:
        duration = trial.test.duration
        if duration is None:
            return self._for_a_person()
        end = self._await(duration, passes=self.analysis.early_promotion)
        if end or (self.verdict == "PASS" and self.analysis.early_promotion):
            return end
        return "" if trial.test.then == "Promote" else "rolled back when its time is over"

    def _for_a_person(self) -> str:
        if self.approve_after is None:
            return PAUSED
        return self._await(self.approve_after, passes=False)

    def _await(self, duration: timedelta, *, passes: bool) -> str:
        """Look until the time is over or the evidence suffices; the end, if that is it."""
        for _ in self._looks(duration):
            if self.verdict == "FAIL":
                return ROLLED_BACK
            if passes and self.verdict == "PASS":
                return ""
        return ""

    def _looks(self, duration: timedelta) -> Iterator[None]:
        looks = duration // self.counting.every
        for _ in range(min(looks, _MOST_LOOKS)):
            if self.share:
                self._look()
            self.now += self.counting.every
            yield
        if looks <= _MOST_LOOKS:
            self.now += duration - looks * self.counting.every

    def _look(self) -> None:
        since, metrics = self.now, tuple(limit.metric for limit in counted_of(self.analysis))
        request = Request(
            "default",
            "rehearsal",
            "new",
            "stable",
            metrics,
            tuple(name for name in self.evidence.missing if name in metrics),
            since,
            self.counting.every,
            since + self.counting.every,
            queries=self.evidence.queries,
            began=START,
            joined={name: tally.joined for name, tally in self.evidence.tallies.items()},
            copies=self.copies,
        )
        answer = self.traffic.answer(request, self.share, self.count, share_copied(self.rollout))
        self.evidence = self.evidence.after(answer, self.analysis.risk)
        self.verdict = self.evidence.judge(self.analysis.risk).verdict
