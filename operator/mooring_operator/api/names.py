"""Labels and annotations that Mooring reads and writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, get_args

from mooring_operator.api import forms

FIELD_MANAGER = "mooring"

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "mooring"
DEPLOYMENT_LABEL = "mooring.dev/model-deployment"
REVISION_LABEL = "mooring.dev/revision"
TESTED_LABEL = "mooring.dev/tested-revision"
"""On what runs for a test alone, and on its pods: for network policies, and to find it."""
HOST_LABEL = "mooring.dev/host"
"""On routes: stands for the host name outside of the cluster, which only one of them can have."""
APPLIED_ANNOTATION = "mooring.dev/applied"
ADOPT_ANNOTATION = "mooring.dev/adopt"
"""Hands an object that has no controller over to the ModelDeployment that it names.

On a ModelDeployment: the service that runs and becomes its first revision, as `AdoptedService` writes it.
"""
KEEPERS = ("argocd", "flux", "helm")
"""What keeps objects as a repository has them."""


@dataclass(frozen=True)
class AdoptedService:
    """The very object that a ModelDeployment takes over; `released` names a keeper that has let it go."""

    name: str
    uid: str
    released: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NAME/UID`` or ``NAME/UID/KEEPER``.

        Raises:
            ValueError: it is neither.
        """
        name, _, rest = text.partition("/")
        uid, slash, released = rest.partition("/")
        if not forms.SERVICE_UID.fits(f"{name}/{uid}") or (slash and released not in KEEPERS):
            raise ValueError(f"is not NAME/UID or NAME/UID/KEEPER, with one of {', '.join(KEEPERS)}")
        return cls(name, uid, released)

    def __str__(self) -> str:
        """Give it as statuses keep it."""
        return f"{self.name}/{self.uid}"


GRANTS_CONFIG_MAP = "mooring-grants"
"""Beside the operator: what an administrator lets it read for tenants, key grants.yaml."""

SIGNERS_CONFIG_MAP = "mooring-signers"
"""Beside the operator: public keys of those whom policies name without one, key NAME.pem."""

Command = Literal["approve", "promote", "abort", "retry", "pause", "rollback"]
"""What a person, or a DriftMonitor, may ask of a ModelDeployment.

A command is the annotation ``mooring.dev/COMMAND`` with the value ``REVISION``, ``REVISION/STEP`` or
either with a note behind a blank: ``3f2a91c0de error rates are equal``. Who asks stands beside it, in
``mooring.dev/COMMAND-by``: the policies of manifests/admission see to it that it is the caller's name.
The operator removes both once the command is done or fits nothing any more. ``pause`` holds for as long
as it is there.
"""

COMMANDS: tuple[Command, ...] = get_args(Command)
COMMAND_PREFIX = "mooring.dev/"
REQUESTED_BY = COMMAND_PREFIX + "requested-by"
"""Annotation: who last changed ``spec.model`` or ``spec.serving``, by the same policies."""

EVIDENCE_FOR = COMMAND_PREFIX + "evidence-for"
"""Annotation of a ModelDeployment: the namespaces that may learn what it has promoted, with commas, or ``*``."""


def commands_of(annotations: Mapping[str, str]) -> dict[str, str]:
    """Give the commands among an object's annotations: value by name."""
    return {
        name: annotations[COMMAND_PREFIX + name] for name in COMMANDS if COMMAND_PREFIX + name in annotations
    }


def asker_annotation(command: str) -> str:
    """Give the annotation that says who gives a command."""
    return f"{COMMAND_PREFIX}{command}-by"


def askers_of(annotations: Mapping[str, str]) -> dict[str, str]:
    """Give who gave the commands among an object's annotations: user by command; none where nobody is named."""
    return {
        name: annotations[asker_annotation(name)]
        for name in COMMANDS
        if asker_annotation(name) in annotations
    }
