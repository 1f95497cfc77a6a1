"""A ModelDeployment from the cluster, parsed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from mooring_operator.api import ModelDeploymentSpec, ModelDeploymentStatus
from mooring_operator.api.names import askers_of, commands_of
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.times import parse

SETTLED = ("Promoted", "RolledBack", "Failed")


@dataclass(frozen=True)
class Deployment:
    """What the API server holds, in our models."""

    name: str
    namespace: str
    generation: int
    spec: ModelDeploymentSpec
    status: ModelDeploymentStatus
    commands: dict[str, str]
    askers: dict[str, str]
    created_at: datetime | None = None

    @classmethod
    def parse(cls, item: dict[str, Any]) -> "Deployment":
        """Read an object.

        Raises:
            CliError: another version of Mooring wrote it.
        """
        metadata = item["metadata"]
        try:
            spec = ModelDeploymentSpec.model_validate(item["spec"])
            status = ModelDeploymentStatus.model_validate(item.get("status") or {})
        except (ValidationError, OverflowError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else None
            where = f" ({'.'.join(map(str, first['loc']))}: {first['msg']})" if first else f" ({error})"
            raise CliError(
                f"ModelDeployment {metadata['name']} cannot be read{where}",
                hint="is this command line of the operator's version? -o json shows the object",
            ) from error
        return cls(
            name=metadata["name"],
            namespace=metadata.get("namespace", ""),
            generation=int(metadata.get("generation", 0)),
            spec=spec,
            status=status,
            commands=commands_of(metadata.get("annotations") or {}),
            askers=askers_of(metadata.get("annotations") or {}),
            created_at=parse(metadata.get("creationTimestamp") or ""),
        )

    @property
    def up_to_date(self) -> bool:
        """Whether the status is about the spec as it is now."""
        return self.status.observed_generation >= self.generation

    @property
    def settled(self) -> bool:
        """Whether nothing is on its way, and nothing that was asked for is still to be done."""
        waiting = any(name != "pause" for name in self.commands)
        return self.up_to_date and self.status.phase in SETTLED and not waiting
