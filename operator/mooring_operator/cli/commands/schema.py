"""``mooring schema infer``: a first data schema, from rows."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mooring_operator.cli import output
from mooring_operator.cli.addresses import as_address
from mooring_operator.cli.commands.options import Output
from mooring_operator.cli.errors import CliError, needing
from mooring_operator.cli.help import paragraphs

_HELP = "What the rows of test data must be."
_INFER_HELP = paragraphs(
    """
    Print the schema that rows have: types, ranges, shares of nulls, the values of columns that have few.

    What a few rows say of all is a beginning: look through it, widen the ranges, then give it to
    spec.ci.testData.schema, or store it and give its address.
    """,
    "mooring schema infer test.parquet",
    "mooring schema infer s3://data/iris/test/ > schema.yaml",
)


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    schema = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="rich")
    schema.callback()(lambda: None)
    schema.command("infer", help=_INFER_HELP)(infer)
    app.add_typer(schema, name="schema", rich_help_panel="Before a cluster")


def infer(
    rows: Annotated[
        str, typer.Argument(help="File or folder of Parquet, Arrow, CSV or JSON lines, or its address.")
    ],
    form: Output = output.Format.TEXT,
) -> None:
    """Infer, and say where the text is too long for a spec."""
    from mooring_artifacts.data_schema import is_address, render_schema
    from mooring_artifacts.errors import InputError, StoreUnavailable

    from mooring_operator.api import forms

    with needing("extra components", "reading rows"):
        from mooring_components.validation.inference import infer_schema
        from mooring_components.validation.step import copy_rows
    address = rows if is_address(rows) else as_address(rows)
    try:
        with tempfile.TemporaryDirectory() as place:
            found = infer_schema(copy_rows(address, Path(place), "ROWS"))
    except (InputError, StoreUnavailable) as error:
        raise CliError(str(error)) from error
    if form is not output.Format.TEXT:
        output.dump(found.model_dump(mode="json", by_alias=True, exclude_defaults=True), form)
        return
    text = render_schema(found)
    sys.stdout.write(text)
    if not forms.ROWS.fits(text):
        output.say(
            f"{len(text)} characters are more than the {forms.ROWS.longest} that a spec holds: store it, and give "
            "spec.ci.testData.schema its address",
            stderr=True,
        )
