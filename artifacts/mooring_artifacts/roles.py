"""What a program says that is there without the packages of its role: every role's programs come with the wheel."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

NOT_INSTALLED = 2
"""Exit code of a program that lacks a package."""


@contextmanager
def packages_of(role: str, program: str) -> Iterator[None]:
    """Run imports; a package that is not installed ends `program` with one line that says what to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package.startswith("mooring_"):
            raise
        sys.stderr.write(
            f"error: {program} needs the package {package}, which is not installed; install "
            f"requirements/{role}.txt, or kube-mooring with its extra {role} (docs/install.md)\n"
        )
        raise SystemExit(NOT_INSTALLED) from None
