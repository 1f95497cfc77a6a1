"""A revision that runs for its test alone: as it will be served, and where no request reaches it."""

from dataclasses import replace

from mooring_operator.api.rollout_status import CIStatus
from mooring_operator.planning import identity
from mooring_operator.planning.rollout.actions import RunForTest, StopAfterTest
from mooring_operator.planning.rollout.draft import RolloutDraft, Settled
from mooring_operator.planning.routes import UnderTest
from mooring_operator.planning.status.wording import because

LOOK_AGAIN = 2.0
_PATHS = {"V1": "v1", "V2": "v2", "OpenAI": "openai/v1"}


def is_tested_as_served(draft: RolloutDraft | Settled) -> bool:
    """Whether the spec wants the model tested as it will be served."""
    ci = draft.spec.ci
    return ci is not None and ci.target == "Endpoint"


def bring_up(draft: RolloutDraft) -> tuple[RolloutDraft, str]:
    """Have the candidate run for its test, and say what it waits for; empty where it is ready."""
    name, left, seen = _name(draft), draft.status.test_instance, _seen(draft)
    if left not in (None, name):
        return draft, f"the instance of an older test, {left}, has to stop first"
    if seen is None:
        draft = draft.change(test_instance=name).request(RunForTest(name, draft.candidate))
        return draft, "it is brought up for its test"
    return draft, "" if seen.ready else f"it is brought up for its test{because(seen.message)}"


def why_hopeless(draft: RolloutDraft, status: CIStatus) -> str:
    """Say why the candidate will not run for its test; empty while it may."""
    refused, seen = draft.observed.refused, _seen(draft)
    if refused is not None:
        return f"its instance for the test was refused: {refused}"
    if seen is not None and seen.blocked:
        return f"it cannot be brought up for its test: {seen.blocked}"
    ready = seen is not None and seen.ready
    if not ready and draft.elapsed(status.started_at) > draft.spec.rollout.progress_deadline:
        why = because(seen.message if seen is not None else "")
        return f"it was not ready for its test within spec.rollout.progressDeadline{why}"
    return ""


def address_for(draft: RolloutDraft) -> str:
    """Give where the candidate answers that is ready for its test."""
    ci, seen = draft.spec.ci, _seen(draft)
    assert ci is not None
    assert seen is not None
    return f"{seen.address}/{_PATHS[ci.protocol]}/models/{seen.model_name}"


def stop_what_is_tested_no_more(draft: Settled) -> Settled:
    """Have an instance stop whose test is over, and forget it once it is gone."""
    name = draft.status.test_instance
    if name is None or name == _awaited(draft):
        return draft
    if draft.observed.under_test is None and draft.before.test_instance == name:
        return draft.change(test_instance=None)
    soon = min(draft.recheck_after or LOOK_AGAIN, LOOK_AGAIN)
    return replace(draft.request(StopAfterTest(name)), recheck_after=soon)


def _seen(draft: RolloutDraft) -> UnderTest | None:
    """Give how the candidate's instance does; what is seen is of the one that status named."""
    return draft.observed.under_test if draft.before.test_instance == _name(draft) else None


def _awaited(draft: Settled) -> str | None:
    """Give the name of the instance that a test still needs."""
    candidate, ci = draft.candidate, draft.status.ci
    if candidate is None or ci is None or not is_tested_as_served(draft):
        return None
    waits = ci.revision == candidate.revision and ci.verdict is None
    return _name(draft) if waits else None


def _name(draft: RolloutDraft | Settled) -> str:
    assert draft.candidate is not None
    owner = draft.observed.owner
    return identity.instance_name(owner.name, owner.uid, draft.candidate.revision)
