"""A verdict as Markdown, for the KFP UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mooring_artifacts.gates import parse_gates
from mooring_artifacts.run_documents import Verdict


def render_markdown(verdict: Verdict, gates: Sequence[Mapping[str, Any]], hint: str = "") -> str:
    """A headline, the violations, a hint about the labels, the gates and every metric.

    Raises:
        InputError: a malformed gate.
    """
    lines = [
        f"# {'Passed' if verdict.passed else 'Rejected'}",
        "",
        f"Model `{verdict.model_uri}`  ",
        f"Digest `{verdict.model_digest}`  ",
        f"Run `{verdict.run_id}`",
        "",
    ]
    lines += [f"- **{violation.message}**" for violation in verdict.violations]
    if verdict.violations:
        lines.append("")
    if hint:
        lines += [f"Hint: {hint}", ""]
    bounds = parse_gates(gates)
    lines += ["| metric | value | min | max |", "| --- | ---: | ---: | ---: |"]
    for name, value in verdict.metrics.items():
        own = [gate for gate in bounds if gate.metric == name]
        low = ", ".join(f"{gate.min:.6g}" for gate in own if gate.min is not None)
        high = ", ".join(f"{gate.max:.6g}" for gate in own if gate.max is not None)
        lines.append(f"| {name} | {value:.6g} | {low} | {high} |")
    return "\n".join(lines) + "\n"
