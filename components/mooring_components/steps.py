"""How a pipeline's step ends."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from types import TracebackType

from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.run_documents import describe_failure
from mooring_artifacts.uris import hide_queries

# Where all steps run in one pod, what runs them leaves the reason, also of a step that was killed.
_SAID_BY_THE_RUN = "MOORING_RUN_ID"
_SECONDS = 10.0
# Kinds of bad input with a reason of their own.
_NAMED = ("DataInvalid", "TooLarge")


@dataclass(frozen=True)
class Place:
    """Where a step leaves the reason of its failure: where its run's own document would have gone."""

    step: str
    run_id: str
    uri: str


def tell_errors_in_one_line(place: Place | None = None) -> None:
    """Have what a person has to correct end this process with one line, and what we have to with a traceback.

    The reason is left at `place` too: Kubeflow Pipelines tells of a failed run which step it was, and not why.
    """

    def tell(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, (InputError, StoreUnavailable, MemoryError)):
            print(f"{kind.__name__}: {error}", file=sys.stderr)
        else:
            sys.__excepthook__(kind, error, traceback)
        if place is not None and _SAID_BY_THE_RUN not in os.environ and isinstance(error, Exception):
            _leave(place, error)

    sys.excepthook = tell


def _leave(place: Place, error: Exception) -> None:
    # Takes a third of a second, which a step that succeeds need not spend.
    from mooring_artifacts.uploads import put_document

    reason, message = _reason(error)
    document = describe_failure(place.run_id, reason, hide_queries(f"{place.step}: {message}"))
    try:
        put_document(place.uri, document.to_json(), "verdict_uri", seconds=_SECONDS)
    except Exception as failure:  # this is about another error, which must not be lost
        print(f"the reason is not left where the verdict would be ({failure})", file=sys.stderr)


def _reason(error: Exception) -> tuple[str, str]:
    if isinstance(error, InputError):
        name = type(error).__name__
        return (name if name in _NAMED else "InvalidInput"), str(error)
    if isinstance(error, StoreUnavailable):
        return "StoreUnavailable", str(error)
    if isinstance(error, MemoryError):
        return "OutOfMemory", str(error) or "it had no memory left"
    return "StepFailed", f"{type(error).__name__}: {error}"
