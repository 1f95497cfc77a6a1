"""From changes in the cluster to keys of the queue."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any

from mooring_operator.adapters.cluster import Manifest
from mooring_operator.adapters.recent import RecentObjects
from mooring_operator.adapters.routers.http_routes import HTTP_ROUTE
from mooring_operator.adapters.routers.owned import ENDPOINT_SLICE, ready_endpoints
from mooring_operator.api import forms, reasons
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.planning.objects.owner import part
from mooring_operator.runtime.deployments import Deployments, Needs
from mooring_operator.runtime.dispatch import Dispatch
from mooring_operator.runtime.lanes import Lanes
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.ties import Ties
from mooring_operator.runtime.workqueue import Key

MODEL_DEPLOYMENT = "ModelDeployment"
MODEL_POLICY = "ModelPolicy"
CLUSTER_MODEL_POLICY = "ClusterModelPolicy"
ANALYSIS_TEMPLATE = "AnalysisTemplate"
CLUSTER_ANALYSIS_TEMPLATE = "ClusterAnalysisTemplate"
_TEMPLATES = (ANALYSIS_TEMPLATE, CLUSTER_ANALYSIS_TEMPLATE)
_SHARED = (MODEL_POLICY, CLUSTER_MODEL_POLICY, *_TEMPLATES)
"""What deployments go by, and what has no phase."""
_BURST = 0.05


def key_of(kind: str, resource: Manifest) -> Key:
    """Give the key of an object; its namespace is empty where the kind has none."""
    return Key(kind, resource["metadata"].get("namespace", ""), resource["metadata"]["name"])


class Intake:
    """Is told of every change, and has the right objects looked at.

    A change of status alone is our own writing, and no reason to look again: a reconciler that
    wants to says so, and whoever waits for what it says is looked at. Remembers what of each object
    is not status, and which ModelDeployments depend on what of others, or wait for one another. What
    is remembered of one that vanished unseen costs a look at nothing.
    """

    def __init__(
        self,
        queue: Lanes,
        dispatch: Dispatch,
        telemetry: Telemetry,
        bindings_changed: Callable[[], None],
        recent: RecentObjects | None = None,
    ) -> None:
        self._queue = queue
        self._recent = recent or RecentObjects()
        self._dispatch = dispatch
        self._telemetry = telemetry
        self._bindings_changed = bindings_changed
        self._deployments = Deployments()
        self._ties = Ties()
        self._seen: dict[Key, int] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._runtimes: dict[Key, int] = {}

    def changed(self, kind: str, resource: Manifest, *, listed: bool = False) -> None:
        """A resource of ours is new, or different; or the watch begins, and it is there."""
        self._recent.told(resource, listed=listed)
        self._note(kind, resource)

    def _note(self, kind: str, resource: Manifest) -> None:
        key = key_of(kind, resource)
        if kind == MODEL_DEPLOYMENT:
            self._deployments.note(key, _needs(resource))
            self._look_at(self._ties.note(key, resource))
        if kind not in _SHARED:
            self._count(key, resource)
        wanted = _wanted(resource)
        if self._seen.get(key) != wanted:
            self._seen[key] = wanted
            self._queue.add(key)
            self._look_at_bound(key)

    def deleted(self, kind: str, resource: Manifest) -> None:
        """A resource of ours is gone; `resource` is its last state."""
        self._recent.gone(resource)
        key = key_of(kind, resource)
        self._deployments.forget(key)
        self._look_at(self._ties.forget(key))
        self._seen.pop(key, None)
        if kind in _SHARED:
            # Nothing is left of it; those that it bound are free of it.
            self._look_at_bound(key)
            return
        self._telemetry.saw(kind, key.namespace, key.name, None)
        if kind == MODEL_DEPLOYMENT:
            self._queue.discard(_route_of(key))
        forgotten = self._dispatch.note_deleted(key, resource)
        if forgotten is not None and forgotten not in self._seen:
            # A replica that stands by works on none: its queue must not grow with all that ever was.
            self._queue.discard(forgotten)
        self._queue.add(key)

    def behind_changed(self, made: Manifest, *, listed: bool = False) -> None:
        """What was made for a ModelDeployment is new or different, or there: its label says for which."""
        self._recent.told(made, listed=listed)
        self._look_at_owner(made)

    def behind_gone(self, made: Manifest) -> None:
        """What was made for a ModelDeployment is gone; `made` is its last state."""
        self._recent.gone(made)
        self._look_at_owner(made)

    def _look_at_owner(self, made: Manifest) -> None:
        metadata = made["metadata"]
        deployment = (metadata.get("labels") or {}).get(DEPLOYMENT_LABEL)
        # Anybody may write the label: only what can be a name is looked at.
        if not forms.DEPLOYMENT_NAME.fits(deployment):
            return
        key = Key(MODEL_DEPLOYMENT, metadata["namespace"], deployment)
        # Its changes come in bursts, and the first is our own.
        self._queue.add_after(key, _BURST)
        if key in self._seen and made.get("kind") == ENDPOINT_SLICE.kind and not ready_endpoints(made):
            # Requests go there until its route is changed: that waits for no other look.
            self._queue.add(_route_of(key))

    def runtime_changed(self, kind: str, runtime: Manifest) -> None:
        """A serving runtime is new or different; a copy of ours is behind its ModelDeployment."""
        self._recent.told(runtime)
        if _is_ours(runtime):
            self._look_at_owner(runtime)
            return
        key, wanted = key_of(kind, runtime), _wanted(runtime)
        if self._runtimes.get(key) != wanted:
            self._runtimes[key] = wanted
            self._look_at(self._deployments.running_on(key.namespace, key.name))

    def runtime_deleted(self, kind: str, runtime: Manifest) -> None:
        """A serving runtime is gone."""
        self._recent.gone(runtime)
        if _is_ours(runtime):
            self._look_at_owner(runtime)
            return
        key = key_of(kind, runtime)
        self._runtimes.pop(key, None)
        self._look_at(self._deployments.running_on(key.namespace, key.name))

    def namespace_changed(self, namespace: Manifest) -> None:
        """A namespace is new or different: by its labels other ClusterModelPolicies may bind it."""
        name, labels = namespace["metadata"]["name"], namespace["metadata"].get("labels") or {}
        if self._namespaces.get(name) != labels:
            self._namespaces[name] = labels
            self._bindings_changed()
            self._look_at(self._deployments.inside(name))

    def namespace_deleted(self, namespace: Manifest) -> None:
        """A namespace is gone."""
        self._namespaces.pop(namespace["metadata"]["name"], None)

    def _look_at_bound(self, policy: Key) -> None:
        """Have the ModelDeployments looked at that a policy binds, or may bind, or that are judged by a template."""
        if policy.kind in _TEMPLATES:
            self._look_at(self._deployments.judged_by(policy))
        elif policy.kind == MODEL_POLICY:
            self._look_at(self._deployments.naming(policy.namespace, policy.name))
        elif policy.kind == CLUSTER_MODEL_POLICY:
            self._bindings_changed()
            self._look_at(self._deployments.all())

    def _look_at(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._queue.add(key)

    def listed(self, kind: str, resources: Iterable[Manifest]) -> set[Key]:
        """Some of what there is of one of our kinds, as a list just said; give their keys."""
        found = set()
        for resource in resources:
            key = key_of(kind, resource)
            # As it was when the list began: the watch may have told of a later state.
            self._note(kind, resource)
            self._queue.add(key)
            found.add(key)
        return found

    def listed_all(self, kind: str, found: Set[Key]) -> None:
        """All of one of our kinds was listed: what else was known is gone."""
        if kind not in _SHARED:
            self._telemetry.saw_all(kind, [(key.namespace, key.name) for key in found])
        for key in [key for key in self._seen if key.kind == kind and key not in found]:
            del self._seen[key]
            self._deployments.forget(key)
            self._look_at(self._ties.forget(key))

    def _count(self, key: Key, resource: Manifest) -> None:
        self._telemetry.saw(key.kind, key.namespace, key.name, part(resource, "status"))


def _needs(resource: Manifest) -> Needs:
    """Give what a ModelDeployment depends on; what is of another form is for its reconciler to judge."""
    spec, status = part(resource, "spec"), part(resource, "status")
    policies = spec.get("policies")
    runtimes = [part(spec, "serving").get("runtime")]
    runtimes += [part(part(status, role), "runtime").get("name") for role in ("stable", "candidate")]
    return Needs(
        _names(policies if isinstance(policies, list) else ()),
        _names(runtimes),
        status.get("reason") in reasons.OF_RUNTIMES,
        frozenset(_templates(resource)),
    )


def _templates(resource: Manifest) -> Iterator[Key]:
    """Yield the keys of the templates that a ModelDeployment is judged by."""
    named = part(part(part(resource, "spec"), "rollout"), "analysis").get("templates")
    for template in named if isinstance(named, list) else ():
        if isinstance(template, Mapping) and isinstance(template.get("name"), str):
            if template.get("clusterScope") is True:
                yield Key(CLUSTER_ANALYSIS_TEMPLATE, "", template["name"])
            else:
                yield Key(ANALYSIS_TEMPLATE, resource["metadata"]["namespace"], template["name"])


def _names(values: Iterable[Any]) -> frozenset[str]:
    return frozenset(value for value in values if isinstance(value, str))


def _route_of(deployment: Key) -> Key:
    return Key(HTTP_ROUTE.kind, deployment.namespace, deployment.name)


def _is_ours(made: Manifest) -> bool:
    labels = made["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY) == MANAGED_BY_VALUE and DEPLOYMENT_LABEL in labels


def _wanted(resource: Manifest) -> int:
    """Stand for all of an object that others write: spec (by its generation), labels, annotations, deletion."""
    metadata = resource["metadata"]
    parts = [
        metadata.get(name) for name in ("uid", "generation", "labels", "annotations", "deletionTimestamp")
    ]
    return hash(json.dumps(parts, sort_keys=True))
