"""Says why a monitor cannot watch what its spec names."""

from dataclasses import dataclass

from mooring_operator.api import reasons
from mooring_operator.api.drift_target import FOREIGN, OTHER_KIND, TargetKind


@dataclass(frozen=True)
class Unwatchable:
    """A reason and a message."""

    reason: str
    message: str


def missing(kind: TargetKind, name: str, *, other_exists: bool = False) -> Unwatchable:
    """Nothing of this kind has the name; `other_exists` says whether something of the other kind has."""
    message = f"spec.target.name: there is no {kind} {name!r} in this namespace; make it"
    if other_exists:
        other = OTHER_KIND[kind]
        message += f", or set spec.target.kind to {other}: there is one of this name"
    return Unwatchable(reasons.TARGET_NOT_FOUND, message)


def owned(name: str, deployment: str) -> Unwatchable:
    """It is what a ModelDeployment made, and comes and goes with its revisions."""
    return Unwatchable(
        reasons.TARGET_OWNED,
        f"spec.target.name: {FOREIGN} {name!r} is a revision of ModelDeployment {deployment!r}: set "
        f"spec.target to {{kind: ModelDeployment, name: {deployment}}}",
    )
