"""When what a run was asked for is asked of another one: where it ended by an outage, which says nothing of a model."""

from datetime import timedelta

_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15))
MOST_OUTAGES = len(_PAUSES)
"""So many runs in a row may end by an outage; the next one that does so is believed."""
OUTAGE = "StoreUnavailable"
"""The reason by which a run says so."""


def pause_after(outages: int) -> timedelta | None:
    """Give how long to wait once so many runs in a row have ended by an outage, 1 or more; None: no more are asked."""
    return _PAUSES[outages - 1] if outages <= MOST_OUTAGES else None
