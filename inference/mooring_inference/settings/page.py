"""Write docs/serving-settings.md, the page of all settings.

    python -m mooring_inference.settings.page [PAGE] [--check]

With ``--check`` nothing is written, and a difference is an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from mooring_inference.flags.setting import Setting
from mooring_inference.score.table import GROUPS as SCORE
from mooring_inference.settings.table import GROUPS as SERVER
from mooring_inference.stream.table import GROUPS as STREAM

_HEAD = """\
<!-- Generated from the tables of settings in inference/mooring_inference by `make generate`. Do not edit. -->
# Settings of the serving runtime

The flags of `mooring-inference`, `mooring-inference score` and `mooring-inference stream`, as `--help` lists them; [the
serving runtime](serving.md) says what they are for. Dashes may stand for underscores. A variable counts where its flag
is not given; that of a key's file holds the key itself.
"""
_COMMANDS = (
    ("mooring-inference", SERVER),
    ("mooring-inference score", SCORE),
    ("mooring-inference stream", STREAM),
)
_COLUMNS = ("flag", "default", "variable", "what")


def render() -> str:
    """Render the page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    for command, groups in _COMMANDS:
        yield f"## `{command}`\n"
        for group in groups:
            yield f"### {group.title[0].upper()}{group.title[1:]}\n"
            yield _row(_COLUMNS)
            yield _row(["---"] * len(_COLUMNS))
            yield from (_row(_cells(setting)) for setting in group.settings)
            yield ""


def _cells(setting: Setting) -> Iterator[str]:
    yield _code(f"--{setting.name} {setting.value}".rstrip())
    yield setting.default_text if setting.otherwise or setting.required else _code(setting.default_text)
    yield _code(setting.variable)
    yield setting.help


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _row(cells: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def main() -> int:
    """Run the command; exit code 1 where ``--check`` finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m mooring_inference.settings.page")
    parser.add_argument("page", type=Path, nargs="?", default=Path("docs/serving-settings.md"))
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the page differs")
    arguments = parser.parse_args()
    page: Path = arguments.page
    if not arguments.check:
        page.write_text(render())
        return 0
    if page.is_file() and page.read_text() == render():
        return 0
    sys.stderr.write(f"{page}: differs from the table of settings; run `make generate`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
