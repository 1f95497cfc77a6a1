"""Pages that are generated: tables in Markdown, written or compared with what is there."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a table, and an empty one."""
    columns = tuple(columns)
    yield _row(columns)
    yield _row(["---"] * len(columns))
    yield from map(_row, rows)
    yield ""


def code(text: str) -> str:
    """Return text as code; nothing where there is none."""
    return f"`{text}`" if text else ""


def write_or_check(module: str, default: Path, content: str) -> int:
    """Run the command of a page; exit code 1 where ``--check`` finds a difference."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("page", type=Path, nargs="?", default=default)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page differs")
    arguments = parser.parse_args()
    page: Path = arguments.page
    if not arguments.check:
        page.write_text(content)
        return 0
    if page.is_file() and page.read_text() == content:
        return 0
    sys.stderr.write(f"{page}: differs from what the code says; run `make generate`\n")
    return 1


def _row(cells: Iterable[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"
