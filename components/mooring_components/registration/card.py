"""A model card: what was found of a model, as the Markdown that its version in the registry is described by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mooring_artifacts.run_documents import Verdict

from mooring_components.report.markdown import render_markdown

# MLflow's column for the description of a version has 5,000 characters.
LONGEST_CARD = 4_900
_CUT = "\n\nThe card is cut here: the run's report has the rest.\n"


def render_card(
    name: str, verdict: Verdict, gates: Sequence[Mapping[str, Any]], facts: Mapping[str, str], hint: str = ""
) -> str:
    """The verdict as `render_markdown` has it, headed by the model's name and `facts` by their names.

    It has at most `LONGEST_CARD` characters, and is cut at the end of a line.

    Raises:
        InputError: a malformed gate.
    """
    told = [f"- {label}: {_code(value)}" for label, value in facts.items() if value]
    text = "\n".join([f"# {name}", "", *told, "", f"#{render_markdown(verdict, gates, hint)}"])
    if len(text) <= LONGEST_CARD:
        return text
    return text[: LONGEST_CARD - len(_CUT)].rpartition("\n")[0] + _CUT


def _code(value: str) -> str:
    return f"`{value.replace('`', chr(39))}`"
