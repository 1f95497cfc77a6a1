"""Refuses what no rollout could carry out: said before anything is tested or written."""

from mooring_operator.api import reasons
from mooring_operator.planning import addresses
from mooring_operator.planning.rollout.draft import Draft
from mooring_operator.planning.routes import why_too_long
from mooring_operator.planning.runs import texts
from mooring_operator.planning.status.wording import keeps_serving


def refuse_long_names(draft: Draft) -> Draft:
    """Name and namespace become parts of names that DNS limits."""
    owner = draft.observed.owner
    refusal = why_too_long(owner.name, owner.namespace, draft.observed.router, draft.spec.serving)
    if not refusal:
        return draft
    return draft.settle("Failed", reasons.NAME_TOO_LONG, refusal + keeps_serving(draft.stable), stalled=True)


def leave_what_is_not_ours(draft: Draft) -> Draft:
    """Nothing is written where an object of somebody else has the name that is needed."""
    taken = draft.observed.name_taken
    if taken is None:
        return draft
    return draft.stop(reasons.NAME_TAKEN, taken.message, temporary=taken.temporary, soon=5.0)


def refuse_addresses_of_files(draft: Draft) -> Draft:
    """Only development reads models and rows from files."""
    refusal = addresses.refuse_files(addresses.addresses_of(draft.spec), files=draft.observed.file_addresses)
    if refusal is None:
        return draft
    return draft.settle(
        "Failed", reasons.ADDRESS_NOT_ALLOWED, refusal + keeps_serving(draft.stable), stalled=True
    )


def refuse_what_runs_cannot_carry(draft: Draft) -> Draft:
    """Nothing is asked of a backend that it cannot keep."""
    refusal = texts.refuse_wide(texts.texts_of_test(draft.spec), narrow=draft.observed.narrow_runs)
    if refusal is None:
        return draft
    return draft.settle(
        "Failed", reasons.CHARACTERS_NOT_ALLOWED, refusal + keeps_serving(draft.stable), stalled=True
    )


def refuse_components_that_are_not_split(draft: Draft) -> Draft:
    """A transformer and its model move together, or not at all."""
    router, stable = draft.observed.router, draft.stable
    if router.splits_components or stable is None:
        return draft
    arms = (stable.serving_spec, draft.spec.serving)
    fields = [name for name in ("transformer", "explainer") if any(getattr(arm, name) for arm in arms)]
    if not fields:
        return draft
    return draft.supersede("the spec changed").settle(
        "Failed",
        reasons.COMPONENTS_NOT_SPLIT,
        f"spec.serving.{fields[0]}: {router.controller} sends a candidate's requests past it; use a router that "
        f"serves each revision by itself, or make a new ModelDeployment{keeps_serving(stable)}",
        stalled=True,
    )
