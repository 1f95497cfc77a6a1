"""The figure of the docs: how often good candidates are rolled back, and how soon bad ones are, by rule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter, ScalarFormatter

from tests.benchmarks.canary.results import Cell
from tests.benchmarks.figures import save

_STATED = 0.01
_PER_SECOND = 100.0
_LEAST_S = 8.0
"""Where bars of seconds begin."""
_FALSE = {"identical": "#3b6fb6", "at the limit": "#e08a2e"}
_FOUND = {"x2": "#3b6fb6", "x5": "#e08a2e", "half fail": "#5a9e5d"}


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Write it: two panels of bars, a group for each rule; the suffix says the format."""
    rules = list(dict.fromkeys(cell.rule for cell in cells if cell.table == "false"))
    figure = Figure(figsize=(12, 5.4))
    false, found = figure.subplots(1, 2)
    _draw_false(false, cells, rules)
    _draw_found(found, cells, rules)
    for panel in (false, found):
        panel.set_yticks(range(len(rules)), rules if panel is false else [""] * len(rules))
        panel.invert_yaxis()
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(axis="x", labelsize=8)
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.07), ncols=3, frameon=False)
    figure.tight_layout()
    save(figure, path, "canaries")


def _draw_false(panel: Axes, cells: Sequence[Cell], rules: Sequence[str]) -> None:
    height = 0.8 / len(_FALSE)
    for index, (fault, colour) in enumerate(_FALSE.items()):
        worst = [max(_shares(cells, fault, rule), default=0.0) for rule in rules]
        places = [place + (index - 0.5) * height for place in range(len(rules))]
        bars = panel.barh(places, worst, height * 0.92, label=fault, color=colour)
        panel.bar_label(bars, [f"{share:.1%}" for share in worst], padding=3, fontsize=8)
    panel.axvline(_STATED, color="#888888", linewidth=0.8, linestyle=":")
    panel.set_xlim(0, 1.15)
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1])
    panel.xaxis.set_major_formatter(PercentFormatter(1))
    panel.set_title("Rolled back though within the limit, in the worst world", fontsize=10)


def _draw_found(panel: Axes, cells: Sequence[Cell], rules: Sequence[str]) -> None:
    height = 0.8 / len(_FOUND)
    for index, (fault, colour) in enumerate(_FOUND.items()):
        row = [_cell(cells, fault, rule) for rule in rules]
        seconds = [_LEAST_S if cell is None or cell.median_s is None else cell.median_s for cell in row]
        places = [place + (index - 1) * height for place in range(len(rules))]
        bars = panel.barh(places, seconds, height * 0.92, label=fault, color=colour)
        panel.bar_label(bars, [_told(cell) for cell in row], padding=3, fontsize=8)
    panel.set_xscale("log")
    panel.set_xlim(_LEAST_S, 4000)
    panel.set_xticks([10, 30, 100, 300, 1000])
    panel.xaxis.set_major_formatter(ScalarFormatter())
    panel.set_title(f"Seconds until found (1% errors, {_PER_SECOND:g} requests/s)", fontsize=10)


def _told(cell: Cell | None) -> str:
    if cell is None:
        return ""
    if cell.median_s is None:
        return f"found in {cell.share:.0%}"
    return f"{cell.median_s:g} s" if cell.share == 1 else f"{cell.median_s:g} s, in {cell.share:.0%}"


def _shares(cells: Sequence[Cell], fault: str, rule: str) -> list[float]:
    return [cell.share for cell in cells if (cell.table, cell.fault, cell.rule) == ("false", fault, rule)]


def _cell(cells: Sequence[Cell], fault: str, rule: str) -> Cell | None:
    asked = ("found", _PER_SECOND, fault, rule)
    return next((c for c in cells if (c.table, c.per_second, c.fault, c.rule) == asked), None)
