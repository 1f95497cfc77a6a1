"""Draws how traffic and pods move from one arm to another: a row for each arm, time to the right.

A value stands where it begins to hold, and the height of the blocks behind it shows it once more; so it reads without
colours, in a pipe and by a screen reader. Whatever lasts gets more room the longer it lasts, and the shortest enough
to be read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_HEIGHTS = "▁▂▃▄▅▆▇█"
_WIDEST = 120
_PLAIN_HEIGHTS = ".:-=+*#@"


@dataclass(frozen=True)
class Share:
    """What an arm has: percent of the traffic, and ready pods."""

    weight: int
    pods: int


@dataclass(frozen=True)
class Sample:
    """What every arm has from `at` on, by the arm's name; the first is shown on top. And whether a freeze holds."""

    at: timedelta
    shares: Mapping[str, Share]
    frozen: bool = False


@dataclass(frozen=True)
class Chart:
    """Samples in order of time, drawn as wide as the terminal is, 120 columns at most: what does not fit goes on below.

    write_time: how a time is written under the chart.
    """

    samples: Sequence[Sample]
    write_time: Callable[[timedelta], str]

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes, so that there is nothing to draw."""
        return len(_changes(self.samples)) < 2

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a line at a time."""
        heights = _PLAIN_HEIGHTS if options.ascii_only else _HEIGHTS
        for line in draw(self.samples, min(options.max_width, _WIDEST), self.write_time, heights):
            yield Text(line, no_wrap=True)


def draw(
    samples: Sequence[Sample], width: int, write_time: Callable[[timedelta], str], heights: str = _HEIGHTS
) -> Iterator[str]:
    """Yield the lines of the chart, none where nothing changes.

    None is longer than `width`, where that leaves room for one value.
    """
    kept = _changes(samples)
    if len(kept) < 2:
        return
    rows = list(_rows(kept, heights))
    margin = max(len(row.title) for row in rows) + 2
    times = [write_time(sample.at) for sample in kept]
    narrowest = max(map(len, (*times, *(cell for row in rows for cell in row.values)))) + 2
    for begin, widths in _panels([sample.at for sample in kept], narrowest, max(width - margin, narrowest)):
        end = begin + len(widths)
        for row in rows:
            yield (row.title.ljust(margin) + row.draw(begin, widths)).rstrip()
        cells = zip(times[begin:end], widths, strict=True)
        yield (" " * margin + "".join(time.ljust(room) for time, room in cells)).rstrip()
        if end < len(kept):
            yield ""


@dataclass(frozen=True)
class _Row:
    """One arm's values, as texts, and the block that shows each."""

    title: str
    values: tuple[str, ...]
    blocks: tuple[str, ...]

    def draw(self, begin: int, widths: Sequence[int]) -> str:
        cells = []
        for index, width in enumerate(widths, begin):
            value = self.values[index]
            cells.append(f"{value} {self.blocks[index] * (width - len(value) - 2)} ")
        return "".join(cells)


def _changes(samples: Sequence[Sample]) -> list[Sample]:
    """Of samples for one time keep the last, of equal ones that follow each other the first."""
    last = {sample.at: sample for sample in samples}
    kept: list[Sample] = []
    for sample in last.values():
        if not kept or (kept[-1].shares, kept[-1].frozen) != (sample.shares, sample.frozen):
            kept.append(sample)
    return kept


def _rows(samples: Sequence[Sample], heights: str) -> Iterator[_Row]:
    arms = list(dict.fromkeys(arm for sample in samples for arm in sample.shares))
    longest = max(map(len, arms), default=0)
    none = Share(0, 0)
    shares = {arm: [sample.shares.get(arm, none) for sample in samples] for arm in arms}
    most = max((share.pods for found in shares.values() for share in found), default=0)
    for index, arm in enumerate(arms):
        title = f"{'' if index else 'traffic':<8}{arm:<{longest}}"
        weights = [share.weight for share in shares[arm]]
        yield _row(title, [f"{weight}%" for weight in weights], weights, 100, heights)
    for index, arm in enumerate(arms):
        title = f"{'' if index else 'pods':<8}{arm:<{longest}}"
        pods = [share.pods for share in shares[arm]]
        yield _row(title, map(str, pods), pods, most, heights)
    if any(sample.frozen for sample in samples):
        held = [int(sample.frozen) for sample in samples]
        yield _row("frozen", ["yes" if frozen else "" for frozen in held], held, 1, heights)


def _row(title: str, texts: Iterable[str], values: Sequence[int], most: int, heights: str) -> _Row:
    return _Row(title, tuple(texts), tuple(_block(value, most, heights) for value in values))


def _block(value: int, most: int, heights: str) -> str:
    """Give the block that is as high as the value's part of the most there is; a blank for nothing."""
    return heights[-(-value * len(heights) // most) - 1] if value > 0 else " "


def _panels(times: Sequence[timedelta], narrowest: int, room: int) -> Iterator[tuple[int, list[int]]]:
    """Yield where each panel begins, and how wide its parts are."""
    most = max(room // narrowest, 1)
    panels = -(-len(times) // most)
    fit = -(-len(times) // panels)
    for begin in range(0, len(times), fit):
        shown = times[begin : begin + fit]
        # Nothing comes behind the last one: it needs no more room than its text.
        following = times[begin + 1 : begin + fit + 1]
        lengths = [(later - now).total_seconds() for now, later in zip(shown, following, strict=False)]
        lengths += [0.0] * (len(shown) - len(lengths))
        spare, whole = room - narrowest * len(shown), sum(lengths)
        extra = (int(spare * length / whole) if whole else 0 for length in lengths)
        yield begin, [narrowest + more for more in extra]
