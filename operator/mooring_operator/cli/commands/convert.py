"""``mooring ci convert``: a PyTorch model as ONNX, compared with what it was."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mooring_operator.cli import output
from mooring_operator.cli.addresses import as_address
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import NO, CliError, needing
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_components.converting import Converted

HELP = paragraphs(
    """
    Write an exported program (.pt2) or TorchScript as ONNX, and compare both on random inputs of its signature.

    Both are run as the serving runtime runs them, with several batch sizes. FOLDER gets model.onnx, and the model's
    features.json, where no output differs by more than the tolerance. It needs PyTorch: the extra convert.

    Exit codes: 0 written; 1 they differ, and nothing is written; 2 it cannot be converted.
    """,
    "mooring ci convert model.pt2 --out onnx/",
    "mooring ci convert s3://models/digits/7/ --out onnx/ --tolerance 1e-3 -o json",
)


def convert(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="File or folder, or its address.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where model.onnx goes.")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="The most that an element may differ, times 1 + its size.")
    ] = 1e-4,
    allow_torchscript: Annotated[
        bool, typer.Option("--allow-torchscript", help="Load TorchScript, which runs its code here.")
    ] = False,
    form: Output = output.Format.TEXT,
) -> None:
    """Convert one model."""
    with needing("extras components and convert", "converting models"):
        from mooring_artifacts.errors import InputError, StoreUnavailable
        from mooring_components import converting

        if os.path.exists(out) and not os.path.isdir(out):
            raise CliError(f"--out {out} is a file: name a folder")
        allow = ["torchscript"] if allow_torchscript else []
        try:
            with output.console(stderr=True).status("converting"):
                found = converting.convert(as_address(model), out, allow, tolerance, "MODEL")
        except (InputError, StoreUnavailable) as error:
            raise CliError(str(error)) from error
    if form is not output.Format.TEXT:
        output.dump(found.to_json(), form)
    else:
        _show(found)
    if not found.holds:
        raise typer.Exit(NO)


def _show(found: "Converted") -> None:
    from mooring_artifacts.text import visible

    from mooring_operator.cli.tables import plain_table

    rows = [
        [
            visible(each.output),
            f"{each.difference:.3g}",
            f"{each.before:.6g}",
            f"{each.after:.6g}",
            f"[{', '.join(map(str, each.position))}]",
            str(each.batch),
        ]
        for each in found.differences
    ]
    heads = ("OUTPUT", "LARGEST DIFFERENCE", "PYTORCH", "ONNX", "AT", "ROWS")
    output.console().print(plain_table(heads, rows, indent=0))
    if found.holds:
        output.say(f"{found.file} is written", style="green")
    else:
        names = ", ".join(each.output for each in found.differences if not each.holds)
        output.say(f"not written: differing by more than the tolerance: {names}", style="red")
