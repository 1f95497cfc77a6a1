"""The command ``mooring-inference``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import uvloop

from mooring_inference.errors import ModelLoadError
from mooring_inference.logs import configure_logging
from mooring_inference.server import serve
from mooring_inference.settings import parse_settings


def main(argv: Sequence[str] | None = None) -> None:
    """Serve one model until SIGTERM; exit code 0 after a drain, 1 where it cannot be served."""
    settings = parse_settings(sys.argv[1:] if argv is None else argv)
    configure_logging()
    try:
        uvloop.run(serve(settings))
    except (ModelLoadError, OSError) as exc:
        sys.stderr.write(f"mooring-inference: {' '.join(str(exc).split())}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
