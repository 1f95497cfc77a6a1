"""What people, or a DriftMonitor, ask for by annotation: ``REVISION``, ``REVISION/STEP``, either with a note.

The note stands behind a blank: ``3f2a91c0de/2 error rates are equal``.
"""

from dataclasses import dataclass

from mooring_operator.api.rollout_status import ModelDeploymentStatus, Revision

# Names of users among them: two of them that were cut count as the same, which denies and never allows.
_LONGEST = 512


@dataclass(frozen=True)
class Asked:
    """A command's value, parsed."""

    revision: str
    step: str
    note: str
    by: str = ""

    @classmethod
    def parse(cls, value: str, by: str = "") -> "Asked":
        """Read the value of a command's annotation, and of the one that says who gives it."""
        named, _, note = value.partition(" ")
        revision, _, step = named.partition("/")
        return cls(revision, step, one_line(note), one_line(by))

    def is_of_step(self, step: int | None) -> bool:
        """Whether it names this step, or none."""
        return not self.step or (step is not None and self.step == str(step))


def one_line(text: str) -> str:
    """Give what somebody wrote for others to read: one line, printable, and not too long for a message."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:_LONGEST]


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
    arms = [candidate, *_other_arms(status)] if command == "promote" else [candidate]
    named = any(arm is not None and arm.revision == asked.revision for arm in arms)
    return candidate is not None and named and asked.is_of_step(candidate.step)


def _other_arms(status: ModelDeploymentStatus) -> list[Revision | None]:
    """Give who may win an A/B test beside the new revision."""
    on_trial = status.candidate is not None and status.candidate.matched
    return [status.stable, *(known for known in status.retained if known.variant)] if on_trial else []
