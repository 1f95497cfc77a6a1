"""From changes in the cluster to keys of the queue."""

from collections.abc import Iterable

from mooring_operator.adapters.cluster import Manifest
from mooring_operator.api.names import DEPLOYMENT_LABEL
from mooring_operator.runtime.dispatch import Dispatch
from mooring_operator.runtime.telemetry import Telemetry
from mooring_operator.runtime.workqueue import Key, WorkQueue

MODEL_DEPLOYMENT = "ModelDeployment"


def key_of(kind: str, resource: Manifest) -> Key:
    """Give the key of an object."""
    return Key(kind, resource["metadata"]["namespace"], resource["metadata"]["name"])


class Intake:
    """Is told of every change, and has the right objects looked at.

    Remembers which ModelDeployments name which policy. What is remembered of one that vanished
    unseen costs a look at nothing.
    """

    def __init__(self, queue: WorkQueue, dispatch: Dispatch, telemetry: Telemetry) -> None:
        self._queue = queue
        self._dispatch = dispatch
        self._telemetry = telemetry
        self._policies: dict[Key, frozenset[str]] = {}

    def changed(self, kind: str, resource: Manifest) -> None:
        """A resource of ours is new, or different, or was listed."""
        key = key_of(kind, resource)
        if kind == MODEL_DEPLOYMENT:
            self._policies[key] = frozenset((resource.get("spec") or {}).get("policies") or ())
        self._count(key, resource)
        self._queue.add(key)

    def deleted(self, kind: str, resource: Manifest) -> None:
        """A resource of ours is gone; `resource` is its last state."""
        key = key_of(kind, resource)
        self._policies.pop(key, None)
        self._telemetry.saw(kind, key.namespace, key.name, None)
        self._dispatch.note_deleted(key, resource)
        self._queue.add(key)

    def service_changed(self, service: Manifest) -> None:
        """An InferenceService of ours is new, different or gone."""
        metadata = service["metadata"]
        if deployment := (metadata.get("labels") or {}).get(DEPLOYMENT_LABEL):
            self._queue.add(Key(MODEL_DEPLOYMENT, metadata["namespace"], deployment))

    def policy_changed(self, policy: Manifest) -> None:
        """A ModelPolicy is new, different or gone."""
        namespace, name = policy["metadata"]["namespace"], policy["metadata"]["name"]
        for key, names in self._policies.items():
            if key.namespace == namespace and name in names:
                self._queue.add(key)

    def listed(self, kind: str, resources: Iterable[Manifest]) -> None:
        """All there is of one of our kinds, as a list just said."""
        found = {key_of(kind, resource): resource for resource in resources}
        for resource in found.values():
            self.changed(kind, resource)
        self._telemetry.saw_all(kind, [(key.namespace, key.name) for key in found])
        for key in [key for key in self._policies if key.kind == kind and key not in found]:
            del self._policies[key]

    def _count(self, key: Key, resource: Manifest) -> None:
        phase = (resource.get("status") or {}).get("phase") or "Pending"
        self._telemetry.saw(key.kind, key.namespace, key.name, phase)
