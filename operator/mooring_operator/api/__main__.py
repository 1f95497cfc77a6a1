"""``python -m mooring_operator.api FOLDER [--check]``: write the CRDs, or say which differ."""

import argparse
from pathlib import Path

from mooring_operator.api import crds


def main() -> int:
    """Run the command; exit code 1 when --check finds a difference."""
    parser = argparse.ArgumentParser(prog="python -m mooring_operator.api", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("crds"))
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file differs")
    arguments = parser.parse_args()
    if arguments.check:
        stale = crds.differing(arguments.folder)
        for path in stale:
            print(f"{path}: differs from the models; run `make generate`")
        return 1 if stale else 0
    for path in crds.write(arguments.folder):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
