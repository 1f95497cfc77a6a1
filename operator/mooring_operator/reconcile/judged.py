"""Reconciles what deployments go by, policies and templates: their status says whether all of it can be applied."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from mooring_operator.adapters.cluster import Cluster, Kind, Manifest, Ref
from mooring_operator.adapters.rules.engine import Rules
from mooring_operator.api import reasons
from mooring_operator.api.analysis_template import (
    AnalysisTemplateSpec,
    ClusterAnalysisTemplateSpec,
    TemplateStatus,
)
from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.api.demands import DemandsOnFiles
from mooring_operator.api.model_policy import ModelPolicySpec, PolicyStatus
from mooring_operator.planning import audit
from mooring_operator.planning.analysis import template_status
from mooring_operator.planning.policies import status as policy_status
from mooring_operator.planning.policies.rules import RuleAnswers, RuleQuestion
from mooring_operator.planning.policies.signers import names_kept_keys, with_keys
from mooring_operator.planning.status import spec_errors
from mooring_operator.reconcile.decisions import Decisions
from mooring_operator.reconcile.kinds import (
    ANALYSIS_TEMPLATE,
    CLUSTER_ANALYSIS_TEMPLATE,
    CLUSTER_MODEL_POLICY,
    MODEL_POLICY,
)

# Nobody tells of a file that Kubernetes changes.
_KEYS_SECONDS = 60.0


@dataclass(frozen=True)
class _Judging:
    """How objects of a kind are judged.

    reading: asks whether the expressions of a spec can be read; None where it has none.
    judge: gives the status of a spec, by the status before, generation, time, and the answer to `reading`.
    refuse: gives the status of a spec that is not valid, by the status before, why, generation and time.
    """

    spec: type[BaseModel]
    status: type[PolicyStatus]
    reading: Callable[[Any], RuleQuestion | None]
    judge: Callable[[Any, Any, int, datetime, RuleAnswers | None], PolicyStatus]
    refuse: Callable[[Any, str, int, datetime], PolicyStatus]


def _refuse_policy(before: PolicyStatus, why: str, generation: int, now: datetime) -> PolicyStatus:
    return policy_status.refuse_policy(before, reasons.INVALID_SPEC, why, generation, now)


def _policy(spec: type[BaseModel]) -> _Judging:
    return _Judging(spec, PolicyStatus, policy_status.reading_of, policy_status.judge_policy, _refuse_policy)


def _template(spec: type[BaseModel]) -> _Judging:
    return _Judging(
        spec,
        TemplateStatus,
        template_status.reading_of,
        template_status.judge_template,
        template_status.refuse_template,
    )


_KINDS: Mapping[Kind, _Judging] = {
    MODEL_POLICY: _policy(ModelPolicySpec),
    CLUSTER_MODEL_POLICY: _policy(ClusterModelPolicySpec),
    ANALYSIS_TEMPLATE: _template(AnalysisTemplateSpec),
    CLUSTER_ANALYSIS_TEMPLATE: _template(ClusterAnalysisTemplateSpec),
}


class Judged:
    """The controller of policies and templates, of namespaces and of the cluster."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        rules: Rules,
        clock: Callable[[], datetime],
        decisions: Decisions | None = None,
        signers: Callable[[], Mapping[str, Sequence[str]]] = dict,
    ) -> None:
        self._cluster = cluster
        self._decisions = decisions or Decisions(cluster)
        self._rules = rules
        self._clock = clock
        self._signers = signers

    async def reconcile(self, kind: Kind, namespace: str, name: str) -> float | None:
        """Read the expressions of one object, and write what was found.

        Returns:
            Seconds until it wants to be looked at again; None: only after a change.

        Raises:
            RulesUnavailable: the expressions cannot be read now; try again.
            AuditUnavailable: that they are new cannot be recorded now; try again.
        """
        resource = await self._cluster.get(Ref(kind, namespace, name))
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return None
        judging = _KINDS[kind]
        status = judging.status.model_validate(resource.get("status") or {})
        generation = resource["metadata"].get("generation", 0)
        try:
            spec = judging.spec.model_validate(resource["spec"])
        except ValidationError as error:
            invalid = judging.refuse(status, spec_errors.describe(error), generation, self._clock())
            await self._write(resource, status, invalid)
            return None
        again = None
        if isinstance(spec, DemandsOnFiles):
            again = _KEYS_SECONDS if names_kept_keys(spec) else None
            spec = with_keys(spec, self._signers())
        question, read = judging.reading(spec), None
        if question is not None:
            read = (await self._rules.answer(namespace, [question])).get(question.key)
            if read is None:
                return self._rules.wait(namespace, question)
        judged = judging.judge(spec, status, generation, self._clock(), read)
        await self._write(resource, status, judged)
        return again

    async def _write(self, resource: Manifest, before: PolicyStatus, judged: PolicyStatus) -> None:
        entries = audit.of_rules(resource, before.observed_generation, judged, self._clock())
        await self._decisions.write(resource, judged, entries)
