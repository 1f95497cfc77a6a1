"""The policies that a revision must comply with before any of it is served.

ModelPolicies are those that the deployment names; ClusterModelPolicies bind its namespace, whatever it names.
What is promoted keeps its traffic: a policy that it does not comply with any more is told, and holds what comes next.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from mooring_operator.api import reasons
from mooring_operator.api.model_policy import ModelPolicySpec
from mooring_operator.api.rollout_status import CIStatus, Phase, Revision
from mooring_operator.planning.actions import Notify
from mooring_operator.planning.policies.demands import unmet_by_spec, unmet_demands
from mooring_operator.planning.policies.evidence import judge_files, rule_facts, without_keys
from mooring_operator.planning.policies.rules import PolicyResult, RuleAnswers, judge, question_of
from mooring_operator.planning.policies.status import Policy
from mooring_operator.planning.rollout.draft import Draft, RolloutDraft, Settled
from mooring_operator.planning.status.wording import keeps_serving

_SOON = 1.0
_MOST_LABELS = 128
_CONDITION = "PoliciesMet"
_CLUSTER = "ClusterModelPolicy "

DraftT = TypeVar("DraftT", bound=Draft)


def refuse_what_is_forbidden(draft: Draft) -> Draft:
    """What policies demand of a spec holds before anything of it is tested.

    It is looked at whenever the spec or a policy changes: nobody has to ask for a retry.
    """
    if problem := _unreadable(draft):
        waiting = draft.set_condition(_CONDITION, "Unknown", reasons.CLUSTER_POLICIES_UNREADABLE, problem)
        return waiting.settle("Pending", reasons.CLUSTER_POLICIES_UNREADABLE, problem, recheck_after=60.0)
    # The candidate as it was taken up, and what is taken up in its place: the same content, as far as anybody says, may
    # lie at another address, which the spec names by now.
    current = draft.candidate if draft.candidate and draft.candidate.revision == draft.target else None
    unmet = (_unmet(draft, current) if current is not None else None) or _unmet(draft, _wanted(draft))
    if unmet is None:
        return draft
    reason, message = unmet[0], unmet[1] + keeps_serving(draft.stable)
    draft = draft.set_condition(_CONDITION, "False", reason, message)
    if current is not None:
        rejected = draft.with_candidate(current).reject(reason, message)
        return rejected.change(failed_revision=None, failed_attempt=0)
    before = draft.before
    phase: Phase = "RolledBack" if (before.phase, before.reason) == ("RolledBack", reason) else "Failed"
    return draft.supersede("the spec changed").settle(phase, reason, message)


def wait_for_signers(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Nothing is tested for a policy whose signers all have no key: no signature could be verified.

    The keys are looked up in every pass, so it goes on as soon as one is there.
    """
    unknown = _without_keys(draft)
    if not unknown:
        return draft
    return draft.set_condition(_CONDITION, "Unknown", reasons.SIGNER_UNKNOWN, unknown).settle(
        "Pending", reasons.SIGNER_UNKNOWN, unknown, recheck_after=60.0
    )


def enforce_policies(draft: RolloutDraft) -> RolloutDraft | Settled:
    """Every policy must find the candidate compliant."""
    missing = _missing(draft)
    if missing:
        return draft.set_condition(_CONDITION, "Unknown", reasons.POLICY_NOT_FOUND, missing).settle(
            "Pending", reasons.POLICY_NOT_FOUND, missing, recheck_after=60.0
        )
    policies = _judging(draft)
    if not policies and not draft.observed.cluster_policies and not draft.spec.policies:
        return draft
    if len(draft.observed.owner.labels) > _MOST_LABELS:
        return _with_too_many_labels(draft)
    draft, results = _evaluate(draft, policies, draft.candidate, draft.status.ci)
    if len(results) < len(policies):
        return _await_answers(draft)
    failed = _failed(results)
    if failed is None:
        return draft.set_condition(_CONDITION, "True", reasons.POLICIES_MET, "every policy is met")
    reason, why = failed
    message = f"revision {draft.candidate.revision}: {why}"
    return draft.set_condition(_CONDITION, "False", reason, message).reject(reason, message)


def report_compliance(draft: Draft, stable: Revision) -> Draft:
    """Say whether what is promoted complies with the policies as they are now; it keeps its traffic."""
    if problem := _unreadable(draft):
        return draft.set_condition(_CONDITION, "Unknown", reasons.CLUSTER_POLICIES_UNREADABLE, problem)
    if missing := _missing(draft):
        return draft.set_condition(_CONDITION, "Unknown", reasons.POLICY_NOT_FOUND, missing)
    if keyless := _without_keys(draft):
        return draft.set_condition(_CONDITION, "Unknown", reasons.SIGNER_UNKNOWN, keyless)
    if unmet := _unmet(draft, stable):
        return _report(draft, *unmet)
    policies = _judging(draft)
    if not policies and not draft.observed.cluster_policies and not draft.spec.policies:
        return _without_condition(draft)
    ci = draft.status.ci if draft.spec.ci is not None else None
    # Of the stable revision nothing is known where the last run was another's.
    unknown = draft.spec.ci is not None and (ci is None or ci.revision != stable.revision)
    if unknown or len(draft.observed.owner.labels) > _MOST_LABELS:
        return draft
    draft, results = _evaluate(draft, policies, stable, ci)
    if len(results) < len(policies):
        return draft
    if failed := _failed(results):
        return _report(draft, *failed)
    return draft.set_condition(_CONDITION, "True", reasons.POLICIES_MET, "every policy is met")


def binding_policies(draft: Draft) -> Iterator[Policy]:
    """Yield the policies that the deployment has to comply with, as far as they can be read."""
    named = (draft.observed.policies.get(name) for name in draft.spec.policies)
    yield from (policy for policy in draft.observed.cluster_policies.values() if policy is not None)
    yield from (policy for policy in named if policy is not None)


def facts_of(draft: Draft, revision: Revision, ci: CIStatus | None) -> dict[str, Any]:
    """Give what rules see of a revision and of its test."""
    owner = draft.observed.owner
    return {
        "metrics": dict(ci.metrics) if ci is not None else {},
        "model": {
            "uri": revision.model_uri,
            "storageUri": revision.storage_uri,
            "digest": revision.digest or "",
            "format": revision.format,
        },
        "deployment": {"name": owner.name, "namespace": owner.namespace, "labels": dict(owner.labels)},
        "serving": revision.serving,
        **rule_facts(ci.facts if ci is not None else {}),
    }


# --- which policies there are -------------------------------------------------------------------


def _unreadable(draft: Draft) -> str:
    if draft.observed.cluster_policies_error:
        return draft.observed.cluster_policies_error
    unreadable = [name for name, policy in draft.observed.cluster_policies.items() if policy is None]
    if not unreadable:
        return ""
    names = ", ".join(sorted(unreadable))
    return f"{_CLUSTER}{names} has fields that this operator does not know; it needs the operator of its definition"


def _missing(draft: Draft) -> str:
    for name in draft.spec.policies:
        if draft.observed.policies.get(name) is None:
            namespace = draft.observed.owner.namespace
            return f"ModelPolicy {name!r} does not exist in namespace {namespace!r}; make it"
    return ""


def _without_keys(draft: Draft) -> str:
    for name, policy in _judging(draft).items():
        if unknown := without_keys(policy.signed_by):
            kind = "" if name.startswith(_CLUSTER) else "ModelPolicy "
            return f"{kind}{name}: {unknown}"
    return ""


def _judging(draft: Draft) -> dict[str, Policy]:
    """Give every policy that has rules, of its own or ready-made."""
    binding = draft.observed.cluster_policies.items()
    policies: dict[str, Policy | None] = {f"{_CLUSTER}{name}": policy for name, policy in binding}
    policies |= {name: draft.observed.policies.get(name) for name in draft.spec.policies}
    return {
        name: policy
        for name, policy in policies.items()
        if policy is not None and (policy.rules or policy.looks_at_files)
    }


def _wanted(draft: Draft) -> Revision:
    """Give the revision that the spec asks for, as far as demands are about it."""
    return Revision(
        revision=draft.target,
        model_uri=draft.spec.model.uri,
        storage_uri=draft.resolved.storage_uri,
        format=draft.spec.model.format,
    )


# --- how a revision does ------------------------------------------------------------------------


def _unmet(draft: Draft, revision: Revision) -> tuple[str, str] | None:
    """Give the reason and a message, where `revision` does not meet what policies demand of a spec."""
    demands = {
        f"{_CLUSTER}{name}": unmet_demands(policy, draft.spec, revision)
        for name, policy in draft.observed.cluster_policies.items()
        if policy is not None
    }
    reason = reasons.CLUSTER_POLICY_VIOLATED
    found = [*_forbidden(demands, revision)]
    if not found:
        reason = reasons.POLICY_VIOLATED
        named = {name: draft.observed.policies.get(name) for name in draft.spec.policies}
        found += _forbidden(
            {
                f"ModelPolicy {name}": unmet_by_spec(policy, draft.spec)
                for name, policy in named.items()
                if policy is not None
            },
            revision,
        )
    return (reason, "; ".join(found)) if found else None


def _forbidden(demands: Mapping[str, Iterator[str]], revision: Revision) -> Iterator[str]:
    for policy, unmet in demands.items():
        if told := "; ".join(unmet):
            yield f"{policy} forbids revision {revision.revision}: {told}"


def _evaluate(
    draft: DraftT, policies: Mapping[str, Policy], revision: Revision, ci: CIStatus | None
) -> tuple[DraftT, dict[str, PolicyResult]]:
    """Give the results that are known, and a draft that asks for the others."""
    results, facts = {}, facts_of(draft, revision, ci)
    for name, policy in policies.items():
        question = question_of(policy.rules, facts)
        answers = draft.observed.answers.get(question.key) if policy.rules else RuleAnswers(())
        if answers is None:
            draft = draft.ask(question)
        else:
            score = policy.minimum_score if isinstance(policy, ModelPolicySpec) else 1.0
            ready_made = judge_files(policy, ci.facts if ci is not None else {})
            results[name] = judge(policy.rules, score, answers, ready_made)
    return draft, results


def _failed(results: Mapping[str, PolicyResult]) -> tuple[str, str] | None:
    """Give the reason and a message, where a policy is not complied with."""
    failed = {name: result for name, result in results.items() if not result.compliant}
    if not failed:
        return None
    reason = reasons.POLICY_VIOLATED
    if any(result.expensive for result in failed.values()):
        reason = reasons.POLICY_TOO_EXPENSIVE
    elif any(name.startswith(_CLUSTER) for name in failed):
        reason = reasons.CLUSTER_POLICY_VIOLATED
    told = (
        f"{name} meets {result.met} of {result.total} rules ({'; '.join(result.failures)})"
        for name, result in failed.items()
    )
    return reason, "; ".join(told)


# --- what follows -------------------------------------------------------------------------------


def _await_answers(draft: RolloutDraft) -> Settled:
    before = draft.before
    if draft.candidate.runs:
        # It has complied before, and keeps the traffic that it has.
        kept = draft.keep_conditions()
        return kept.settle(before.phase, before.reason, before.message, recheck_after=_SOON)
    message = f"evaluating the rules of policies for revision {draft.candidate.revision}"
    return draft.set_condition(_CONDITION, "Unknown", reasons.EVALUATING_POLICIES, message).settle(
        "Testing", reasons.EVALUATING_POLICIES, message, recheck_after=_SOON
    )


def _report(draft: Draft, reason: str, why: str) -> Draft:
    """Say that what is promoted does not comply, with an Event where that is news."""
    message = f"{why}; it keeps its traffic, and its successor has to comply"
    known = any(
        condition.type == _CONDITION and condition.status == "False" for condition in draft.before.conditions
    )
    if not known:
        draft = draft.request(Notify("Warning", reason, message))
    return draft.set_condition(_CONDITION, "False", reason, message)


def _with_too_many_labels(draft: RolloutDraft) -> Settled:
    # Facts without some of the labels would be others, and all of them may be a megabyte.
    count = len(draft.observed.owner.labels)
    message = (
        f"metadata.labels: rules of policies see at most {_MOST_LABELS} labels, got {count}; remove some"
    )
    return draft.set_condition(_CONDITION, "Unknown", reasons.TOO_MANY_LABELS, message).settle(
        "Pending", reasons.TOO_MANY_LABELS, message, stalled=True
    )


def _without_condition(draft: Draft) -> Draft:
    kept = {name: found for name, found in draft.conditions.items() if name != _CONDITION}
    return replace(draft, conditions=kept)
