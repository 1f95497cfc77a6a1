"""Reconciles policies: says in their status whether every part of them can be applied."""

from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic import ValidationError

from mooring_operator.adapters.cluster import Cluster, Kind, Ref
from mooring_operator.adapters.rules.engine import Rules
from mooring_operator.api import reasons
from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.api.model_policy import ModelPolicySpec, PolicyStatus
from mooring_operator.planning.policies.status import judge_policy, reading_of, refuse_policy
from mooring_operator.planning.status import spec_errors
from mooring_operator.reconcile.kinds import CLUSTER_MODEL_POLICY, MODEL_POLICY
from mooring_operator.reconcile.wire import write_status

_MODELS: Mapping[Kind, type[ModelPolicySpec | ClusterModelPolicySpec]] = {
    MODEL_POLICY: ModelPolicySpec,
    CLUSTER_MODEL_POLICY: ClusterModelPolicySpec,
}


class Policies:
    """The controller of ModelPolicies and ClusterModelPolicies."""

    def __init__(self, *, cluster: Cluster, rules: Rules, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._rules = rules
        self._clock = clock

    async def reconcile(self, kind: Kind, namespace: str, name: str) -> float | None:
        """Read the expressions of one policy, and write what was found.

        Returns:
            Seconds until it wants to be looked at again; None: only after a change.

        Raises:
            RulesUnavailable: the expressions cannot be read now; try again.
        """
        resource = await self._cluster.get(Ref(kind, namespace, name))
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return None
        status = PolicyStatus.model_validate(resource.get("status") or {})
        generation = resource["metadata"].get("generation", 0)
        try:
            policy = _MODELS[kind].model_validate(resource["spec"])
        except ValidationError as error:
            why = spec_errors.describe(error)
            invalid = refuse_policy(status, reasons.INVALID_SPEC, why, generation, self._clock())
            await write_status(self._cluster, resource, invalid)
            return None
        question = reading_of(policy)
        answers = await self._rules.answer(namespace, [question])
        if question.key not in answers:
            return self._rules.wait(namespace, question)
        judged = judge_policy(policy, answers[question.key], status, generation, self._clock())
        await write_status(self._cluster, resource, judged)
        return None
