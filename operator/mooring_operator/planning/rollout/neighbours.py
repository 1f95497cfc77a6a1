"""What a rollout may know of other ModelDeployments: what they have promoted, and whether they roll out themselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mooring_operator.api import reasons
from mooring_operator.api.names import EVIDENCE_FOR
from mooring_operator.planning.objects.owner import part


@dataclass(frozen=True)
class Turn:
    """A deployment that rolls out, or waits for its turn since `queued`."""

    name: str
    rolls: bool
    queued: str = ""

    def is_before(self, since: str, name: str) -> bool:
        """Whether it goes before another one that waits."""
        return self.rolls or (self.queued, self.name) < (since, name)


def turn_of(resource: Mapping[str, Any]) -> Turn | None:
    """Give what a ModelDeployment takes of its namespace's turns; None where it takes none."""
    status, name = part(resource, "status"), resource["metadata"]["name"]
    candidate = part(status, "candidate")
    reason = status.get("reason")
    if candidate.get("begun") or candidate.get("weight") or (candidate and reason == reasons.RECREATING):
        return Turn(name, rolls=True)
    if candidate and reason == reasons.QUEUED:
        return Turn(name, rolls=False, queued=str(candidate.get("startedAt")))
    return None


def promoted_digest(resource: Mapping[str, Any]) -> str:
    """Give the digest of what a ModelDeployment has promoted; nothing where it has none of its content.

    What was taken over as it ran was neither tested nor rolled out there.
    """
    stable = part(part(resource, "status"), "stable")
    digest = None if stable.get("adopted") else stable.get("digest")
    return digest if isinstance(digest, str) and digest.startswith("sha256:") else ""


def shows(resource: Mapping[str, Any], namespace: str) -> bool:
    """Whether a ModelDeployment lets a namespace learn what it has promoted: its own, or one that it names."""
    metadata = resource["metadata"]
    named = str((metadata.get("annotations") or {}).get(EVIDENCE_FOR, "")).split(",")
    return metadata.get("namespace") == namespace or bool({namespace, "*"} & {one.strip() for one in named})
