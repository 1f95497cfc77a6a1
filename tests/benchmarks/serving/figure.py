"""The figure of the docs: requests per second of CPU time, by model, server and protocol."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tests.benchmarks.figures import save
from tests.benchmarks.serving.bodies import PROTOCOLS
from tests.benchmarks.serving.results import Cell, Results

_CLIENTS = 64
_LIMIT_BATCH = 32
_COLOURS = {"JSON": "#3b6fb6", "binary": "#e08a2e", "gRPC": "#5a9e5d"}


def draw(results: Results, path: Path) -> None:
    """Write it: a panel for each model, a group of bars for each server; the suffix says the format."""
    models = results.models()
    servers = list(dict.fromkeys(cell.server for cell in results.samples))
    figure = Figure(figsize=(4.2 * len(models), 4.6))
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    for panel, model in zip(panels, models, strict=True):
        _draw_model(panel, results, model, servers)
        if panel is not panels[0]:
            panel.set_yticklabels([])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(PROTOCOLS), frameon=False)
    figure.suptitle(f"Requests per second of CPU time, {_CLIENTS} clients (more is better)")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    save(figure, path, "serving")


def _draw_model(panel: Axes, results: Results, model: str, servers: Sequence[str]) -> None:
    height = 0.8 / len(PROTOCOLS)
    for index, protocol in enumerate(PROTOCOLS):
        cells = [results.median(Cell(model, server, protocol, _CLIENTS)) for server in servers]
        rates = [0.0 if cell is None else 1e6 / cell.cpu for cell in cells]
        places = [place + (index - 1) * height for place in range(len(servers))]
        bars = panel.barh(places, rates, height * 0.92, label=protocol, color=_COLOURS[protocol])
        panel.bar_label(bars, [f"{rate:,.0f}" if rate else "" for rate in rates], padding=3, fontsize=8)
    limit = results.limits.get((model, _LIMIT_BATCH))
    alone = f" (onnxruntime alone: {statistics.median(limit):,.0f} rows)" if limit else ""
    panel.set_title(f"{model}{alone}", fontsize=10)
    panel.set_yticks(range(len(servers)), servers)
    panel.invert_yaxis()
    panel.margins(x=0.22)
    panel.spines[["top", "right"]].set_visible(False)
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.xaxis.set_major_locator(MaxNLocator(4))
    panel.tick_params(axis="x", labelsize=8)
