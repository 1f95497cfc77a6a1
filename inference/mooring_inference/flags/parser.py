"""Argument parsers made of tables of settings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from mooring_inference.flags.setting import Group, Setting


def make_parser(
    prog: str,
    groups: Sequence[Group],
    environ: Mapping[str, str],
    *,
    usage: str,
    description: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """Return a parser for settings, for arguments that ``underscored`` has gone over.

    Args:
        prog: the command.
        groups: its settings.
        environ: the environment, whose variables may stand for flags.
        usage, description, epilog: what ``--help`` says besides.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
        allow_abbrev=False,
    )
    for group in groups:
        flags = parser.add_argument_group(group.title)
        for setting in group.settings:
            _add(flags, setting, environ)
    return parser


def underscored(argv: Sequence[str]) -> list[str]:
    """Write flags with underscores, as KServe does; dashes, the custom elsewhere, work as well."""
    spelt = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        spelt.append(
            "--" + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument
        )
    return spelt


def _add(flags: argparse._ArgumentGroup, setting: Setting, environ: Mapping[str, str]) -> None:
    if not setting.value:
        flags.add_argument(f"--{setting.name}", action="store_true", help=setting.help)
        return
    unless_given = [f"${setting.variable}"] if setting.variable else []
    unless_given += [setting.default_text] if setting.default_text else []
    from_environment = environ.get(setting.environment)
    flags.add_argument(
        f"--{setting.name}",
        metavar=setting.value,
        type=setting.parse,
        # Text of the environment is parsed as that of the command line is.
        default=from_environment or setting.default,
        required=setting.required and not from_environment,
        choices=setting.choices or None,
        help=f"{setting.help} ({', '.join(unless_given)})" if unless_given else setting.help,
    )
