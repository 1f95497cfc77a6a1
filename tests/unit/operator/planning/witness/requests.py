"""What holds of what people ask for, and of the runtimes that revisions were made with."""

from typing import Any

from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.routing import Routing

from tests.unit.operator.planning.witness.account import Account, Moment, same

SCALING = ("minReplicas", "maxReplicas", "autoscaling")


def check_requests(account: Account, moment: Moment) -> None:
    """Whoever asks for an end of a rollout, or for the way back, has it at once."""
    candidate, stable, after = moment.before.candidate, moment.before.stable, moment.after
    restores = candidate is not None and candidate.restores
    if candidate is not None and same(candidate, after.candidate) and moment.asked("pause", candidate):
        assert "pause" not in dict(moment.dropped), "a rollout that somebody holds was let go"
    if candidate is not None and not restores and moment.asked("abort", candidate):
        assert not same(candidate, after.candidate), "it goes on, and was aborted"
    if stable is None or restores or not account.previous:
        return
    asked = moment.observed.commands.get("rollback", "").partition(" ")[0] == stable.revision
    comes = after.candidate is not None and after.candidate.restores
    assert not asked or comes or after.stable != stable, "nobody goes back, and it was asked for"


def check_runtimes(account: Account, moment: Moment, routing: Routing) -> None:
    """A revision keeps the runtime that it began with; where it is pinned, an edit of it is rolled out to nobody."""
    for arm in routing.arms:
        known = account.images.setdefault(arm.revision.revision, image_of(arm.revision))
        assert known == image_of(arm.revision), "its runtime was edited under it"
    stable, candidate = moment.before.stable, moment.after.candidate
    if stable is None or candidate is None or same(moment.before.candidate, candidate) or candidate.restores:
        return
    edited = content_of(stable) == content_of(candidate)
    pinned = account.fleet.spec.serving.runtime_policy == "Pinned"
    assert not (edited and pinned), "a runtime that is pinned was followed"


def image_of(revision: Revision) -> Any:
    return revision.runtime.spec if revision.runtime is not None else None


def content_of(revision: Revision) -> Any:
    """What the revision is but for its runtime, and for how many pods it has."""
    serving = {name: value for name, value in revision.serving.items() if name not in SCALING}
    return revision.storage_uri, revision.format, revision.format_version, serving
