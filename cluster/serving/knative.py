"""Revisions and traffic of the Knative mode, as KServe reads them off a Knative Service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cluster.serving.predictors import digest

GROUP = "serving.knative.dev"


@dataclass(frozen=True)
class Revision:
    """One immutable version of the predictor."""

    name: str
    digest: str
    predictor: Mapping[str, Any]


@dataclass(frozen=True)
class History:
    """The revisions of one InferenceService, oldest first."""

    revisions: tuple[Revision, ...] = field(default=())
    created: int = 0

    def __bool__(self) -> bool:
        return bool(self.revisions)

    def keep(self, names: set[str]) -> History:
        """Without the revisions that nothing refers to."""
        return History(tuple(revision for revision in self.revisions if revision.name in names), self.created)


def adopt(component: Mapping[str, Any], predictor: Mapping[str, Any]) -> History:
    """What can be told from status after a restart: the predictor in the spec is the latest revision."""
    name = component.get("latestCreatedRevision", "")
    number = name.rpartition("-")[2]
    if not number.isdigit():
        return History()
    return History((Revision(name, _identity(predictor), dict(predictor)),), int(number))


def record(history: History, isvc: str, predictor: Mapping[str, Any]) -> History:
    """A new revision where the predictor differs from the latest; the traffic split is not part of it."""
    identity = _identity(predictor)
    if history.revisions and history.revisions[-1].digest == identity:
        return history
    created = history.created + 1
    revision = Revision(f"{isvc}-predictor-{created:05d}", identity, dict(predictor))
    return History((*history.revisions, revision), created)


def traffic(canary_percent: int | None, rolled_out: str, latest_ready: str) -> list[dict[str, Any]]:
    """``status.traffic`` of the Knative Service: the latest ready revision against the rolled out one.

    Until the newest revision is ready, its share stays with the latest that is.
    """
    if not latest_ready:
        return []
    latest = {"revisionName": latest_ready, "latestRevision": True}
    if canary_percent is None or not rolled_out:
        return [{**latest, "percent": 100}]
    if canary_percent >= 100:
        return [{**latest, "percent": canary_percent}]
    previous = {
        "revisionName": rolled_out,
        "latestRevision": False,
        "percent": 100 - canary_percent,
        "tag": "prev",
    }
    return [{**latest, "percent": canary_percent}, previous]


def roll_out(
    component: Mapping[str, Any], created: str, latest_ready: str, split: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """``status.components.predictor`` after this traffic has been seen.

    A revision counts as rolled out once it is the latest ready one with all the traffic. Where the rolled out
    revision is then split against itself (a rollback), the one before it takes its place.
    """
    rolled_out = component.get("latestRolledoutRevision", "")
    previous = component.get("previousRolledoutRevision", "")
    share = sum(target["percent"] for target in split if target["revisionName"] == latest_ready)
    for target in split:
        if not target["latestRevision"] or target["revisionName"] != latest_ready:
            continue
        if rolled_out != latest_ready:
            if target["percent"] == 100:
                previous, rolled_out = rolled_out, latest_ready
        elif latest_ready == created and target["percent"] < 100 and share == 100 and previous:
            rolled_out = previous
    updated = {
        "latestCreatedRevision": created,
        "latestReadyRevision": latest_ready,
        "latestRolledoutRevision": rolled_out,
        "previousRolledoutRevision": previous,
        "traffic": [dict(target) for target in split],
    }
    return {**component, **{key: value for key, value in updated.items() if value}}


def traffic_weights(split: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Percent by revision; a revision named twice gets both."""
    weights: dict[str, int] = {}
    for target in split:
        weights[target["revisionName"]] = weights.get(target["revisionName"], 0) + target["percent"]
    return weights


def revision_object(revision: Revision, namespace: str) -> dict[str, Any]:
    """The Revision as Knative keeps it, with the labels of its pods, which are the predictor's."""
    labels = dict(revision.predictor.get("labels") or {})
    metadata = {"name": revision.name, "namespace": namespace, "labels": labels}
    return {"apiVersion": f"{GROUP}/v1", "kind": "Revision", "metadata": metadata}


def revision_crd(labels: Mapping[str, str]) -> dict[str, Any]:
    """A permissive definition of Revisions, for API servers without Knative's own."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    names = {"kind": "Revision", "listKind": "RevisionList", "plural": "revisions", "singular": "revision"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"revisions.{GROUP}", "labels": dict(labels)},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _identity(predictor: Mapping[str, Any]) -> str:
    return digest(predictor, without=["canaryTrafficPercent"])
