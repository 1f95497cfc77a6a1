"""Agreement on mirrored requests: by what it is judged, and when it is measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from mooring_operator.api.agreements import Agreement
from mooring_operator.api.template_queries import ProviderName, Query
from mooring_operator.planning import identity


@dataclass(frozen=True)
class UsedAgreement:
    """An agreement of a template. Pairs that differ are judged by the same evidence as errors are."""

    agreement: Agreement

    @property
    def metric(self) -> str:
        """Its name."""
        return self.agreement.name

    @property
    def rate_limit(self) -> tuple[float, float]:
        """A plain threshold: nothing of stable's, and the share of pairs that may differ."""
        return 0.0, self.agreement.points / 100

    @cached_property
    def key(self) -> str:
        """What its evidence is kept by: another with each edit, for what measures it begins anew with any."""
        return f"{self.metric}.{identity.fingerprint(self.agreement.model_dump(mode='json'), 8)}"


class AgreementQuery(Query):
    """What measures an agreement: it is measured as a query is, and its counts are evidence."""

    agreement: Agreement

    @property
    def provider(self) -> ProviderName:
        """Who measures."""
        return "agreement"

    @classmethod
    def of(cls, agreement: Agreement) -> "AgreementQuery":
        """Give the query of an agreement; what cannot be compared once is said at once."""
        return cls.model_construct(
            name=agreement.name,
            agreement=agreement,
            interval=agreement.interval,
            initial_delay=agreement.delay,
            consecutive_error_limit=0,
        )


@dataclass(frozen=True)
class PairCounts:
    """What was counted in one look: pairs, those of them that differ, and up to when they were answered.

    joined: in seconds since the analysis began.
    """

    pairs: int
    disagreements: int
    joined: int


_TAKES_EFFECT = timedelta(minutes=1)
"""Copies may come for so long after the step that ends them has begun."""


@dataclass(frozen=True)
class Copies:
    """What revisions keep of requests and of their copies.

    candidate, stable: the folders. until: when copies have ended; None where they are sent.
    problem: why there are no two answers to one request.
    """

    candidate: str = ""
    stable: str = ""
    until: datetime | None = None
    problem: str = "nobody knows what revisions keep"


def stretch(
    agreement: Agreement, copies: Copies, began: datetime, joined: Mapping[str, int], until: datetime
) -> tuple[datetime, datetime] | None:
    """Give from when to when pairs are counted in a look that ends at `until`; None where all have been.

    Files are complete a while after their requests: `delay`.
    """
    since = began + timedelta(seconds=joined.get(agreement.name, 0))
    end = until - agreement.delay
    if copies.until is not None:
        end = min(end, copies.until + _TAKES_EFFECT)
    end = began + timedelta(seconds=(end - began) // timedelta(seconds=1))
    return (since, end) if end > since else None
