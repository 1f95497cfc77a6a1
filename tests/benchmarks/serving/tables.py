"""The results as tables: on a terminal and as markdown; pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable

from tests.benchmarks.serving.aims import Outcome
from tests.benchmarks.serving.results import Cell, Results, Sample

_NONE = "-"
# Above it the load generator had no time left: the rate says what it could send, not what the server can do.
CLIENT_IS_THE_LIMIT = 0.95


@dataclass(frozen=True)
class Table:
    """A title, headings and rows of text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: Results, outcomes: Sequence[Outcome]) -> list[Table]:
    """All of them, in the order in which they are read."""
    return [
        _aims_table(outcomes),
        *(_model_table(results, model) for model in results.models()),
        _limits_table(results),
        _generator_table(results),
        _behaviour_table(results),
    ]


def to_rich(table: Table) -> RichTable:
    """For a terminal."""
    made = RichTable(title=table.title, title_justify="left", header_style="bold")
    for index, heading in enumerate(table.headings):
        made.add_column(heading, justify="left" if index == 0 else "right", overflow="fold")
    for row in table.rows:
        made.add_row(*row)
    return made


def to_markdown(table: Table) -> str:
    """With the title as a heading of the third level."""
    lines = [table.headings, ["---"] * len(table.headings), *table.rows]
    return f"### {table.title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _aims_table(outcomes: Sequence[Outcome]) -> Table:
    rows = [
        [
            outcome.aim.text,
            _wanted(outcome),
            _NONE if outcome.value is None else _with_unit(outcome.value, outcome),
            outcome.verdict,
            outcome.detail or _NONE,
        ]
        for outcome in outcomes
    ]
    return Table("Aims", ["aim", "wanted", "measured", "", "in detail"], rows)


def _model_table(results: Results, model: str) -> Table:
    counts = results.counts()
    at = " / ".join(map(str, counts))
    columns: list[tuple[str, Callable[[Sample], str]]] = [
        ("requests/s", _rate),
        ("p50 ms", lambda sample: _short(sample.p50)),
        ("p99 ms", lambda sample: _short(sample.p99)),
        ("CPU us", lambda sample: f"{sample.cpu:,.0f}"),
    ]
    rows = []
    for server, protocol in dict.fromkeys(
        (c.server, c.protocol) for c in results.samples if c.model == model
    ):
        cells = [results.median(Cell(model, server, protocol, clients)) for clients in counts]
        figures = [_joined(cells, show) for _, show in columns]
        failed = sum(cell.failed for cell in cells if cell)
        memory = results.memory.get((server, model))
        rows.append([server, protocol, *figures, _number(memory), str(failed) if failed else _NONE])
    headings = ["server", "protocol", *(name for name, _ in columns), "memory MB", "failed"]
    return Table(f"{model}, at {at} clients", headings, rows)


def _limits_table(results: Results) -> Table:
    batches = sorted({batch for _, batch in results.limits})
    rows = [
        [model, *(_median_of(results.limits.get((model, batch), ())) for batch in batches)]
        for model in dict.fromkeys(model for model, _ in results.limits)
    ]
    headings = ["model", *(f"batch {batch}, rows/s" for batch in batches)]
    return Table("onnxruntime in process, one thread: the limit", headings, rows)


def _generator_table(results: Results) -> Table:
    rows = (
        [[f"{results.generator['rate']:,.0f}", f"{results.generator['cpu']:.1f}"]]
        if results.generator
        else []
    )
    return Table(
        "The load generator against a server that only answers", ["requests/s", "its CPU us each"], rows
    )


def _behaviour_table(results: Results) -> Table:
    rows = []
    for server in results.starts | results.health | results.shutdowns:
        shutdowns = results.shutdowns.get(server)
        starts = results.starts.get(server)
        rows.append(
            [
                server,
                f"{statistics.median(starts):.2f}" if starts else _NONE,
                _number(results.memory.get((server, "idle"))),
                _number(results.memory.get((server, "used"))),
                _short(results.health[server]) if server in results.health else _NONE,
                f"{shutdowns.lost} in {shutdowns.tries}" if shutdowns else _NONE,
            ]
        )
    headings = [
        "server",
        "start to ready s",
        "memory idle MB",
        "memory used MB",
        "health p99 under load ms",
        "lost on SIGTERM",
    ]
    return Table("Start, health and end", headings, rows)


def _joined(cells: Iterable[Sample | None], show: Callable[[Sample], str]) -> str:
    return " / ".join(_NONE if cell is None else show(cell) for cell in cells)


def _rate(sample: Sample) -> str:
    is_bound = sample.client_busy > CLIENT_IS_THE_LIMIT
    return f"{'>' if is_bound else ''}{sample.rate:,.0f}"


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _median_of(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f}" if values else _NONE


def _wanted(outcome: Outcome) -> str:
    sign = ">= " if outcome.aim.more_is_better else "<= "
    return f"{sign if outcome.aim.wanted else ''}{_with_unit(outcome.aim.wanted, outcome)}"


def _with_unit(value: float, outcome: Outcome) -> str:
    if outcome.aim.unit == "x":
        return f"{value:.3g}x"
    if outcome.aim.unit == "%":
        return f"{value:.0f}%"
    return f"{value:.3g} {outcome.aim.unit}".strip()
