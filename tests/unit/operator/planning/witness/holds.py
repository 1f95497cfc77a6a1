"""What holds before a revision begins, and in a freeze: what goes back is held up by none of it."""

from datetime import UTC, datetime

from mooring_operator.api.rollout_status import Candidate

from tests.unit.operator.planning.witness.account import Account, Moment, same

EXPOSURE = ("begun", "weight", "replicas", "mirror", "matched")


def check_holds(account: Account, moment: Moment) -> None:
    """Nothing begins before it may; in a freeze nothing begins, gets more, or is promoted."""
    before, candidate, journey = moment.before.candidate, moment.after.candidate, account.next
    stable = moment.before.stable
    if stable is None:
        return
    goes_on = same(before, candidate)
    if (
        before is not None
        and not goes_on
        and candidate is None
        and not account.brings_back(before, account.journey)
    ):
        promoted = moment.after.stable is not None and moment.after.stable.revision != stable.revision
        assert not (promoted and is_frozen(account, moment.now)), "promoted in a freeze"
    if candidate is None or journey is None or candidate.restores or account.brings_back(candidate, journey):
        return
    began = candidate.runs and not (goes_on and before is not None and before.runs)
    if began:
        check_begin(account, moment, candidate)
    elif goes_on and before is not None and is_frozen(account, moment.now):
        exposed = [getattr(candidate, name) for name in EXPOSURE]
        assert exposed == [getattr(before, name) for name in EXPOSURE], "exposed to more in a freeze"


def check_begin(account: Account, moment: Moment, candidate: Candidate) -> None:
    rollout, fleet = account.rollout, account.fleet
    assert rollout.not_before is None or moment.now >= rollout.not_before, "it began before its time"
    assert not is_frozen(account, moment.now), "it began in a freeze"
    for required in rollout.requires:
        found = fleet.evidence.get((required.namespace or "ns", required.name))
        assert found == candidate.digest, "it began before others had promoted its model"
    if rollout.max_concurrent is not None:
        rolling = sum(other.rolls for other in fleet.others)
        assert rolling < rollout.max_concurrent, "it began before its turn"


def is_frozen(account: Account, now: datetime) -> bool:
    """Whether a dated window in UTC holds; of others this witness knows nothing."""
    windows = [one for one in account.rollout.freeze if one.is_dated and one.time_zone == "UTC"]
    return any(_moment(window.start) <= now < _moment(window.end) for window in windows)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
