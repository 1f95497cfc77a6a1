"""Places in what monitoring services are asked: ``{{candidate}}`` stands for the revision, wherever it is.

What is put there has neither blanks nor brackets, quotes or commas, so that it is one value of a tag or a dimension. It
is asked with the namespace's own keys: nobody reads by it what its author could not.
"""

import re
from collections.abc import Iterator, Mapping

from mooring_operator.api import forms
from mooring_operator.planning.analysis.promql import OF_THE_ROLLOUT, PLACE


def problems_of_text(text: str, arguments: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what is wrong with the places of a text, whatever is put there."""
    known = [*OF_THE_ROLLOUT, *(f"arguments.{name}" for name in arguments)]
    yield from (
        f"{match[0]} is none of {', '.join(known)}" for match in PLACE.finditer(text) if match[1] not in known
    )


def filled_text(text: str, values: Mapping[str, str]) -> str:
    """Give the text with `values`, by the names of places.

    Raises:
        ValueError: a value is not of the form of arguments, or there is none for a place.
    """

    def put(match: re.Match[str]) -> str:
        value = values.get(match[1])
        if not forms.ARGUMENT_VALUE.fits(value):
            raise ValueError(f"{match[0]} cannot be {value!r:.60}")
        return value

    return PLACE.sub(put, text)
