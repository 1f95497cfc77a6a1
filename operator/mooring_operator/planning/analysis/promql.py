"""PromQL that a platform team writes, with places for what deployments say.

A place, as ``{{arguments.route}}``, stands in the value of a label's matcher and nowhere else. What is put there has no
quote, backslash or line's end: whatever a deployment says selects series by that label, and cannot end the string. In a
regular expression a dot means a dot.

Source: Prometheus 3, querying basics: string literals, selectors and comments.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mooring_operator.api import forms

OF_THE_ROLLOUT = ("namespace", "name", "candidate", "stable")
"""Places for what a rollout is: of the deployment, and of both revisions."""

PLACE = re.compile(r"\{\{\s*([A-Za-z.]+[A-Za-z0-9]*)\s*\}\}")
_QUOTES = "\"'`"
_MATCHERS = ("=~", "!~", "!=", "=")
_COMPARISONS = ("==", ">=", "<=")


@dataclass(frozen=True)
class _Text:
    """A string literal: from `start` to `end`, without the quotes; `matcher` is what stands before it."""

    start: int
    end: int
    matcher: str


def problems_of_query(query: str, arguments: Mapping[str, str | None]) -> Iterator[str]:
    """Yield what is wrong with the places of a query, whatever is put there."""
    texts = list(_texts(query))
    known = [*OF_THE_ROLLOUT, *(f"arguments.{name}" for name in arguments)]
    for match in PLACE.finditer(query):
        if match[1] not in known:
            yield f"{match[0]} is none of {', '.join(known)}"
        elif not _matcher_at(texts, match.start(), match.end()):
            yield (
                f"{match[0]} must stand in the value of a label's matcher, as in "
                f'{match[1].rpartition(".")[2]}="{match[0]}"'
            )
    rest = PLACE.sub("", query)
    if "{{" in rest or "}}" in rest.replace("}}}", "}"):
        yield "{{ and }} enclose a name, as in {{namespace}} or {{arguments.NAME}}"


def filled(query: str, values: Mapping[str, str]) -> str:
    """Give the query with `values`, by the names of places.

    Raises:
        ValueError: a value is not of the form of arguments, or there is none for a place.
    """
    texts = list(_texts(query))

    def put(match: re.Match[str]) -> str:
        value, matcher = values.get(match[1]), _matcher_at(texts, match.start(), match.end())
        if not forms.ARGUMENT_VALUE.fits(value) or not matcher:
            raise ValueError(f"{match[0]} cannot be {value!r:.60}")
        return value.replace(".", "[.]") if matcher.endswith("~") else value

    return PLACE.sub(put, query)


def _matcher_at(texts: list[_Text], start: int, end: int) -> str:
    """Give the matcher whose value has this part of the query; empty where it is no value of one."""
    return next((text.matcher for text in texts if text.start <= start and end <= text.end), "")


def _texts(query: str) -> Iterator[_Text]:
    """Yield the string literals of a query; one without an end goes on to the query's."""
    at = 0
    while at < len(query):
        char = query[at]
        if char == "#":
            at = _end(query, at, "\n")
        elif char in _QUOTES:
            end = _end_of_text(query, at)
            yield _Text(at + 1, end, _matcher_before(query, at))
            at = end
        at += 1


def _end(query: str, at: int, mark: str) -> int:
    found = query.find(mark, at)
    return len(query) if found < 0 else found


def _end_of_text(query: str, at: int) -> int:
    quote, at = query[at], at + 1
    while at < len(query) and query[at] != quote:
        # Between backquotes a backslash is one.
        at += 2 if query[at] == "\\" and quote != "`" else 1
    return min(at, len(query))


def _matcher_before(query: str, at: int) -> str:
    before = query[:at].rstrip()
    if before.endswith(_COMPARISONS):
        return ""
    return next((matcher for matcher in _MATCHERS if before.endswith(matcher)), "")
