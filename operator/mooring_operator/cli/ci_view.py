"""Shows what a test found: the result first, then each gate, then whatever else was measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import starmap

from mooring_artifacts.gates import TestGate, difference_in_words, interval_in_words, wanted
from mooring_artifacts.importances import Importances
from mooring_artifacts.judging import Findings, judge, slice_in_words
from mooring_artifacts.run_documents import Group, RunFailure, Slice, Stability, Verdict
from mooring_artifacts.scans import ScanFinding
from mooring_artifacts.text import visible
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from mooring_operator.cli.tables import heading, plain_table


@dataclass(frozen=True)
class VerdictView:
    """A verdict beside the gates that it was made by.

    compared: whether there was a champion. rows: the address of the test data.
    """

    name: str
    verdict: Verdict
    gates: Sequence[TestGate]
    compared: bool
    rows: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the result, the violations, and tables of gates and metrics."""
        verdict = self.verdict
        yield Text(
            f"{self.name}: {'passed' if verdict.passed else 'rejected'}",
            style="bold green" if verdict.passed else "bold red",
        )
        for violation in verdict.violations:
            yield Text(f"  {violation.message}", style="red")
        read = f", {verdict.test_data_digest}" if verdict.test_data_digest else ""
        yield Text(visible(f"  on {self.rows}{read}"), style="dim")
        if self.gates:
            yield heading("Gates")
            yield plain_table(("METRIC", "VALUE", "95 %", "HOLDS", "WANTED"), map(self._gate, self.gates))
        yield heading("Measured")
        columns = ("METRIC", "VALUE", "95 %", *(("BESIDE THE CHAMPION",) if verdict.differences else ()))
        yield plain_table(columns, map(self._metric, verdict.metrics))
        if verdict.slices:
            yield heading("Parts of the rows, the worst first")
            yield plain_table(
                ("COLUMN", "ROWS", "METRIC", "VALUE", "95 %", "WITH"), map(_slice, verdict.slices)
            )
        if verdict.groups:
            yield heading(f"Called positive, by {visible(verdict.groups[0].column)}")
            yield plain_table(("ROWS", "OF ALL", "TRUE", "FALSE", "GROUP"), map(_group, verdict.groups))
        if verdict.stability:
            yield heading("Called the same with noise")
            yield plain_table(("NOISE", "SHARE", "95 %"), map(_level, verdict.stability))
        if verdict.importances is not None:
            yield heading("What moves the model most")
            yield _moving(verdict.importances)
        if verdict.looked_up:
            yield heading("What policies ask of the files")
            yield plain_table(("FACT", "THERE", "FOUND"), starmap(_fact, verdict.looked_up))
        if verdict.scan is not None and verdict.scan.findings:
            yield heading(f"In the model's files: {verdict.scan.in_words()}")
            yield plain_table(("FILE", "FOUND"), map(_finding, verdict.scan.findings))

    def _gate(self, gate: TestGate) -> list[str | Text]:
        verdict = self.verdict
        found = Findings(
            verdict.metrics,
            verdict.intervals,
            champion=self.compared,
            differences=verdict.differences,
            slices=verdict.slices,
        )
        holds = not judge(found, [gate])
        none = " (none given)" if gate.not_worse_than is not None and not self.compared else ""
        whole = gate.slice is None
        return [
            gate.metric,
            _number(verdict.metrics.get(gate.metric)) if whole else "",
            interval_in_words(verdict.intervals.get(gate.metric)) if whole else "",
            Text("yes", style="green") if holds else Text("no", style="red"),
            visible(wanted(gate)) + none,
        ]

    def _metric(self, name: str) -> list[str | Text]:
        verdict = self.verdict
        cells: list[str | Text] = [
            name,
            _number(verdict.metrics[name]),
            interval_in_words(verdict.intervals.get(name)),
        ]
        return [*cells, difference_in_words(verdict.differences.get(name))] if verdict.differences else cells


@dataclass(frozen=True)
class FailureView:
    """Why there is no verdict."""

    name: str
    failure: RunFailure

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render one line."""
        yield Text(f"{self.name}: no verdict ({self.failure.error.reason})", style="bold red")
        yield Text(f"  {self.failure.error.message}", style="red")


def _slice(each: Slice) -> list[str | Text]:
    # What a table makes visible, it cuts where the text was to end.
    return [
        visible(each.column),
        str(each.rows),
        each.metric,
        f"{each.value:.4g}",
        slice_in_words(each),
        visible(each.name),
    ]


def _group(each: Group) -> list[str | Text]:
    rates = (each.selection_rate, each.true_positive_rate, each.false_positive_rate)
    return [str(each.rows), *("" if rate is None else f"{rate:.4g}" for rate in rates), visible(each.name)]


def _level(each: Stability) -> list[str | Text]:
    return [f"{each.noise:g}", f"{each.share:.4g}", interval_in_words(each.interval)]


def _fact(name: str, holds: bool, found: str) -> list[str | Text]:
    there = Text("yes", style="green") if holds else Text("no", style="red")
    return [visible(name), there, visible(found)]


def _moving(found: Importances) -> RenderableType:
    if found.problem:
        return Text(visible(f"  not found: {found.problem}"))
    rows = ([visible(one.name), f"{one.size:.4g}", f"{one.share:.1%}"] for one in found.features)
    return plain_table(("FEATURE", "MEAN SIZE", "SHARE"), rows)


def _finding(each: ScanFinding) -> list[str | Text]:
    return [visible(each.file), visible(each.message)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
