"""What two revisions were counted to answer, look by look, and what is beyond doubt of it."""

from dataclasses import dataclass
from datetime import datetime

GROSS = 12
"""So many looks in a row, with far more errors than the stable revision's, are beyond every doubt."""


@dataclass(frozen=True)
class Look:
    """What both revisions answered in a time that ends `at`, as it was `told`."""

    at: float
    told: datetime
    errors: float
    requests: float
    stable_errors: float
    stable_requests: float

    @property
    def is_worse(self) -> bool:
        return self.errors * max(self.stable_requests, 1) > self.stable_errors * self.requests

    @property
    def is_bad(self) -> bool:
        """Whether a third of many requests are errors."""
        return self.requests >= 20 and self.errors >= 0.3 * self.requests

    @property
    def is_gross(self) -> bool:
        """Whether it has far more errors than the stable revision, which has hardly any."""
        return (
            self.is_bad and self.stable_requests >= 20 and self.stable_errors <= 0.05 * self.stable_requests
        )


def is_known(looks: list[Look]) -> bool:
    """Whether many requests of the stable revision were counted, and hardly any error."""
    requests = sum(look.stable_requests for look in looks)
    return requests >= 1000 and sum(look.stable_errors for look in looks) <= 0.02 * requests


def is_bad(looks: list[Look]) -> bool:
    return len(looks) >= GROSS and all(look.is_bad for look in looks[-GROSS:])


def is_gross(looks: list[Look]) -> bool:
    return len(looks) >= GROSS and all(look.is_gross for look in looks[-GROSS:])
