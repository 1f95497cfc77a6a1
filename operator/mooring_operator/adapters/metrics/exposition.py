"""Counters out of the text that a pod shows. It is a tenant's: whatever it says, little of it is read.

Source: Prometheus' text format 0.0.4.
"""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from mooring_operator.planning.analysis.answers import MOST_COUNTED
from mooring_operator.planning.analysis.pod_counters import COUNTERS, LABELS, Series

LARGEST_BYTES = 4 * 2**20
"""Of a whole text: a server of a language model shows half a megabyte."""
_MOST_SERIES = 2000
_LONGEST_LINE = 4096


class UnreadableError(Exception):
    """It is not what it should be; the message says nothing of what stands in it."""


def read_counters(text: bytes) -> dict[Series, float]:
    """Give the counters that questions are about, added up over all labels that they are not about.

    Raises:
        UnreadableError: a line of theirs is none of the format, or there are too many.
    """
    found: Counter[Series] = Counter()
    try:
        lines = list(_lines(text))
        if len(lines) > _MOST_SERIES:
            raise UnreadableError(f"it shows more than {_MOST_SERIES} counters of requests")
        for family in text_string_to_metric_families("\n".join(lines)):
            for sample in family.samples:
                labels = {name: value for name, value in sample.labels.items() if name in LABELS}
                found[sample.name, tuple(sorted(labels.items()))] += _count(sample.value)  # type: ignore[assignment]
    except (ValueError, KeyError, IndexError, TypeError):
        raise UnreadableError("what it shows is not Prometheus' text format") from None
    return dict(found)


def _lines(text: bytes) -> Iterator[str]:
    for line in text.splitlines():
        name = line[:_LONGEST_LINE].partition(b"{")[0].split(maxsplit=1)
        if name and name[0].decode(errors="replace") in COUNTERS:
            if len(line) > _LONGEST_LINE:
                raise UnreadableError(f"a line is longer than {_LONGEST_LINE} bytes")
            yield line.decode()


def _count(value: float) -> float:
    if not 0 <= value <= MOST_COUNTED:
        raise ValueError("no count")
    return value
