"""Write docs/serving-settings.md, the page of all settings.

    python -m mooring_inference.settings.page [PAGE] [--check]

With ``--check`` nothing is written, and a difference is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mooring_inference.collect.table import GROUPS as COLLECT
from mooring_inference.erase.table import GROUPS as ERASE
from mooring_inference.flags.setting import Setting
from mooring_inference.profile.table import GROUPS as PROFILE
from mooring_inference.score.table import GROUPS as SCORE
from mooring_inference.settings.markdown import code, table, write_or_check
from mooring_inference.settings.table import GROUPS as SERVER
from mooring_inference.stream.table import GROUPS as STREAM

_HEAD = """\
<!-- Generated from the tables of settings in inference/mooring_inference by `make generate`. Do not edit. -->
# Settings of the serving runtime

The flags of `mooring-inference` and of its commands `score`, `stream`, `collect`, `profile` and `erase`, as `--help`
lists them; [the serving runtime](serving.md) says what they are for. Dashes may stand for underscores. A variable
counts where its flag is not given; that of a key's file holds the key itself.
"""
_COMMANDS = (
    ("mooring-inference", SERVER),
    ("mooring-inference score", SCORE),
    ("mooring-inference stream", STREAM),
    ("mooring-inference collect", COLLECT),
    ("mooring-inference profile", PROFILE),
    ("mooring-inference erase", ERASE),
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
            yield from table(_COLUMNS, map(_cells, group.settings))


def _cells(setting: Setting) -> Iterator[str]:
    yield code(f"--{setting.name} {setting.value}".rstrip())
    yield setting.default_text if setting.otherwise or setting.required else code(setting.default_text)
    yield code(setting.variable)
    yield setting.help


if __name__ == "__main__":
    raise SystemExit(
        write_or_check("mooring_inference.settings.page", Path("docs/serving-settings.md"), render())
    )
