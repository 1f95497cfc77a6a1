"""The port to what keeps the counters of revisions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from mooring_operator.planning.analysis.bets import Look
from mooring_operator.planning.analysis.looks import Counts, Histograms
from mooring_operator.planning.analysis.queries import Question


class MetricsUnavailableError(Exception):
    """It does not answer; try later."""


class Numbers(Protocol):
    """Gives the numbers of queries that are asked of an address."""

    async def number(self, url: str, question: Mapping[str, Any]) -> float | str:
        """Give the number as it is now; or, in a sentence, why there is none."""
        ...


class Metrics(Protocol):
    """Gives the looks of a time."""

    async def looks(
        self, question: Question, candidate: str, stable: str, since: datetime, until: datetime
    ) -> list[Look]:
        """Give what both revisions counted, look by look.

        Raises:
            AnswerUnusableError: what is there cannot be judged; a person has to change something.
            MetricsUnavailableError: nobody answers.
        """
        ...

    async def counts(self, question: Question, since: datetime, until: datetime) -> tuple[Counts, Counts]:
        """Give how many events and how many requests there were, by revision and look.

        Raises:
            AnswerUnusableError, MetricsUnavailableError: as above.
        """
        ...

    async def values(
        self, query: str, first: datetime, last: datetime, every: timedelta
    ) -> Mapping[float, Sequence[float]]:
        """Give what PromQL gives at each of some times: of every series, whatever it is.

        Raises:
            AnswerUnusableError, MetricsUnavailableError: as above.
        """
        ...

    async def histograms(self, question: Question, since: datetime, until: datetime) -> Histograms:
        """Give how long requests took, by revision and look.

        Raises:
            AnswerUnusableError, MetricsUnavailableError: as above.
        """
        ...
