"""``python -m mooring_operator.api CRDS REASONS [--check]``: write what is generated, or say what differs."""

import argparse
from pathlib import Path

from mooring_operator.api import crds, reasons_page


def main() -> int:
    """Run the command; exit code 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m mooring_operator.api", description=__doc__)
    parser.add_argument("crds", type=Path, nargs="?", default=Path("crds"), help="folder of the CRDs")
    parser.add_argument(
        "reasons", type=Path, nargs="?", default=Path("docs/reasons.md"), help="page of the reasons"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    arguments = parser.parse_args()
    if arguments.check:
        stale = [*crds.differing(arguments.crds), *reasons_page.differing(arguments.reasons)]
        for path in stale:
            print(f"{path}: differs from the models; run `make generate`")
        return 1 if stale else 0
    for path in [*crds.write(arguments.crds), *reasons_page.write(arguments.reasons)]:
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
