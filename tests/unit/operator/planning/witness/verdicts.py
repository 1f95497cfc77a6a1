"""What holds of rollouts that are judged: the witness counts what it is told of, look by look."""

from datetime import datetime

from mooring_operator.api import reasons

from tests.unit.operator.planning.witness.account import Account, Journey, Moment, is_promoted, same
from tests.unit.operator.planning.witness.looks import Look, is_bad, is_gross


def take_looks(account: Account, moment: Moment) -> None:
    """Note what both revisions counted, each time once; without an analysis nothing is known any more."""
    if account.rollout.analysis is None:
        account.watched.clear()
        if account.journey is not None:
            account.journey.looks.clear()
        return
    candidate, journey, stable = moment.before.candidate, account.journey, moment.before.stable
    answer = moment.observed.counted
    if answer is None or stable is None or answer.unavailable:
        return
    looks = account.watched if candidate is None else journey.looks if journey is not None else []
    judged = stable.revision if candidate is None else candidate.revision
    if answer.request.candidate == judged:
        looks += [look for look in looks_of(moment) if not looks or look.at > looks[-1].at]


def looks_of(moment: Moment) -> list[Look]:
    answer = moment.observed.counted
    assert answer is not None
    counted, request = answer.metrics["errorRate"], answer.request
    arms = (request.candidate, request.stable)
    times = sorted({at for arm in arms for at in counted.requests.get(arm, {})})
    return [
        Look(
            at,
            moment.now,
            *(
                counts.get(arm, {}).get(at, 0.0)
                for arm in arms
                for counts in (counted.events, counted.requests)
            ),
        )
        for at in times
    ]


def check_verdicts(account: Account, moment: Moment) -> None:
    """What is far beyond a limit is left, and is not promoted; nobody is left without a reason in the counts."""
    candidate, journey = moment.before.candidate, account.journey
    failed = moment.after.reason == reasons.ANALYSIS_FAILED != moment.before.reason
    if candidate is not None and journey is not None and not candidate.restores:
        gone = not same(candidate, moment.after.candidate)
        if is_gross(journey.looks) and not journey.returns:
            assert gone, "what is far beyond a limit goes on"
            assert not is_promoted(moment), "what is far beyond a limit was promoted"
        if gone and failed:
            assert any(look.is_worse for look in journey.looks) or account.may_be_slow, "no worse than stable"
    if candidate is None and account.known and is_bad(account.watched):
        back = moment.after.candidate
        assert back is not None, "what is far beyond a limit stays promoted"
        assert back.restores


def has_evidence(journey: Journey, arrived: datetime) -> bool:
    """Whether both revisions answered since the rollout came to a stage, and the new one no worse by far."""
    looks = [look for look in journey.looks if look.told > arrived]
    told = [look for look in looks if look.requests and look.stable_requests]
    return bool(told) and not all(look.is_gross for look in told)
