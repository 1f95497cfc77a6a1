"""A look into a ``torch.export`` archive before PyTorch reads it.

PyTorch's own reader unpickles what an archive says is pickled, evaluates size expressions as Python, and resolves
operators to any attribute of ``torch``: a crafted archive runs code. What ``torch.export.save`` writes for models
of tensors needs none of that, so an archive with anything else in it is refused.

Layout (torch 2.8 and later, ``torch.export.pt2_archive``): ``NAME/archive_format``, ``NAME/models/MODEL.json`` with
the graph, ``NAME/data/{weights,constants}/`` with raw tensors and a JSON index of them, and
``NAME/data/sample_inputs/MODEL.pt``, the one pickle that is always there.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mooring_inference.errors import ModelLoadError

# Bytes of JSON; the graph of a model of some thousand operators takes a few MiB.
_MAX_JSON = 512 << 20
_TARGETS = re.compile(
    r"torch\.ops\.[a-z]\w*\.(?:_?[A-Za-z]\w*|__i?(?:and|or|xor|lshift|rshift)__)(?:\.[A-Za-z]\w*)?"
    r"|torch\._?sym_[a-z_]+"
    r"|math\.[a-z]\w*"
    r"|_operator\.(?:getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge"
    r"|and_|or_|xor|not_|lshift|rshift)"
)
# Operators that open files.
_REFUSED_TARGETS = ("torch.ops.aten.from_file",)
_SYMBOL = re.compile(r"Symbol\('\w{1,80}'")
_WORDS = re.compile(r"[A-Za-z_]\w*")
_EXPRESSION = re.compile(r"[\w\s+\-*/%<>=&|~.,()]*")
# What PyTorch's size expressions are made of, besides symbols such as s0, u1 or zf2.
_EXPRESSION_WORDS = re.compile(
    "Symbol|positive|integer|nonnegative|real|True|False|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Abs|Mod"
    "|Eq|Ne|Lt|Le|Gt|Ge|And|Or|Not|floor|ceiling|sqrt|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv"
    "|CeilToInt|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv"
    "|IsNonOverlappingAndDenseIndicator|TruncToFloat|TruncToInt|RoundToInt|RoundDecimal|ToFloat|Identity"
    "|OpaqueUnaryFn_(?:sqrt|exp|log)|int_oo|oo"
    r"|[a-z]{1,4}\d{1,9}"
)
# Names become names in the Python code that PyTorch makes of a graph.
_NAME = re.compile(r"[\w.]*")
# What keys of objects are themselves found under.
_KEY = "a key"
_TREE_TYPES = frozenset(
    (
        None,
        "builtins.tuple",
        "builtins.list",
        "builtins.dict",
        "collections.OrderedDict",
        "collections.namedtuple",
    )
)


def check_archive(path: Path) -> str:
    """Refuse an archive that could run code when PyTorch reads it.

    Returns:
        The name of the member with the sample inputs, a pickle, for a check by the weights-only unpickler.

    Raises:
        ModelLoadError: says what in it is not allowed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _check_members(path.name, archive)
    except (zipfile.BadZipFile, OSError, ValueError, RecursionError, NotImplementedError) as error:
        raise ModelLoadError(f"{path.name} is not a readable archive: {error}") from None


def _check_members(file: str, archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    if len(set(names)) != len(names):
        raise ModelLoadError(f"{file} has two members of one name")
    roots = {name.partition("/")[0] for name in names}
    if len(roots) != 1:
        raise ModelLoadError(f"{file} has members outside of one folder")
    (root,) = roots
    if any(name.startswith(f"{root}/data/aotinductor/") for name in names):
        raise ModelLoadError(
            f"{file} holds machine code (AOTInductor); save it with torch.export.save instead"
        )
    models = [name for name in names if name.startswith(f"{root}/models/")]
    if models != [f"{root}/models/model.json"]:
        raise ModelLoadError(f"{file} holds {len(models)} programs, expected one that is named model")
    for kind in ("weights", "constants"):
        _check_payloads(file, archive, f"{root}/data/{kind}/", kind)
    _check_program(file, _read_json(file, archive, models[0]))
    return f"{root}/data/sample_inputs/model.pt"


def _check_payloads(file: str, archive: zipfile.ZipFile, folder: str, kind: str) -> None:
    if f"{folder}model.pt" in archive.namelist():
        raise ModelLoadError(f"{file} keeps its {kind} as a pickle; save it again with torch 2.9 or later")
    index = _read_json(file, archive, f"{folder}model_{kind}_config.json")
    config = index.get("config")
    if not isinstance(config, dict):
        raise ModelLoadError(f"{file}: the index of its {kind} has no config")
    for name, entry in config.items():
        raw = "weight_" if kind == "weights" else "tensor_"
        if not isinstance(entry, dict):
            raise ModelLoadError(f"{file}: the index of its {kind} says nothing of {name}")
        if entry.get("use_pickle") is not False or not str(entry.get("path_name")).startswith(raw):
            raise ModelLoadError(f"{file}: {name} is kept as a pickle, which can run code when it is read")


def _check_program(file: str, program: dict[str, object]) -> None:
    for key, value in _walk(program):
        if not isinstance(value, str):
            continue
        if key in ("target", "as_operator") and not _is_allowed_target(value):
            raise ModelLoadError(f"{file}: the operator {value[:80]!r} is not allowed")
        if key == "expr_str" and not _is_allowed_expression(value):
            raise ModelLoadError(f"{file}: the size {value[:80]!r} is not an expression of sizes")
        # Ranges are kept under the expression that they are of, all else under a name.
        is_name = _NAME.fullmatch(value) or (key == _KEY and _is_allowed_expression(value))
        if key in ("name", _KEY) and not is_name:
            raise ModelLoadError(f"{file}: the name {value[:80]!r} is not allowed")
        if key in ("in_spec", "out_spec", "treespec") and value:
            _check_tree(file, value)


def _is_allowed_target(target: str) -> bool:
    return bool(_TARGETS.fullmatch(target)) and not target.startswith(_REFUSED_TARGETS)


def _is_allowed_expression(expression: str) -> bool:
    # The names of symbols are the only strings; without them an expression is words, numbers and signs.
    rest = _SYMBOL.sub("Symbol(", expression)
    return (
        len(expression) < 10_000
        and bool(_EXPRESSION.fullmatch(rest))
        # A point is part of a number, never the way to an attribute.
        and not re.search(r"\.\s*[A-Za-z_]|[A-Za-z_)]\w*\s*\.", rest)
        and all(_EXPRESSION_WORDS.fullmatch(word) for word in _WORDS.findall(rest))
    )


def _check_tree(file: str, text: str) -> None:
    """Refuse trees of inputs and outputs whose types name modules to import."""
    for key, value in _walk(json.loads(text)):
        is_foreign = key == "type" and value not in _TREE_TYPES
        if is_foreign or (key == "context" and isinstance(value, str) and "__enum__" in value):
            raise ModelLoadError(f"{file}: inputs or outputs of type {str(value)[:80]!r} are not allowed")


def _walk(document: object) -> Iterator[tuple[str, object]]:
    """Yield each key with its value, each element of an array under the array's key, and each key, at any depth."""
    waiting: list[tuple[str, object]] = [("", document)]
    while waiting:
        key, value = waiting.pop()
        yield key, value
        if isinstance(value, dict):
            waiting.extend((_KEY, inner) for inner in value)
            waiting.extend(value.items())
        elif isinstance(value, list):
            waiting.extend((key, inner) for inner in value)


def _read_json(file: str, archive: zipfile.ZipFile, name: str) -> dict[str, object]:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ModelLoadError(f"{file} has no {name}; was it saved by torch.export.save?") from None
    if info.file_size > _MAX_JSON:
        raise ModelLoadError(f"{file}: {name} is larger than {_MAX_JSON >> 20} MiB")
    document = json.loads(archive.read(info))
    if not isinstance(document, dict):
        raise ModelLoadError(f"{file}: {name} is not a JSON object")
    return document
