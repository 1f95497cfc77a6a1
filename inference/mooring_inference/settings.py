"""The command line of the server: KServe's flags and ours."""

from __future__ import annotations

import argparse
import os
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mooring_inference.access.memory_budget import default_budget, least_budget
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.cores import usable_cores
from mooring_inference.backends.kserve.model import Predictor
from mooring_inference.capture import CaptureSettings, parse_capture
from mooring_inference.models.batching.queue import BatchLimits

_CONNECTIONS = 4096
# As KServe's server has it. How many come at once is not known, so the size bounds how many may.
_GRPC_MESSAGE_BYTES = 8 << 20
# Open files that are no connections over HTTP: gRPC's, the model's, capture's.
_OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class CustomModel:
    """A user's subclass of ``kserve.Model``.

    Attributes:
        target: ``PACKAGE.MODULE:CLASS``.
        payload: what its handlers take.
        predictor: where a transformer sends what it has preprocessed; None for models that answer themselves.
    """

    target: str
    payload: Literal["v1", "v2"]
    predictor: Predictor | None


@dataclass(frozen=True, slots=True)
class Settings:
    """How to serve.

    Attributes:
        model_name: the name in request paths; None with ``model_repository``.
        model_dir: a folder that holds one model, or the file.
        model_repository: a folder of models, each in a folder of its name; None for one model.
        kserve_model: a ``kserve.Model`` that is served instead of a folder; None for none.
        revision: what ``model_version``, the response header and the ``revision`` label say.
        host, http_port: where to listen; port 0 takes a free one, which the ``listening`` log line names.
        grpc_port: the same for gRPC; None for none.
        workers: processes that share the ports.
        load: how models are loaded.
        batching: how calls are put together.
        max_request_bytes: larger bodies are answered with 413.
        max_grpc_message_bytes: larger messages are refused with RESOURCE_EXHAUSTED.
        max_inflight_bytes: what all requests and answers of one worker may hold; beyond it 503.
        max_connections: of one worker over HTTP, and as many over gRPC; beyond it 503.
        request_timeout: seconds after which a request is answered with 504; None for never.
        allow_repository_changes: whether callers may load and unload models.
        tls_cert, tls_key: PEM files; None for plain text.
        tls_client_ca: PEM file of authorities; with it every client must show a certificate of theirs.
        api_keys: file, or folder of files, of keys, one of which a request must carry; None for all requests.
        refuse_labels: whether nobody may say what was true for a request.
        log_requests: whether each request is a log line.
        capture: how requests are kept; None where they are not.
        drain_seconds: how long requests are still taken after SIGTERM, for load balancers to notice.
        grace_seconds: how long requests in flight may then still take.
        worker: what a worker process gets from its parent, see ``workers.WorkerPlace``; None for the parent.
    """

    model_name: str | None
    model_dir: Path
    model_repository: Path | None
    kserve_model: CustomModel | None
    revision: str
    host: str
    http_port: int
    grpc_port: int | None
    workers: int
    load: LoadOptions
    batching: BatchLimits
    max_request_bytes: int
    max_grpc_message_bytes: int
    max_inflight_bytes: int
    max_connections: int
    request_timeout: float | None
    allow_repository_changes: bool
    tls_cert: Path | None
    tls_key: Path | None
    tls_client_ca: Path | None
    api_keys: Path | None
    refuse_labels: bool
    log_requests: bool
    capture: CaptureSettings | None
    drain_seconds: float
    grace_seconds: float
    worker: str | None = None


# Parsed by parse_capture.
_CAPTURE = {
    "capture_uri": ("URI", "folder, s3://, gs:// or az:// that requests are kept in (none)"),
    "capture_sample": ("SHARE", "of requests, 0 to 1, drawn by a keyed hash of their ids (1)"),
    "capture_key_file": (
        "FILE",
        "that key, the same for all replicas ($MOORING_CAPTURE_KEY, one of each process)",
    ),
    "capture_features": ("A,B", "features or inputs to keep (all)"),
    "capture_mask": ("A=RULE,...", "drop, hmac or bucket:EDGE,EDGE, before anything leaves the process"),
    "capture_hmac_key_file": ("FILE", "key of hmac masks"),
    "capture_flush_seconds": ("S", "how long rows wait for a complete file at most (60)"),
    "capture_retention_hours": ("H", "older files are deleted (never)"),
    "capture_buffer_bytes": ("BYTES", "memory that requests may hold until they are written (67108864)"),
    "capture_spool_dir": ("PATH", "where files wait for the object store"),
    "capture_spool_bytes": ("BYTES", "of files that wait there (1073741824)"),
    "route": ("NAME", "stable, candidate or shadow; x-mooring-route says otherwise for a request (stable)"),
    "deployment": ("NAME", "what the folder of the files is called (the model's name)"),
}


def parse_settings(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line; ends the process with usage on stderr where that is wrong.

    Raises:
        CaptureSettingsError: what is said about capture does not go together.
    """
    parser = _parser(environ)
    values = parser.parse_args(_underscored(argv))
    if (values.model_name is None) == (values.model_repository is None):
        parser.error("one of --model_name and --model_repository is needed")
    if values.workers > 1 and values.allow_repository_changes:
        # One worker would change, and the others would not.
        parser.error("--allow_repository_changes needs --workers=1")
    if (values.tls_cert is None) != (values.tls_key is None):
        parser.error("--tls_cert and --tls_key go together")
    if values.tls_client_ca is not None and values.tls_cert is None:
        parser.error("--tls_client_ca needs --tls_cert and --tls_key")
    workers = values.workers
    least = least_budget(values.max_request_bytes)
    if values.max_inflight_bytes is not None and values.max_inflight_bytes < least:
        parser.error(
            f"--max_inflight_bytes: expected at least twice --max_request_bytes, {least}, "
            f"got {values.max_inflight_bytes}"
        )
    return Settings(
        model_name=values.model_name,
        model_dir=values.model_dir,
        model_repository=values.model_repository,
        kserve_model=_custom_model(values) if values.kserve_model else None,
        revision=values.revision,
        host=values.host,
        http_port=values.http_port,
        grpc_port=values.grpc_port,
        workers=workers,
        load=LoadOptions(
            threads=values.threads or max(1, usable_cores() // workers),
            device=values.device,
            providers=tuple(values.providers),
            allow_torchscript=values.allow_torchscript,
            allow_pyfunc=values.allow_pyfunc,
            architectures=frozenset(values.architectures),
        ),
        batching=BatchLimits(
            max_batch_rows=values.max_batch_size,
            max_wait_seconds=values.max_batch_delay_ms / 1000,
            max_queue_rows=values.max_queue_rows,
        ),
        max_request_bytes=values.max_request_bytes,
        max_grpc_message_bytes=values.max_grpc_message_bytes
        or min(values.max_request_bytes, _GRPC_MESSAGE_BYTES),
        max_inflight_bytes=values.max_inflight_bytes or default_budget(values.max_request_bytes, workers),
        max_connections=values.max_connections or _default_connections(),
        request_timeout=values.request_timeout_seconds or None,
        allow_repository_changes=values.allow_repository_changes,
        tls_cert=values.tls_cert,
        tls_key=values.tls_key,
        tls_client_ca=values.tls_client_ca,
        api_keys=values.api_keys,
        refuse_labels=values.refuse_labels,
        log_requests=values.log_requests,
        capture=parse_capture({name: getattr(values, name) for name in _CAPTURE}),
        drain_seconds=values.drain_seconds,
        grace_seconds=values.grace_seconds,
        worker=values.worker,
    )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mooring-inference",
        usage="mooring-inference --model_name NAME [--model_dir PATH] [options]",
        description="Serve models over KServe's V1 and V2 protocols, REST and gRPC.",
        epilog="Other ways to run a model: mooring-inference score --help, mooring-inference stream --help",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
        allow_abbrev=False,
    )

    def flag(group: argparse._ArgumentGroup, name: str, metavar: str = "", **options: object) -> None:
        if metavar:
            options["metavar"] = metavar
        group.add_argument(f"--{name}", **options)  # type: ignore[arg-type]

    group = parser.add_argument_group("model")
    flag(group, "model_name", "NAME", help="the name in request paths")
    flag(
        group,
        "model_dir",
        "PATH",
        type=Path,
        default=Path("/mnt/models"),
        help="folder with one model, or the file",
    )
    flag(
        group,
        "model_repository",
        "PATH",
        type=Path,
        help="folder of several models, NAME/ or NAME/NUMBER/ each",
    )
    revision = environ.get("MOORING_REVISION") or "1"
    flag(
        group,
        "revision",
        "TEXT",
        default=revision,
        help="what answers call their version ($MOORING_REVISION, 1)",
    )
    flag(
        group,
        "device",
        "NAME",
        default="auto",
        help="auto, cpu, cuda, cuda:N; one that is not there is an error",
    )
    flag(
        group,
        "providers",
        "A,B",
        type=_names,
        default=(),
        help="ONNX Runtime's execution providers, in order",
    )
    flag(group, "threads", "N", type=_positive, help="of one execution (the container's CPU limit)")
    flag(group, "allow_torchscript", action="store_true", help="load TorchScript files, which may run code")
    flag(group, "allow_pyfunc", action="store_true", help="load MLflow's python_function, which runs code")
    flag(
        group,
        "architectures",
        "A,B",
        type=_names,
        default=(),
        help="PACKAGE.MODULE:CLASS that state dicts may name",
    )
    flag(group, "kserve_model", "A.B:C", help="a kserve.Model of yours to serve instead of a folder")
    flag(
        group,
        "kserve_payload",
        "v1|v2",
        choices=("v1", "v2"),
        default="v2",
        help="what it takes (%(default)s)",
    )
    flag(group, "predictor_host", "HOST", help="where such a transformer sends what it has preprocessed")
    protocols = ("v1", "v2", "grpc-v2")
    flag(
        group,
        "predictor_protocol",
        "NAME",
        choices=protocols,
        default="v1",
        help="v1, v2 or grpc-v2 (%(default)s)",
    )
    flag(group, "allow_repository_changes", action="store_true", help="let callers load and unload models")

    group = parser.add_argument_group("batching")
    flag(
        group,
        "max_batch_size",
        "ROWS",
        type=_positive,
        default=32,
        help="of one batch; 1 for none (%(default)s)",
    )
    flag(
        group,
        "max_batch_delay_ms",
        "MS",
        type=_not_negative,
        default=0.0,
        help="wait for more rows (%(default)g)",
    )
    flag(group, "max_queue_rows", "ROWS", type=_positive, default=4096, help="beyond it 429 (%(default)s)")

    group = parser.add_argument_group("network")
    flag(group, "host", "ADDRESS", default="0.0.0.0", help="to listen on (%(default)s)")  # noqa: S104  a pod's own
    flag(group, "http_port", "PORT", type=_port, default=8080, help="0 takes a free one (%(default)s)")
    flag(group, "grpc_port", "PORT", type=_port, help="V2 over gRPC; 0 takes a free one (none)")
    flag(
        group, "workers", "N", type=_positive, default=1, help="processes that share the ports (%(default)s)"
    )
    flag(
        group,
        "max_request_bytes",
        "BYTES",
        type=_positive,
        default=64 << 20,
        help="beyond it 413 (%(default)s)",
    )
    flag(
        group,
        "max_grpc_message_bytes",
        "BYTES",
        type=_positive,
        help="of a request over gRPC (8388608, or max_request_bytes where that is less)",
    )
    flag(
        group,
        "max_inflight_bytes",
        "BYTES",
        type=_positive,
        help="of all requests of a worker, beyond it 503 (a quarter of the container's memory)",
    )
    flag(group, "max_connections", "N", type=_positive, help="of a worker, beyond it 503 (4096)")
    flag(
        group,
        "request_timeout_seconds",
        "S",
        type=_not_negative,
        default=60.0,
        help="then 504; 0: never (%(default)g)",
    )
    flag(
        group,
        "drain_seconds",
        "S",
        type=_not_negative,
        default=5.0,
        help="still taking requests after SIGTERM (%(default)g)",
    )
    flag(
        group,
        "grace_seconds",
        "S",
        type=_not_negative,
        default=30.0,
        help="for requests in flight then (%(default)g)",
    )
    flag(group, "log_requests", action="store_true", help="a log line for each request, without its content")

    group = parser.add_argument_group("access")
    flag(group, "tls_cert", "FILE", type=Path, help="certificate and chain, PEM; followed when renewed")
    flag(group, "tls_key", "FILE", type=Path, help="its key, PEM")
    flag(
        group,
        "tls_client_ca",
        "FILE",
        type=Path,
        help="clients must show a certificate of these authorities, PEM",
    )
    flag(group, "api_keys", "PATH", type=Path, help="file or folder of keys, for all but probes and metrics")
    flag(group, "refuse_labels", action="store_true", help="take no labels, whoever sends them")

    group = parser.add_argument_group("capture of features and predictions, as Parquet")
    for name, (metavar, text) in _CAPTURE.items():
        flag(group, name, metavar, help=text)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def _default_connections() -> int:
    """4096 over HTTP and over gRPC, and fewer where this process may not open so many files."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        _CONNECTIONS
        if files == resource.RLIM_INFINITY
        else max(1, min(_CONNECTIONS, (files - _OTHER_FILES) // 2))
    )


def _custom_model(values: argparse.Namespace) -> CustomModel:
    host = values.predictor_host
    predictor = Predictor(host, values.predictor_protocol) if host else None
    return CustomModel(values.kserve_model, values.kserve_payload, predictor)


def _underscored(argv: Sequence[str]) -> list[str]:
    """KServe spells its flags with underscores; dashes, the custom elsewhere, work as well."""
    spelt = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        spelt.append(
            "--" + name[2:].replace("-", "_") + equals + value if name.startswith("--") else argument
        )
    return spelt


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _number(
    convert: Callable[[str], float], allowed: Callable[[float], bool], wanted: str
) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}") from None
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"expected {wanted}, got {text!r}")
        return value

    return parse


_positive = _number(int, lambda value: value > 0, "a whole number above 0")
_port = _number(int, lambda value: 0 <= value < 65536, "a port from 0 to 65535")
_not_negative = _number(float, lambda value: 0 <= value < 1e9, "a number, 0 or more")
