"""Which ClusterModelPolicies bind a namespace."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from mooring_operator.adapters.cluster import Cluster, Forbidden, Ref
from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.reconcile.kinds import CLUSTER_MODEL_POLICY, NAMESPACE

_FRESH_S = 1.0


@dataclass(frozen=True)
class Binding:
    """The policies that bind a namespace, None for one that cannot be read; or why they are not known."""

    policies: Mapping[str, ClusterModelPolicySpec | None] = field(default_factory=dict)
    error: str = ""


class ClusterPolicies:
    """Looks up the policies, and the labels of namespaces.

    What was looked up is good for `fresh_for` seconds, so that many reconciles at once share it, or until a change
    is seen, which has every deployment looked at again.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        enabled: bool = True,
        fresh_for: float = _FRESH_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._enabled = enabled
        self._fresh_for = fresh_for
        self._clock = clock
        self._listing = asyncio.Lock()
        self._policies: list[Manifest] = []
        self._labels: dict[str, Mapping[str, str]] = {}
        self._good_until = float("-inf")
        self._changes = 0

    def changed(self) -> None:
        """Forget what was looked up: a policy or a namespace has changed."""
        self._good_until = float("-inf")
        self._changes += 1

    async def binding(self, namespace: str) -> Binding:
        """Give the policies that bind `namespace`.

        Raises:
            ClusterError: the API server does not answer.
        """
        if not self._enabled:
            return Binding()
        try:
            policies = await self._list()
            labels = await self._labels_of(namespace) if policies else {}
        except Forbidden as error:
            return Binding(
                error=f"which ClusterModelPolicies bind the namespace cannot be told: {error}; grant it, or set "
                "MOORING_CLUSTER_POLICIES=false where nobody uses them"
            )
        parsed = {policy["metadata"]["name"]: _parse(policy) for policy in policies}
        return Binding(
            {
                name: policy
                for name, policy in sorted(parsed.items())
                if policy is None or policy.namespace_selector.selects(labels)
            }
        )

    async def _list(self) -> list[Manifest]:
        async with self._listing:
            if self._clock() >= self._good_until:
                changes, until = self._changes, self._clock() + self._fresh_for
                self._policies = await self._cluster.list(CLUSTER_MODEL_POLICY)
                self._labels.clear()
                if changes == self._changes:
                    self._good_until = until
            return self._policies

    async def _labels_of(self, namespace: str) -> Mapping[str, str]:
        labels = self._labels.get(namespace)
        if labels is None:
            found = await self._cluster.get(Ref(NAMESPACE, "", namespace))
            labels = (found or {"metadata": {}})["metadata"].get("labels") or {}
            self._labels[namespace] = labels
        return labels


def _parse(policy: Manifest) -> ClusterModelPolicySpec | None:
    try:
        return ClusterModelPolicySpec.model_validate(policy["spec"])
    except ValidationError:
        # Only a newer definition lets in what this version does not know.
        return None
