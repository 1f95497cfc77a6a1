"""What a run found in a model's files before it loaded them."""

from __future__ import annotations

from typing import Annotated

from pydantic import FailFast, Field

from mooring_artifacts.document_parts import Count, Part

MOST_FINDINGS = 20
LONGEST_FILE = 300
LONGEST_FINDING = 300


class ScanFinding(Part):
    """Something in a file that people should know.

    kind: pickle, code, custom-operators, archive, or unread where a look ended early. file: its path in the model's
    folder, and in archives behind `!`.
    """

    kind: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,30}$")]
    file: Annotated[str, Field(max_length=LONGEST_FILE)]
    message: Annotated[str, Field(max_length=LONGEST_FINDING)]

    def in_words(self) -> str:
        """The finding, in a line."""
        return f"{self.file} {self.message}"


class Scan(Part):
    """What there is to know of a model's files; what its format does not allow has ended the run before.

    files: that were looked at. left_out: findings beyond those that are listed.
    """

    files: Count
    findings: Annotated[list[ScanFinding], Field(max_length=MOST_FINDINGS), FailFast()] = []
    left_out: Count = 0

    @property
    def count(self) -> int:
        """How many findings there are."""
        return len(self.findings) + self.left_out

    @property
    def kinds(self) -> list[str]:
        """The kinds of those that are listed, each once."""
        return sorted({finding.kind for finding in self.findings})

    def in_words(self) -> str:
        """How much was found, in a line."""
        if not self.findings:
            return f"nothing found in {_counted(self.files, 'file')}"
        return f"{_counted(self.count, 'finding')} in {_counted(self.files, 'file')}: {', '.join(self.kinds)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
