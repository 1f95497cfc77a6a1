"""Plain tables in kubectl's manner: capitals on top, no frames, messages wrap in a terminal's last column."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_LONG = 32


def plain_table(
    columns: Iterable[str], rows: Iterable[Iterable[str | Text]], *, indent: int = 2
) -> RenderableType:
    """Give a table; the last column takes the width that is left, and wraps, and so does one with long texts."""
    names, lines = list(columns), [[_text(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(names))
    for index, name in enumerate(names):
        # Where there is too little room, what wraps gives way first: half a revision would name none.
        wraps = index == len(names) - 1 or any(line[index].cell_len > _LONG for line in lines)
        table.add_column(name, no_wrap=not wraps, overflow="fold" if wraps else "ellipsis")
    for line in lines:
        table.add_row(*line)
    return Padding(table, (0, 0, 0, indent), expand=False)


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def heading(text: str) -> RenderableType:
    """Give the title of a section."""
    return Text(f"\n{text}", style="bold")
