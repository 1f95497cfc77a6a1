"""Takes up the revision that the spec asks for, in place of whatever was on its way."""

from mooring_operator.api import reasons
from mooring_operator.api.rollout_status import BroughtFiles, Candidate
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.api.serving import ServingSpec
from mooring_operator.planning import identity
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.rollout.actions import DropCommand, ForgetRuntime
from mooring_operator.planning.rollout.commands import one_line
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft
from mooring_operator.planning.rollout.staging import copied_as, is_from
from mooring_operator.planning.status.wording import because, by_whom


def take_up_the_candidate(draft: Draft) -> RolloutDraft:
    """Start the rollout of a new revision, in place of whatever was on its way."""
    current = draft.candidate
    if draft.observed.runtime_asked:
        draft = draft.request(ForgetRuntime())
    # By one digest two addresses are one revision: what people approve of is at the one that the spec has.
    if current is not None and current.revision == draft.target and is_from(draft, current):
        scaled = identity.scaled_as(current, draft.spec.serving)
        return draft.with_candidate(current.model_copy(update={"serving": scaled}))
    draft = draft.supersede(f"revision {draft.target} took its place")
    kept = next((known for known in draft.status.retained if known.revision == draft.target), None)
    adopted = kept.adopted if kept is not None else None
    attempt = draft.status.failed_attempt + 1 if draft.status.failed_revision == draft.target else 1
    runtime = draft.observed.runtime if isinstance(draft.observed.runtime, PinnedRuntime) else None
    edited = runtime is not None and draft.is_like_stable
    candidate = Candidate(
        revision=draft.target,
        model_uri=draft.spec.model.uri,
        storage_uri=draft.resolved.storage_uri,
        digest=draft.resolved.digest,
        # One that comes back is the version that its test made of it.
        registered=draft.resolved.registered or (kept.registered if kept is not None else None),
        brought=kept.brought if kept is not None else _listed(draft),
        format=draft.spec.model.format,
        format_version=draft.spec.model.format_version,
        serving=identity.serving_snapshot(draft.spec.serving if adopted else _served(draft)),
        adopted=adopted,
        runtime=None if adopted else runtime,
        attempt=attempt,
        returns=kept is not None and not kept.rejected,
        steps_hash=identity.steps_hash(draft.spec.rollout),
        # Who edited a runtime is not known here, and is not who last changed the spec.
        requested_by="" if edited else one_line(draft.observed.requested_by),
        started_at=draft.now,
        step_started_at=draft.now,
    )
    draft = _tell_of_a_retry(draft, attempt).change(failed_revision=None, failed_attempt=0)
    if candidate.returns and kept is not None and kept.tested is not None:
        draft = draft.change(ci=kept.tested)
    if runtime is not None and edited:
        message = f"{runtime.kind} {runtime.name} was edited: revision {draft.target} is rolled out with it"
        draft = draft.request(Notify("Normal", reasons.RUNTIME_CHANGED, message))
    return _without_older_commands(draft.with_candidate(named(draft, copied_as(draft, candidate))))


def _listed(draft: Draft) -> BroughtFiles | None:
    return BroughtFiles(is_folder=True) if draft.resolved.is_folder else None


def _tell_of_a_retry(draft: Draft, attempt: int) -> Draft:
    asked = draft.asked("retry", draft.target)
    if asked is None or draft.status.failed_revision != draft.target:
        return draft
    message = (
        f"revision {draft.target} is tried again (attempt {attempt}): asked for{by_whom(asked.by)}"
        f"{because(asked.note)}"
    )
    return draft.request(Notify("Normal", reasons.RETRY_REQUESTED, message))


def tell_of_an_edit_that_waits(draft: Draft) -> tuple[Draft, str]:
    """Give a clause about an edit of the stable revision's runtime that rolls nothing out, and tell of it once."""
    edited = draft.observed.edited_runtime
    if edited is None:
        return draft, ""
    what = (
        f"{edited.kind} {edited.name} was edited since it began: with runtimePolicy Pinned it runs on as it began, and "
        "the next revision begins with the edit"
    )
    if what not in draft.before.message:
        draft = draft.request(Notify("Normal", reasons.RUNTIME_CHANGED, f"revision {draft.target}: {what}"))
    return draft, f"; {what}"


def named(draft: Draft, candidate: Candidate) -> Candidate:
    """Name the candidate's workload, unlike the stable one's, where names are the plan's to give."""
    if not draft.observed.router.names_workloads:
        return candidate
    stable = draft.stable
    name = identity.workload_name(candidate.revision)
    if stable is not None and stable.workload == name:
        # A revision that only changed how the model is served kept its predecessor's workload.
        name = name[:-1] + ("x" if name[-1] != "x" else "y")
    return candidate.model_copy(update={"workload": name})


def _served(draft: Draft) -> ServingSpec:
    """Give how the revision is served, with the runtime of its format where the spec names none, and none is pinned.

    A revision keeps the runtime that it began with: another default is for those that come later.
    """
    serving = draft.spec.serving
    runtime = draft.observed.runtimes.get(draft.spec.model.format)
    if serving.runtime is not None or runtime is None or draft.observed.runtime is not None:
        return serving
    return serving.model_copy(update={"runtime": runtime})


def _without_older_commands(draft: RolloutDraft) -> RolloutDraft:
    """What was asked of a revision's last attempt, its abortion above all, is not asked of the next."""
    commands = draft.observed.commands
    older = {name: value for name, value in commands.items() if name in ("abort", "approve", "promote")}
    kept = {name: value for name, value in commands.items() if name not in older}
    dropped = (DropCommand(name, value) for name, value in older.items())
    return draft.with_commands(kept).request(*dropped)
