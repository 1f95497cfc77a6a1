"""Exported programs (``torch.export.save``, ``.pt2``), run by PyTorch."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]
from mooring_artifacts.errors import first_line
from torch.export.graph_signature import (  # type: ignore[import-not-found]
    ConstantArgument,
    InputKind,
    OutputKind,
    SymIntArgument,
    TensorArgument,
)
from torch.export.passes import move_to_device_pass  # type: ignore[import-not-found]
from torch.utils import _pytree as pytree  # type: ignore[import-not-found]

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.declared import FILE, adopt_signature, read_signature
from mooring_inference.backends.torch.backend import LoadedModule, TorchBackend, use_threads
from mooring_inference.backends.torch.exported_sizes import SizeRules, read_rules
from mooring_inference.backends.torch.pt2_archive import check_archive
from mooring_inference.backends.torch.tensors import choose_device, datatype_of
from mooring_inference.errors import ModelLoadError
from mooring_inference.tensors import DATATYPES, Signature, TensorSpec


def load_exported(path: Path, options: LoadOptions) -> TorchBackend:
    """Load an exported program.

    Inputs have the names of ``forward``'s arguments (``pair_a`` for the key ``a`` of the argument ``pair``), outputs
    those of a returned dict's or named tuple's fields, else ``output_0``, ``output_1``; a ``signature.json`` beside
    the file may give others, in the same order. Dynamic dimensions are open.

    Args:
        path: the file.
        options: threads, device.

    Raises:
        ModelLoadError: it cannot be served.
    """
    device = choose_device(options)
    use_threads(options)
    program = _read(path, device)
    own, dtypes = _signature(path.name, program)
    adopted = adopt_signature(own, read_signature(path.parent), FILE)
    flat = FlatProgram(path.name, program, adopted)
    trained = {name: program.state_dict[name] for name in program.graph_signature.parameters}
    module = LoadedModule(flat.run, adopted, dtypes, _writes(program), trained)
    return TorchBackend("pytorch_export", module, device)


class FlatProgram:
    """A program's graph, called with its weights and its inputs as one flat list of arguments.

    ``ExportedProgram.module()`` does the same with a tree of arguments to flatten and guards in Python, which cost
    more than a small model itself: a network of 784-256-10 takes 30 us this way and 120 us that way. Of the guards,
    those of sizes stay; the others are what the signature says and is checked already.
    """

    def __init__(self, file: str, program: Any, signature: Signature) -> None:
        graph = program.graph_module
        _drop_assertions(graph)
        self._forward = graph.forward
        self._rules: SizeRules | None = read_rules(program, signature)
        self._arguments: list[Any] = []
        # Where in the arguments the inputs go, and which of them the graph takes as a number.
        self._inputs: list[tuple[int, bool]] = []
        for position, spec in enumerate(program.graph_signature.input_specs):
            if spec.kind == InputKind.USER_INPUT and not isinstance(spec.arg, ConstantArgument):
                self._inputs.append((position, isinstance(spec.arg, SymIntArgument)))
            self._arguments.append(_fixed_argument(file, program, spec))
        self._outputs = [
            position
            for position, spec in enumerate(program.graph_signature.output_specs)
            if spec.kind == OutputKind.USER_OUTPUT and not isinstance(spec.arg, ConstantArgument)
        ]

    def run(self, tensors: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return the outputs of the program; raises RequestError where sizes of inputs do not go together."""
        if self._rules is not None:
            self._rules.check(tensors)
        arguments = self._arguments.copy()
        for (position, is_number), tensor in zip(self._inputs, tensors, strict=True):
            arguments[position] = tensor.item() if is_number else tensor
        results = self._forward(*arguments)
        return [_as_tensor(results[position]) for position in self._outputs]


def _read(path: Path, device: torch.device) -> Any:
    samples = check_archive(path)
    _check_samples(path, samples)
    try:
        program = torch.export.load(path)
        if device.type == "cuda":
            program = move_to_device_pass(program, device)
    except Exception as error:
        raise ModelLoadError(f"{path.name} is not a usable exported program: {first_line(error)}") from None
    for tensor in (*program.state_dict.values(), *program.constants.values()):
        if isinstance(tensor, torch.Tensor):
            tensor.requires_grad_(False)
    return program


def _check_samples(path: Path, member: str) -> None:
    """Refuse samples that PyTorch would read without weights_only, as it does where they cannot be read with it."""
    with zipfile.ZipFile(path) as archive:
        content = archive.read(member) if member in archive.namelist() else b""
    if not content:
        return
    try:
        torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except Exception as error:
        raise ModelLoadError(
            f"{path.name}: its sample inputs are not plain tensors: {first_line(error)}"
        ) from None


def _drop_assertions(graph: Any) -> None:
    """Remove checks of dtype and device in mid-graph: of 3 us each, and true by the signature."""
    for node in list(graph.graph.nodes):
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            graph.graph.erase_node(node)
    graph.recompile()


def _fixed_argument(file: str, program: Any, spec: Any) -> Any:
    """Return the weight or constant that an argument of the graph always is; None for an input."""
    if spec.kind == InputKind.USER_INPUT:
        return spec.arg.value if isinstance(spec.arg, ConstantArgument) else None
    if spec.kind not in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
        raise ModelLoadError(
            f"{file}: {spec.target or spec.arg.name} is a {spec.kind.name}, which cannot be served"
        )
    found = program.state_dict.get(spec.target)
    return program.constants[spec.target] if found is None else found


def _as_tensor(result: Any) -> torch.Tensor:
    return result if isinstance(result, torch.Tensor) else torch.tensor(result)


def _writes(program: Any) -> bool:
    """Return whether any operator of the graph writes into one of its arguments."""
    return any(
        getattr(getattr(node.target, "_schema", None), "is_mutable", False)
        for node in program.graph_module.graph.nodes
    )


def _signature(file: str, program: Any) -> tuple[Signature, tuple[torch.dtype | None, ...]]:
    values = {node.name: node.meta.get("val") for node in program.graph_module.graph.nodes}
    inputs, dtypes = [], []
    for spec in program.graph_signature.input_specs:
        if spec.kind == InputKind.USER_INPUT and not isinstance(spec.arg, ConstantArgument):
            inputs.append(_spec(file, f"input {spec.arg.name}", spec.arg.name, spec.arg, values))
            value = values[spec.arg.name]
            dtypes.append(torch.bfloat16 if getattr(value, "dtype", None) == torch.bfloat16 else None)
    users = [s for s in program.graph_signature.output_specs if s.kind == OutputKind.USER_OUTPUT]
    outputs = [
        _spec(file, f"output {name}", name, spec.arg, values)
        for name, spec in zip(_output_names(program, len(users)), users, strict=True)
        if not isinstance(spec.arg, ConstantArgument)
    ]
    if not outputs:
        raise ModelLoadError(f"{file} has no output that is a tensor")
    return Signature(tuple(inputs), tuple(outputs)), tuple(dtypes)


def _spec(file: str, what: str, name: str, argument: Any, values: dict[str, Any]) -> TensorSpec:
    if isinstance(argument, SymIntArgument):
        return TensorSpec(name, DATATYPES["INT64"], ())
    if not isinstance(argument, TensorArgument):
        raise ModelLoadError(f"{file}: {what} is neither a tensor nor a whole number")
    value = values[argument.name]
    datatype = datatype_of(value.dtype)
    if datatype is None:
        raise ModelLoadError(f"{file}: {what} is {value.dtype}, which cannot be served")
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    axis = value.shape[0] if len(value.shape) else 0
    # Dimensions that must be equal are one symbol.
    return TensorSpec(name, datatype, shape, row_axis="" if isinstance(axis, int) else str(axis))


def _output_names(program: Any, count: int) -> list[str]:
    tree = pytree.tree_unflatten(list(range(count)), program.call_spec.out_spec)
    paths, _ = pytree.tree_flatten_with_path(tree)
    names = [_path_name(path) for path, _ in paths]
    return names if len(set(names)) == count else [f"output_{position}" for position in range(count)]


def _path_name(path: Sequence[Any]) -> str:
    parts = [str(getattr(step, "key", getattr(step, "name", getattr(step, "idx", step)))) for step in path]
    if not parts:
        return "output_0"
    return "_".join(["output", *parts] if parts[0].isdigit() else parts)
