"""What people, or a DriftMonitor, ask for by annotation: ``REVISION``, ``REVISION/STEP``, either with a note.

The note stands behind a blank: ``3f2a91c0de/2 by alice``.
"""

from dataclasses import dataclass

from mooring_operator.api.rollout_status import ModelDeploymentStatus


@dataclass(frozen=True)
class Asked:
    """A command's value, parsed."""

    revision: str
    step: str
    note: str

    @classmethod
    def parse(cls, value: str) -> "Asked":
        """Read the value of a command's annotation."""
        named, _, note = value.partition(" ")
        revision, _, step = named.partition("/")
        return cls(revision, step, note.strip())

    def is_of_step(self, step: int | None) -> bool:
        """Whether it names this step, or none."""
        return not self.step or (step is not None and self.step == str(step))


def still_fits(command: str, value: str, status: ModelDeploymentStatus) -> bool:
    """Whether a command still has something to act on."""
    asked = Asked.parse(value)
    if command == "retry":
        return asked.revision == status.failed_revision
    stable, candidate = status.stable, status.candidate
    if command == "rollback":
        under_way = candidate is not None and candidate.restores
        return (
            stable is not None
            and asked.revision == stable.revision
            and status.previous is not None
            and not under_way
        )
    return candidate is not None and asked.revision == candidate.revision and asked.is_of_step(candidate.step)
