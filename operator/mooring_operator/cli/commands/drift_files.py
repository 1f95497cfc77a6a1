"""What the commands about files of rows share: the packages that read them, their errors, a progress bar."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mooring_operator.cli import output
from mooring_operator.cli.errors import CliError, needing


def load_components(name: str) -> Any:
    """Import a module of `mooring_components.drift`: the operator's own image has none.

    Raises:
        CliError: a package is not installed.
    """
    with needing("extras cli and components", "comparing files"):
        return importlib.import_module(f"mooring_components.drift.{name}")


@contextmanager
def unusable(options: Sequence[tuple[str, str]] = ()) -> Iterator[None]:
    """End the command where files cannot be compared; messages call a monitor's field by the option given for it."""
    try:
        yield
    except load_components("errors").EvaluationError as error:
        message = error.message
        for field, option in options:
            message = message.replace(field, option)
        raise CliError(message) from error


@contextmanager
def progress(doing: str) -> Iterator[Any]:
    """A bar on a terminal's stderr, nothing in a pipe; what it gives is told each thing done, and their number."""
    if not sys.stderr.isatty():
        yield lambda name, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    shown = Progress(
        TextColumn(doing),
        BarColumn(),
        MofNCompleteColumn(),
        console=output.console(stderr=True),
        transient=True,
    )
    with shown:
        task = shown.add_task(doing, total=None)
        yield lambda name, total: shown.update(task, advance=1, total=total)
