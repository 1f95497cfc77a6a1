"""The command line of the server: KServe's flags and a few of our own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring_inference.cpu import usable_cores


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve one model.

    Attributes:
        model_name: the name in request paths.
        model_dir: a folder that holds one .onnx file, or the file.
        revision: what ``model_version``, the response header and the ``revision`` label say.
        host, http_port: where to listen; port 0 takes a free one, which the ``listening`` log line names.
        max_request_bytes: larger bodies are answered with 413.
        threads: threads of one model execution.
        drain_seconds: how long requests are still taken after SIGTERM, for load balancers to notice.
        grace_seconds: how long requests in flight may then still take.
    """

    model_name: str
    model_dir: Path
    revision: str
    host: str
    http_port: int
    max_request_bytes: int
    threads: int
    drain_seconds: float
    grace_seconds: float


def parse_settings(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line; ends the process with usage on stderr where that is wrong."""
    parser = argparse.ArgumentParser(
        prog="mooring-inference", description="Serve one ONNX model, V1 and V2 REST."
    )

    def flag(name: str, **options: object) -> None:
        # KServe spells its flags with underscores; dashes are the custom elsewhere.
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        parser.add_argument(*spellings, dest=name, **options)  # type: ignore[arg-type]

    flag("model_name", required=True, help="the model's name in request paths")
    flag("model_dir", type=Path, default=Path("/mnt/models"), help="folder with one .onnx file, or the file")
    flag("revision", default=environ.get("MOORING_REVISION") or "1", help="default $MOORING_REVISION, then 1")
    flag("host", default="0.0.0.0", help="address to listen on")  # noqa: S104  a pod's own address
    flag("http_port", type=int, default=8080, help="0 takes a free port")
    flag("max_request_bytes", type=_positive(int), default=64 << 20)
    flag("threads", type=_positive(int), default=None, help="default: the container's CPU limit")
    flag("drain_seconds", type=float, default=5.0, help="how long requests are still taken after SIGTERM")
    flag("grace_seconds", type=float, default=30.0, help="how long requests in flight may take after that")
    values = vars(parser.parse_args(argv))
    values["threads"] = values["threads"] or usable_cores()
    return Settings(**values)


def _positive(number: type[int]) -> object:
    def parse(text: str) -> int:
        value = number(text)
        if value <= 0:
            raise argparse.ArgumentTypeError("must be positive")
        return value

    return parse
