"""Rules on the sizes of an exported program's inputs: ranges, and dimensions that must be equal.

``torch.export`` leaves these to guards in Python around the graph; the graph alone may give wrong results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch  # type: ignore[import-not-found]
from torch.export.graph_signature import (  # type: ignore[import-not-found]
    ConstantArgument,
    InputKind,
    TensorArgument,
)

from mooring_inference.errors import bad_field
from mooring_inference.tensors import Signature

# PyTorch assumes dynamic sizes of at least 2 while it traces, so that it need not tell apart 0 and 1; what it
# writes down as a lower bound of 2 is no bound.
_TRACED_MINIMUM = 2


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dimension of one input, and the symbol that is its size."""

    input: int
    axis: int
    field: str


@dataclass(frozen=True, slots=True)
class SymbolRule:
    """Dimensions of one size, and the range of that size; None for no maximum."""

    dimensions: tuple[Dimension, ...]
    minimum: int
    maximum: int | None


class SizeRules:
    """What sizes must fulfil beyond the signature."""

    def __init__(
        self, rules: list[SymbolRule], derived: list[tuple[Dimension, Any, dict[Any, Dimension]]]
    ) -> None:
        """Take the rules.

        Args:
            rules: of plain symbols.
            derived: dimensions whose size is an expression, such as 2*s0, with the dimensions of its symbols.
        """
        self._rules = rules
        self._derived = derived

    def check(self, tensors: list[torch.Tensor]) -> None:
        """Raise RequestError, 400, where sizes do not go together."""
        for rule in self._rules:
            first = rule.dimensions[0]
            size = tensors[first.input].shape[first.axis]
            if size < rule.minimum or (rule.maximum is not None and size > rule.maximum):
                top = "" if rule.maximum is None else f" to {rule.maximum}"
                raise bad_field(first.field, f"{rule.minimum}{top or ' or more'}", size)
            for other in rule.dimensions[1:]:
                if (got := tensors[other.input].shape[other.axis]) != size:
                    raise bad_field(other.field, f"{size}, as {first.field}", got)
        for dimension, expression, symbols in self._derived:
            sizes = {symbol: tensors[at.input].shape[at.axis] for symbol, at in symbols.items()}
            wanted = int(expression.xreplace(sizes))
            if (got := tensors[dimension.input].shape[dimension.axis]) != wanted:
                raise bad_field(dimension.field, wanted, got)


def read_rules(program: Any, signature: Signature) -> SizeRules | None:
    """Return the rules of a program; None where the signature says it all.

    Args:
        program: an ``ExportedProgram``.
        signature: the names by which callers know its inputs.
    """
    by_symbol: dict[Any, list[Dimension]] = {}
    expressions: list[tuple[Dimension, Any]] = []
    for dimension, expression in _symbolic_dimensions(program, signature):
        if expression.is_Symbol:
            by_symbol.setdefault(expression, []).append(dimension)
        else:
            expressions.append((dimension, expression))
    rules = [_rule(program, symbol, dimensions) for symbol, dimensions in by_symbol.items()]
    derived = [
        (dimension, expression, {symbol: by_symbol[symbol][0] for symbol in expression.free_symbols})
        for dimension, expression in expressions
        if all(symbol in by_symbol for symbol in expression.free_symbols)
    ]
    needed = [rule for rule in rules if len(rule.dimensions) > 1 or rule.minimum or rule.maximum is not None]
    return SizeRules(needed, derived) if needed or derived else None


def _symbolic_dimensions(program: Any, signature: Signature) -> list[tuple[Dimension, Any]]:
    values = {node.name: node.meta.get("val") for node in program.graph_module.graph.nodes}
    found = []
    arguments = (
        spec.arg
        for spec in program.graph_signature.input_specs
        if spec.kind == InputKind.USER_INPUT and not isinstance(spec.arg, ConstantArgument)
    )
    for position, (argument, spec) in enumerate(zip(arguments, signature.inputs, strict=True)):
        if not isinstance(argument, TensorArgument):
            continue
        for axis, size in enumerate(values[argument.name].shape):
            if isinstance(size, torch.SymInt):
                field = f"inputs.{spec.name}.shape[{axis}]"
                found.append((Dimension(position, axis, field), size.node.expr))
    return found


def _rule(program: Any, symbol: Any, dimensions: list[Dimension]) -> SymbolRule:
    bounds = program.range_constraints.get(symbol)
    lower = None if bounds is None else _whole(bounds.lower)
    upper = None if bounds is None else _whole(bounds.upper)
    minimum = lower if lower is not None and lower > _TRACED_MINIMUM else 0
    return SymbolRule(tuple(dimensions), minimum, upper)


def _whole(bound: Any) -> int | None:
    """Return a bound; None for infinity, of which sympy and PyTorch have one each."""
    return int(bound) if getattr(bound, "is_Integer", isinstance(bound, int)) else None
