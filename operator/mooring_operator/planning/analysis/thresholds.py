"""Plain thresholds, as users of Argo Rollouts know them: measurements that succeed, fail, or tell nothing.

No error rate can be stated for them: what a threshold finds depends on how often one looks.
"""

from dataclasses import dataclass, replace
from typing import Literal

Outcome = Literal["Success", "Failure", "Inconclusive", "Error"]
"""What one measurement says; Error: it could not be made."""


@dataclass(frozen=True)
class Allowance:
    """How many measurements there are, and how many of each kind may be.

    count: how many of a step make a PASS; None goes on as long as the step or the rollout does.
    """

    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    count: int | None = None


@dataclass(frozen=True)
class Tally:
    """The measurements so far."""

    allowance: Allowance
    successes: int = 0
    failures: int = 0
    inconclusive: int = 0
    errors: int = 0
    consecutive_errors: int = 0
    in_step: int = 0
    settled: int = 0
    """Of what takes a while: up to when all has been measured, in seconds since the analysis began."""
    joined: int = 0
    """Of agreements: up to when all pairs have been counted, in seconds since the analysis began."""
    last: str = ""

    def after(self, outcome: Outcome, said: str = "") -> "Tally":
        """Count one more measurement; `said` is its value or its error, for people."""
        tally = replace(self, last=said, consecutive_errors=0, in_step=self.in_step + 1)
        match outcome:
            case "Success":
                return replace(tally, successes=self.successes + 1)
            case "Failure":
                return replace(tally, failures=self.failures + 1)
            case "Inconclusive":
                return replace(tally, inconclusive=self.inconclusive + 1)
            case "Error":
                errors = self.consecutive_errors + 1
                return replace(tally, errors=self.errors + 1, consecutive_errors=errors, in_step=self.in_step)

    def after_an_old_one(self, outcome: Outcome, said: str = "") -> "Tally":
        """Count one that was begun before the step: it counts against a revision, and not towards a PASS."""
        tally = self.after(outcome, said)
        return replace(tally, in_step=self.in_step, inconclusive=self.inconclusive)

    def of_a_new_step(self) -> "Tally":
        """Go on with no measurement towards a PASS; what failed has failed."""
        return replace(self, in_step=0, inconclusive=0)

    @property
    def has_no_number(self) -> bool:
        """Whether too many in a row came to no number."""
        return self.consecutive_errors > self.allowance.consecutive_error_limit

    @property
    def measured(self) -> int:
        """Measurements that could be made."""
        return self.successes + self.failures + self.inconclusive

    @property
    def has_failed(self) -> bool:
        """Whether more failed than may."""
        return self.failures > self.allowance.failure_limit

    @property
    def has_passed(self) -> bool:
        """Whether all were made, and no kind is beyond what is allowed."""
        count = self.allowance.count
        return count is not None and self.in_step >= count and not self.has_failed and not self.is_undecided

    @property
    def is_undecided(self) -> bool:
        """Whether too many told nothing, or could not be made: a person has to look."""
        allowance = self.allowance
        return self.inconclusive > allowance.inconclusive_limit or self.has_no_number
