"""The command ``mooring-inference``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import uvloop

from mooring_inference.access.api_keys import ApiKeysError
from mooring_inference.access.tls import TlsError
from mooring_inference.errors import ModelLoadError
from mooring_inference.models.loading import is_loading
from mooring_inference.observability.logs import configure_logging
from mooring_inference.server import serve
from mooring_inference.settings import parse_settings
from mooring_inference.workers.supervisor import supervise

# Other ways to run a model; imported only where they are asked for, since the server needs none of them.
_SUBCOMMANDS = {
    name: f"mooring_inference.{name}.command" for name in ("collect", "erase", "profile", "score", "stream")
}


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM; exit code 0 after a drain, 1 where a model cannot be served."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in _SUBCOMMANDS:
        try:
            subcommand = import_module(_SUBCOMMANDS[argv[0]])
        except ModuleNotFoundError as exc:
            sys.stderr.write(
                f"mooring-inference {argv[0]} needs {exc.name}, of kube-mooring's extra inference\n"
            )
            raise SystemExit(1) from None
        raise SystemExit(subcommand.main(argv[1:]))
    configure_logging()
    try:
        settings = parse_settings(argv)
        if settings.workers > 1 and settings.worker is None:
            raise SystemExit(uvloop.run(supervise(settings, argv)))
        uvloop.run(serve(settings))
        if is_loading():
            # Told to stop meanwhile; no library is ready to end in the middle of it.
            os._exit(0)
    except (ModelLoadError, ApiKeysError, TlsError, OSError) as exc:
        sys.stderr.write(f"mooring-inference: {' '.join(str(exc).split())}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
