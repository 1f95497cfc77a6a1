"""What holds of ends: who is promoted, and who is given up."""

from tests.unit.operator.planning.witness.account import Account, Moment, same


def check_promotion(account: Account, moment: Moment) -> None:
    """Only who has all traffic, and the pods for it, becomes stable."""
    old, new = moment.before.stable, moment.after.stable
    if new is None or (old is not None and old.revision == new.revision):
        return
    candidate, journey = moment.before.candidate, account.journey
    assert candidate is not None
    assert candidate.revision == new.revision, "what was promoted was not on its way"
    assert candidate.runs
    assert moment.pods(new.revision) >= (1 if old is None or journey is None else journey.whole)
    assert old is None or moment.routed(new.revision) == 100, "promoted before it had all traffic"


def check_endings(account: Account, moment: Moment) -> None:
    """A candidate is not given up before its time, and not waited for beyond it."""
    candidate, journey = moment.before.candidate, account.journey
    if candidate is None or journey is None:
        return
    rollout = account.rollout
    gone = not same(candidate, moment.after.candidate)
    reason = moment.after.reason if moment.after.reason != moment.before.reason else ""
    if gone and reason == "Aborted":
        stable, asked = moment.before.stable, moment.observed.commands.get("promote")
        stays = candidate.matched and stable is not None and asked == stable.revision
        assert moment.asked("abort", candidate) or stays
    # With a surge, or in place, who has to have which pods is another's business from moment to moment.
    if rollout.max_surge is not None or rollout.strategy == "Recreate":
        journey.timed = False
    if not journey.timed or moment.after.reason == "UnsupportedByRouter":
        return
    if gone and reason == "ProgressDeadlineExceeded":
        assert journey.unready >= rollout.progress_deadline, "given up too early"
    if not gone and journey.counts and moment.after.phase != "Testing":
        assert journey.unready < rollout.progress_deadline, "waited for too long"
