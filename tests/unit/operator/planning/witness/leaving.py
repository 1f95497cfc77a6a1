"""What holds of revisions that lose their traffic."""

from mooring_operator.planning.routing import Routing

from tests.unit.operator.planning.witness.account import Account, Moment, carries, up


def check_leaving(account: Account, moment: Moment, routing: Routing) -> None:
    """What leaves keeps what stable cannot carry yet, and no more; it keeps its pods for a while."""
    stable, *others = routing.arms
    candidate = moment.after.candidate
    takes_part = {*account.sides, *([candidate.revision] if candidate is not None else [])}
    leaving = [arm for arm in others if arm.revision.revision not in takes_part]
    lacks, beside = 0, moment.pods(stable.revision.revision)
    for arm in leaving:
        left = account.left_of(moment, arm.revision.revision)
        assert left is not None, "traffic for what nobody has left"
        lacks = max(lacks, 100 - carries(beside, left.whole))
        late = moment.now - left.at >= account.rollout.progress_deadline
        pods = moment.pods(arm.revision.revision)
        allowed = 0 if late else min(left.asked, up(100 * pods, max(1, pods + beside)))
        assert arm.weight <= allowed, f"{arm.weight}% for what leaves, where {allowed}% is due"
    assert sum(arm.weight for arm in leaving) <= lacks, "more is kept than the stable revision lacks"
    known = {name: left for name, left in account.left.items() if left.asked}
    for arm in leaving:
        known.setdefault(arm.revision.revision, account.leaves(moment, 0))
    if len(known) == 1 and (candidate is None or not candidate.runs):
        [(name, left)] = known.items()
        left = account.left_of(moment, name) or left
        late = moment.now - left.at >= account.rollout.progress_deadline
        pods = moment.pods(name)
        due = min(left.asked, up(100 * pods, max(1, pods + beside)))
        able = carries(beside, left.least)
        assert late or stable.weight <= max(able, 100 - due), "traffic goes back before the pods for it"
    arms = {arm.revision.revision for arm in routing.arms}
    for revision, left in account.left.items():
        if moment.now - left.at < account.rollout.scale_down_delay:
            assert revision in arms, "its pods went before scaleDownDelay was over"
    for revision, weight in moment.served.items():
        assert not weight or revision in arms, "its pods went while requests went to it"
