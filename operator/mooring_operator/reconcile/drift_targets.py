"""Looks up what a DriftMonitor watches."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mooring_artifacts.data_versions.references import pin
from mooring_artifacts.gates import COMPARABLE
from mooring_artifacts.uris import SCHEMES

from mooring_operator.adapters.cluster import Cluster, Ref
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.api import API_VERSION, forms
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_rows import Sought
from mooring_operator.api.drift_target import OTHER_KIND, TargetKind
from mooring_operator.api.rollout_status import ModelDeploymentStatus, Revision
from mooring_operator.planning.drift import targets
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.drift.sources import Kept, KnownTest
from mooring_operator.planning.drift.targets import Unwatchable
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.rollout import capturing
from mooring_operator.planning.rollout.capturing import collects, may_capture
from mooring_operator.planning.status import conditions
from mooring_operator.reconcile.failures import StatusUnreadable
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT
from mooring_operator.reconcile.wire import peek_status

_LABEL = "label"
_OURS = (API_VERSION, MODEL_DEPLOYMENT.kind)
_KINDS = {"ModelDeployment": MODEL_DEPLOYMENT, "InferenceService": INFERENCE_SERVICE}


class DriftTargets:
    """What monitors watch, as it stands in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def find(self, namespace: str, spec: DriftMonitorSpec) -> Target | Unwatchable:
        """Look up what a spec names, or say why it cannot be watched.

        Raises:
            InvalidName: it is the name of nothing.
            ClusterError: the API server does not answer.
        """
        asked = spec.target
        if asked is None:
            return Target("", None, None)
        resource = await self._get(namespace, asked.kind, asked.name)
        if resource is None:
            other = await self._get(namespace, OTHER_KIND[asked.kind], asked.name)
            return targets.missing(asked.kind, asked.name, other_exists=other is not None)
        if asked.kind == "ModelDeployment":
            return _deployment(asked.name, resource)
        made_for = _made_for(resource)
        return Target(asked.name, None, None) if made_for is None else targets.owned(asked.name, made_for)

    async def _get(self, namespace: str, kind: TargetKind, name: str) -> Manifest | None:
        return await self._cluster.get(Ref(_KINDS[kind], namespace, name))


def _made_for(service: Manifest) -> str | None:
    """Give the ModelDeployment that an InferenceService is a revision of."""
    owners = service["metadata"].get("ownerReferences") or []
    names = (one["name"] for one in owners if (one["apiVersion"], one["kind"]) == _OURS)
    return next(names, None)


def _deployment(name: str, resource: Manifest) -> Target:
    try:
        status = peek_status(resource, ModelDeploymentStatus)
    except StatusUnreadable:
        # Its own status says so; until that is mended nobody knows which revision drifts.
        return Target(name, None, None)
    named = (resource["spec"].get("model") or {}).get("uri")
    return Target(
        name,
        status.stable.revision if status.stable else None,
        status.previous.revision if status.previous else None,
        replace(kept_by(status.stable, resource["spec"]), capturing=_capturing(status))
        if status.stable
        else Kept(),
        model_uri=named if isinstance(named, str) else "",
        candidate=status.candidate.revision if status.candidate else None,
    )


def kept_by(stable: Revision, spec: Mapping[str, Any]) -> Kept:
    """Give what the revision that serves keeps of its requests; `spec` is the ModelDeployment's, as it is stored."""
    capture = stable.serving_spec.capture
    keeps = capture is not None and (may_capture(stable) or collects(stable))
    return Kept(
        since=stable.since,
        store=capture.store if capture is not None and keeps else "",
        retention=capture.retention if capture is not None else None,
        tested_on=_tested_on(stable, spec),
        tested=_tested(stable, spec),
    )


def _tested(stable: Revision, spec: Mapping[str, Any]) -> KnownTest:
    """Give what the test of the revision measured, and how its rows were read."""
    data = (spec.get("ci") or {}).get("testData") or {}
    metrics = stable.tested.metrics if stable.tested is not None and stable.tested.verdict == "Passed" else {}
    return KnownTest(
        figures={name: metrics[name] for name in COMPARABLE if name in metrics},
        rows=int(metrics.get("rows", 0)),
        output=data.get("output") or "",
        classes=data.get("classes") or (),
        task=data.get("task") or "",
    )


def _capturing(status: ModelDeploymentStatus) -> tuple[str, str, str] | None:
    """Give what the ModelDeployment says of its capture; None while that is about another revision than serves."""
    found = conditions.find(status.conditions, capturing.CONDITION) if status.candidate is None else None
    return (found.status, found.reason, found.message) if found is not None else None


def _tested_on(stable: Revision, spec: Mapping[str, Any]) -> Sought | None:
    """Give the rows of the test that the revision has passed; None where no run could read them, or there was none."""
    data = (spec.get("ci") or {}).get("testData") or {}
    uri, label = data.get("uri"), data.get("labelColumn", _LABEL)
    if stable.tested is None or stable.tested.verdict != "Passed":
        return None
    if not forms.ADDRESS.fits(uri) or uri.partition(":")[0] not in SCHEMES:
        return None
    # What a dataset's newest version was then is what the revision was tested on.
    digest = stable.tested.test_data_digest
    return Sought(uri=pin(uri, digest) if digest else uri, without=label if forms.COLUMN.fits(label) else "")
