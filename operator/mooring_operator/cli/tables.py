"""Plain tables in kubectl's manner: capitals on top, no frames, messages wrap in a terminal's last column."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def plain_table(
    columns: Iterable[str], rows: Iterable[Iterable[str | Text]], *, indent: int = 2
) -> RenderableType:
    """Give a table; the last column takes the width that is left, and wraps."""
    names = list(columns)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(names))
    for name in names[:-1]:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column(names[-1], overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return Padding(table, (0, 0, 0, indent), expand=False)


def heading(text: str) -> RenderableType:
    """Give the title of a section."""
    return Text(f"\n{text}", style="bold")
