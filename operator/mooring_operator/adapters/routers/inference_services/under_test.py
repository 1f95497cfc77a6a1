"""Runs revisions for their tests: InferenceServices as they will have, which nothing selects and nobody routes to.

Source: KServe 0.21. What an InferenceService has for labels its pods have: none of ours, by which Services and budgets
select, and counters are looked up.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Ref
from mooring_operator.adapters.routers.inference_services.inquiry import Inquiry, now_utc
from mooring_operator.adapters.routers.inference_services.objects import (
    INFERENCE_SERVICE,
    SERVICE_LABEL,
    is_made_for,
    write_service,
)
from mooring_operator.adapters.routers.inference_services.revision_manifest import revision_service
from mooring_operator.adapters.routers.inference_services.revision_reading import (
    components_of,
    entry_of,
    read_variant,
)
from mooring_operator.adapters.routers.inference_services.revisions import DEPLOYMENT, SERVING_RUNTIME
from mooring_operator.adapters.routers.inference_services.runtime_copy import copy_of
from mooring_operator.adapters.routers.owned import find_owned, write_whole
from mooring_operator.adapters.routers.port import ServiceNameTaken
from mooring_operator.api.names import DEPLOYMENT_LABEL, REVISION_LABEL, TESTED_LABEL
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.routes import UnderTest

_OURS = frozenset({DEPLOYMENT_LABEL, REVISION_LABEL})


class InstancesUnderTest:
    """What runs for tests alone. Every call may be repeated."""

    def __init__(self, cluster: Cluster, now: Callable[[], datetime] = now_utc) -> None:
        self._cluster = cluster
        self._inquiry = Inquiry(cluster, now)

    async def observe(self, owner: Owner, name: str, revision: Revision | None) -> UnderTest | None:
        """Say how it does; None where nothing is there. Without a revision it is only said that something is."""
        try:
            service = await find_owned(self._cluster, INFERENCE_SERVICE, owner, name)
        except ServiceNameTaken as taken:
            return UnderTest(False, blocked=None if taken.leaving else str(taken), message=str(taken))
        if service is None:
            return None
        if revision is None:
            return UnderTest(False)
        deployments: dict[str, Manifest | None] = {}
        for component in components_of(revision):
            made = await self._cluster.get(Ref(DEPLOYMENT, owner.namespace, f"{name}-{component}"))
            deployments[component] = made if made is not None and is_made_for(made, service) else None
        fresh = self._inquiry.is_fresh(service)
        variant = read_variant(revision, service, deployments, fresh=fresh)
        if not variant.ready:
            cause = await self._inquiry.cause(service, {SERVICE_LABEL: name})
            variant = read_variant(revision, service, deployments, cause, fresh=fresh)
        return UnderTest(
            variant.ready,
            variant.message,
            variant.blocked,
            f"http://{name}-{entry_of(revision)}.{owner.namespace}.svc",
            # The copy of a runtime calls the model as the revision will; without one it is called as its service.
            name if revision.runtime is None and "model" in service["spec"]["predictor"] else owner.name,
        )

    async def run(self, owner: Owner, name: str, revision: Revision) -> None:
        """Have a revision run under this name, with one pod of each component."""
        if revision.runtime is not None:
            copy = copy_of(owner, revision, revision.runtime)
            copy["metadata"] |= {"name": name, "labels": _without_ours(copy["metadata"]["labels"])}
            seen = await find_owned(self._cluster, SERVING_RUNTIME, owner, name)
            await write_whole(self._cluster, copy, seen)
        service = await find_owned(self._cluster, INFERENCE_SERVICE, owner, name)
        await write_service(self._cluster, instance(owner, name, revision), service)

    async def stop(self, owner: Owner, name: str) -> None:
        """Delete what runs under this name; what is somebody else's stays."""
        for kind in (INFERENCE_SERVICE, SERVING_RUNTIME):
            seen = await self._cluster.get(Ref(kind, owner.namespace, name))
            if seen is not None and ownership.is_controlled_by(seen, owner.uid):
                await self._cluster.delete(seen)


def instance(owner: Owner, name: str, revision: Revision) -> Manifest:
    """Give the InferenceService that a revision is tested as: its own, but for names, labels, pods and capture."""
    serving = {field: value for field, value in revision.serving.items() if field != "capture"}
    tested = revision.model_copy(update={"serving": serving, "adopted": None})
    made = revision_service(owner, tested, pods=1, exact=True)
    said = {TESTED_LABEL: revision.revision}
    labels = {**_without_ours(made["metadata"]["labels"]), **said}
    metadata = {**made["metadata"], "name": name, "labels": labels}
    parts: dict[str, Any] = {}
    for component, part in made["spec"].items():
        bounds = {} if component == "predictor" else {"minReplicas": 1, "maxReplicas": 1}
        parts[component] = {**part, **bounds, "labels": {**_without_ours(part.get("labels") or {}), **said}}
    if revision.runtime is not None and "model" in parts["predictor"]:
        parts["predictor"]["model"] = {**parts["predictor"]["model"], "runtime": name}
    return {**made, "metadata": metadata, "spec": parts}


def _without_ours(labels: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if key not in _OURS}
