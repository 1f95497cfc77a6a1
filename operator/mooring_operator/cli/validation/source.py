"""Reads YAML the way the Kubernetes API does, and remembers the line of every field."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from mooring_artifacts.text import shortened

Path = tuple[str | int, ...]

# Values of one document, each alias counted for all that it stands for: ten lines of them could be gigabytes.
_MOST_VALUES = 100_000
_DEEPEST = 100
_LONGEST_NUMBER = 100
_ITEM = len(("items", 0))


class SourceError(Exception):
    """The text is no YAML; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = shortened(message, 200)


@dataclass
class Document:
    """One YAML document: its value as JSON has it, the line of every field, fields that are given twice, its values."""

    value: Any
    line: int
    lines: dict[Path, int] = field(default_factory=dict)
    repeated: list[Path] = field(default_factory=list)
    size: int = 0

    def line_of(self, path: Path) -> int:
        """Give the line of `path`, or of the nearest field above it that the text has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.line)


def read_objects(text: str) -> Iterator[Document]:
    """Give the documents of `text` and, in the place of lists of objects, their items, as kubectl takes them.

    Raises:
        SourceError: the text is no YAML.
    """
    for document in read_documents(text):
        yield from _items(document)


def _items(document: Document) -> Iterator[Document]:
    """Give the items of a list, and of lists among them; what is no list, or no good one, as it is."""
    if not is_list(document.value) or any(len(path) < _ITEM for path in document.repeated):
        yield document
        return
    parts = [
        Document(_typed(item, document.value), document.line_of(("items", index)), size=document.size)
        for index, item in enumerate(document.value["items"])
    ]
    for path, line in document.lines.items():
        if len(path) >= _ITEM and path[0] == "items":
            parts[int(path[1])].lines[path[_ITEM:]] = line
    for path in document.repeated:
        if path[0] == "items":
            parts[int(path[1])].repeated.append(path[_ITEM:])
    for part in parts:
        yield from _items(part)


def is_list(value: Any) -> bool:
    """Whether kubectl takes a value for a list of objects, with objects in it."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("apiVersion"), str)
        and str(value.get("kind")).endswith("List")
        and isinstance(value.get("items"), list)
        and bool(value["items"])
    )


def _typed(item: Any, of: dict[str, Any]) -> Any:
    """Give an item of a list of one kind its kind, where it says none."""
    kind = str(of["kind"]).removesuffix("List")
    if not kind or not isinstance(item, dict) or item.get("kind") or item.get("apiVersion"):
        return item
    return {**item, "kind": kind, "apiVersion": of.get("apiVersion")}


class _Resolver(yaml.SafeLoader):
    """Scalars as kubectl reads them: YAML 1.1 booleans, but neither dates nor sexagesimal numbers."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    (
        "bool",
        r"^(?:y|Y|n|N|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$",
        "yYnNtTfFoO",
    ),
    ("int", r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^<<$", "<"),
):
    _Resolver.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))

_BOOLEANS = {"y": True, "yes": True, "true": True, "on": True, "n": False, "no": False}


def read_documents(text: str) -> Iterator[Document]:
    """Give the documents of `text`; empty ones are left out.

    Raises:
        SourceError: the text is no YAML.
    """
    try:
        for node in yaml.compose_all(text, Loader=_Resolver):
            if node is None or node.value == "":
                continue
            document = Document(None, node.start_mark.line + 1)
            document.value = _value(node, (), document)
            yield document
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f"{error.context}: " if error.context else ""
        problem = f"{context}{error.problem or 'cannot be read'}".replace("\t", "tab")
        raise SourceError(mark.line + 1 if mark else 1, problem) from error
    except RecursionError as error:
        raise SourceError(1, f"expected at most {_DEEPEST} levels") from error
    except yaml.YAMLError as error:
        raise SourceError(1, " ".join(str(error).split())) from error


def _value(node: Any, path: Path, document: Document) -> Any:
    document.lines.setdefault(path, _line(node))
    document.size += 1
    if document.size > _MOST_VALUES or len(path) > _DEEPEST:
        raise SourceError(
            _line(node),
            f"expected at most {_MOST_VALUES} values and {_DEEPEST} levels, with what aliases stand for",
        )
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, index), document) for index, child in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: Any, path: Path, document: Document) -> dict[str, Any]:
    out: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key_node, child in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            for source in child.value if isinstance(child, yaml.SequenceNode) else [child]:
                if not isinstance(source, yaml.MappingNode):
                    raise SourceError(_line(source), "expected mappings to merge")
                merged = {**_value(source, path, document), **merged}
            continue
        if not isinstance(key_node, yaml.ScalarNode):
            raise SourceError(_line(key_node), "expected text as a key, got a list or a mapping")
        key = _text(key_node)
        if key in out:
            document.repeated.append((*path, key))
        document.lines[(*path, key)] = _line(key_node)
        out[key] = _value(child, (*path, key), document)
    return {**merged, **out}


def _scalar(node: Any) -> Any:
    kind, text = node.tag.rsplit(":", 1)[-1], _text(node)
    if kind == "null":
        return None
    if kind == "bool":
        return _BOOLEANS.get(text.lower(), False)
    if kind not in ("int", "float"):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise SourceError(_line(node), f"expected at most {_LONGEST_NUMBER} digits, got {len(text)}")
    try:
        return _integer(text.replace("_", "")) if kind == "int" else _float(text)
    except ValueError:
        # 0b_ and the like, or a tag that is wrong about its text.
        return text


def _float(text: str) -> float:
    number = float(text)
    # The API's JSON has no 1.0: a whole number is an integer.
    return int(number) if number.is_integer() and abs(number) < 2**63 else number


def _text(node: Any) -> str:
    text = str(node.value)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise SourceError(_line(node), "expected characters of Unicode, got half of a surrogate pair")
    return text


def _line(node: Any) -> int:
    line: int = node.start_mark.line + 1
    return line


def _integer(text: str) -> int:
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    if digits.startswith("0") and len(digits) > 1 and digits[1].isdigit():
        return sign * int(digits, 8)
    return sign * int(digits, 0)
