"""The results in the docs: one section of benchmarks.md, and a figure."""

from __future__ import annotations

import re
from pathlib import Path

from tests.benchmarks.serving.aims import evaluate
from tests.benchmarks.serving.figure import draw
from tests.benchmarks.serving.results import Results
from tests.benchmarks.serving.tables import tables, to_markdown

HEADING = "## The serving runtime"
FIGURE = Path("figures") / "serving.svg"
_NOTES = """
Models, float32: tab is 20-32-2, mlp 784-256-10, heavy 784, four layers of 2048, and 10. One row a request, its
numbers with all digits that `array.tolist()` gives; one connection a client, the next request after the answer. Medians
over rounds that go from server to server; ratios are taken within a round, since machines drift.

- Every server runs onnxruntime with one thread and its other settings as shipped: ours with validation, limits and
  metrics on; KServe (`kserve.Model` over onnxruntime) and BentoML with their request logs. Batching is on where it
  exists: ours as shipped (32 rows, no waiting), the peers' up to 64 rows; MLServer and LitServe wait 2 ms at most, and
  MLServer runs without its worker process, which takes more CPU for the same work on one core.
- BentoML and LitServe have neither V2 nor gRPC and get JSON of their own; MLServer has no binary tensors over REST.
- CPU us: CPU time of the server's whole process tree for each request. Ratios use it, so the speed of the client
  matters little; a `>` marks a rate at which the load generator's own core was full.
- Memory: the largest process and what the others hold for themselves. Idle and used: REST alone, with tab.
- Health: a liveness probe every 10 ms while 64 clients load heavy.
- SIGTERM: 16 clients send on until readiness fails (asked every 50 ms) and await what is in flight; each loses one
  request at most. Ours drains for half a second here (`--drain_seconds`, 5 by default); the peers have no such
  setting.
"""


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
        f"![Requests per second of CPU time by server]({FIGURE})",
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
