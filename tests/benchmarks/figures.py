"""How figures of the docs are written."""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure


def save(figure: Figure, path: Path, salt: str) -> None:
    """Write a figure, in the format that the suffix says; of the same results and salt come the same bytes."""
    with matplotlib.rc_context({"svg.hashsalt": salt}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
