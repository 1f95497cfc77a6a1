"""The port to what keeps the counters of revisions."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from mooring_operator.planning.analysis.bets import Look
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.analysis.looks import Counts, Histograms, Predicted
from mooring_operator.planning.analysis.measuring import Reading, UsedQuery
from mooring_operator.planning.analysis.queries import Question


class MetricsUnavailableError(Exception):
    """It does not answer; try later."""


class Provider(Protocol):
    """Measures the queries of templates in one way: adding a way is a file, and a line where these are registered."""

    async def read(self, request: Request, query: UsedQuery) -> list[Reading]:
        """Give what is found at each time of the request that the query is measured at.

        A measurement that takes a while is begun, exactly once, and gives nothing until it has ended.

        Raises:
            MetricsUnavailableError: nobody answers; all that is asked is asked again.
        """
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

    async def predictions(self, question: Question, since: datetime, until: datetime) -> Predicted:
        """Give how often each prediction was made, by revision and look.

        Raises:
            AnswerUnusableError, MetricsUnavailableError: as above.
        """
        ...
