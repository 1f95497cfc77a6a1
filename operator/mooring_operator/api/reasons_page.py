"""docs/reasons.md, from the constants of `reasons` and their docstrings."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mooring_operator.api import reasons

_HEAD = """\
<!-- Generated from operator/mooring_operator/api/reasons.py by `make generate`. Do not edit. -->
# Reasons

Every phase, condition and Event has a reason, one word that scripts and alerts can match. Messages beside it are for
people, and change. Reasons are never renamed.
"""
_SECTION = re.compile(r"# --- (.+) ---")
_CODE = re.compile(
    r"\b(?:spec|status|metadata)\.[\w.]*\w|\bmooring (?:approve|resume|retry|drift) NAME\b|\bMOORING_\w+|models:/\S+\w"
)


@dataclass(frozen=True)
class Reason:
    """A reason, when it is set, and what to do about it; empty where there is nothing to do."""

    constant: str
    value: str
    section: str
    when: str
    remedy: str


def documented() -> list[Reason]:
    """Give the constants in the order of the source.

    Raises:
        ValueError: one has no docstring.
    """
    return list(_read(inspect.getsource(reasons)))


def _read(source: str) -> Iterator[Reason]:
    lines = source.splitlines()
    section, above = "", 0
    body = ast.parse(source).body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Constant):
            continue
        for line in lines[above : statement.lineno]:
            if heading := _SECTION.fullmatch(line):
                section = heading[1]
        above = statement.lineno
        constant, value = ast.unparse(statement.targets[0]), ast.literal_eval(statement.value)
        if not isinstance(following, ast.Expr):
            raise ValueError(f"{constant} has no docstring")
        when, _, remedy = inspect.cleandoc(ast.literal_eval(following.value)).partition("\n\n")
        yield Reason(constant, value, section, when.strip(), remedy.strip())


def render() -> str:
    """Give the page."""
    out, section = [_HEAD], ""
    for reason in documented():
        if reason.section != section:
            section = reason.section
            out.append(f"\n## {section}\n\n| reason | when | what to do |\n|---|---|---|\n")
        out.append(f"| `{reason.value}` | {_cell(reason.when)} | {_cell(reason.remedy)} |\n")
    return "".join(out)


def write(page: Path) -> list[Path]:
    """Write the page, where it differs; give what was written."""
    changed = differing(page)
    if changed:
        page.write_text(render())
    return changed


def differing(page: Path) -> list[Path]:
    """Give the page where it is not what the constants say."""
    return [] if page.exists() and page.read_text() == render() else [page]


def _cell(text: str) -> str:
    return _CODE.sub(r"`\g<0>`", " ".join(text.split()).replace("|", r"\|"))
