"""The results in the docs: one section of benchmarks.md, and a figure."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib

from tests.benchmarks.serving.aims import evaluate
from tests.benchmarks.serving.bodies import PROTOCOLS
from tests.benchmarks.serving.results import Cell, Results
from tests.benchmarks.serving.tables import tables, to_markdown

matplotlib.use("svg")

from matplotlib import pyplot

HEADING = "## The serving runtime"
FIGURE = Path("figures") / "serving.svg"
_SHOWN_CLIENTS = 64
_COLOURS = {"JSON": "#3b6fb6", "binary": "#e08a2e", "gRPC": "#5a9e5d"}


def publish(results: Results, docs: Path) -> list[Path]:
    """Write the figure and replace the section; returns what was written."""
    figure, page = docs / FIGURE, docs / "benchmarks.md"
    figure.parent.mkdir(parents=True, exist_ok=True)
    draw(results, figure)
    page.write_text(replace_section(page.read_text(), HEADING, section(results)))
    return [figure, page]


def section(results: Results) -> str:
    """The whole section in markdown, heading included."""
    parts = [
        HEADING,
        "    python -m tests.benchmarks.serving --out docs",
        results.machine,
        f"![Requests per second of one core]({FIGURE})",
        _NOTES.strip(),
        *(to_markdown(table).strip() for table in tables(results, evaluate(results))),
    ]
    return "\n\n".join(parts) + "\n"


def replace_section(page: str, heading: str, text: str) -> str:
    """The page with this section of the second level replaced, or added at the end."""
    found = re.search(rf"^{re.escape(heading)}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        return f"{page.rstrip()}\n\n{text}"
    rest = page[found.end() :]
    return page[: found.start()] + text + (f"\n{rest}" if rest else "")


def draw(results: Results, path: Path) -> None:
    """Requests/s per model and server at 64 clients, one bar a protocol."""
    models = results.models()
    servers = list(dict.fromkeys(cell.server for cell in results.samples))
    figure, panels = pyplot.subplots(1, len(models), figsize=(4.2 * len(models), 4.6), squeeze=False)
    for panel, model in zip(panels[0], models, strict=True):
        _draw_model(panel, results, model, servers)
        if panel is not panels[0][0]:
            panel.set_yticklabels([])
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False)
    figure.suptitle(f"Requests per second of one core, {_SHOWN_CLIENTS} clients (more is better)")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _draw_model(panel: pyplot.Axes, results: Results, model: str, servers: list[str]) -> None:
    height = 0.8 / len(PROTOCOLS)
    for index, protocol in enumerate(PROTOCOLS):
        cells = [results.median(Cell(model, server, protocol, _SHOWN_CLIENTS)) for server in servers]
        rates = [0.0 if cell is None else cell.rate for cell in cells]
        places = [place + (index - 1) * height for place in range(len(servers))]
        bars = panel.barh(places, rates, height * 0.92, label=protocol, color=_COLOURS[protocol])
        panel.bar_label(bars, [f"{rate:,.0f}" if rate else "" for rate in rates], padding=3, fontsize=8)
    limit = results.limits.get((model, 32))
    panel.set_title(
        f"{model}" + (f" (onnxruntime alone: {max(limit):,.0f} rows/s)" if limit else ""), fontsize=10
    )
    panel.set_yticks(range(len(servers)), servers)
    panel.invert_yaxis()
    panel.margins(x=0.22)
    panel.spines[["top", "right"]].set_visible(False)
    panel.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
    panel.tick_params(axis="x", labelsize=8)
    panel.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))


_NOTES = """
Models: tab has 20 features (20-32-2), mlp is 784-256-10, heavy is 784 and four layers of 2048, float32 throughout.
"""
