"""Manifests as YAML that kubectl reads as they were meant."""

import re
from typing import Any

import yaml

# Words that YAML 1.1, which kubectl reads, takes for something else than text; PyYAML knows some of them only.
_NOT_TEXT = re.compile(r"(?i)y|n|yes|no|true|false|on|off|null")
_PLAIN = re.compile(r"[A-Za-z](?:[A-Za-z0-9./:@_-]*[A-Za-z0-9/])?")


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = _PLAIN.fullmatch(text) and not _NOT_TEXT.fullmatch(text)
    # Single quotes leave a line's end a line's end; double ones escape it, and what is not printable.
    style = None if plain else "'" if text.isascii() and text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(manifest: dict[str, Any]) -> str:
    """Write a manifest."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=110)
