"""The command line of the server: KServe's flags and ours."""

from __future__ import annotations

import argparse
import os
import resource
from collections.abc import Mapping, Sequence

from mooring_inference.access.memory_budget import default_budget, least_budget
from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.cores import usable_cores
from mooring_inference.backends.kserve.model import Predictor
from mooring_inference.capture import parse_capture
from mooring_inference.capture.table import CAPTURE
from mooring_inference.flags.parser import make_parser, underscored
from mooring_inference.models.batching.queue import BatchLimits
from mooring_inference.settings.table import GROUPS
from mooring_inference.settings.values import CustomModel, Settings

_CONNECTIONS = 4096
# As KServe's server has it. How many come at once is not known, so the size bounds how many may.
_GRPC_MESSAGE_BYTES = 8 << 20
# Open files that are no connections over HTTP: gRPC's, the model's, capture's.
_OTHER_FILES = 256


def parse_settings(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Settings:
    """Read settings from the command line; end the process with usage on stderr where that is wrong.

    Raises:
        CaptureSettingsError: what is said about capture does not go together.
    """
    parser = _parser(environ)
    values = parser.parse_args(underscored(argv))
    _refuse_contradictions(parser, values)
    workers = values.workers
    return Settings(
        model_name=values.model_name,
        model_dir=values.model_dir,
        model_repository=values.model_repository,
        kserve_model=_custom_model(values) if values.kserve_model else None,
        revision=values.revision,
        host=values.host,
        http_port=values.http_port,
        grpc_port=values.grpc_port,
        probe_port=values.probe_port,
        workers=workers,
        load=LoadOptions(
            threads=values.threads or max(1, usable_cores() // workers),
            device=values.device,
            providers=tuple(values.providers),
            allow_torchscript=values.allow_torchscript,
            allow_pyfunc=values.allow_pyfunc,
            architectures=frozenset(values.architectures),
            digest=values.model_digest,
            digest_of=values.model_repository,
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
        capture=parse_capture({setting.name: getattr(values, setting.name) for setting in CAPTURE.settings}),
        drain_seconds=values.drain_seconds,
        grace_seconds=values.grace_seconds,
        worker=values.worker,
    )


def _refuse_contradictions(parser: argparse.ArgumentParser, values: argparse.Namespace) -> None:
    """End the process with usage where settings do not go together."""
    if (values.model_name is None) == (values.model_repository is None):
        parser.error("one of --model_name and --model_repository is needed")
    if (values.tls_cert is None) != (values.tls_key is None):
        parser.error("--tls_cert and --tls_key go together")
    if values.tls_client_ca is not None and values.tls_cert is None:
        parser.error("--tls_client_ca needs --tls_cert and --tls_key")
    least = least_budget(values.max_request_bytes)
    if values.max_inflight_bytes is not None and values.max_inflight_bytes < least:
        parser.error(
            f"--max_inflight_bytes: expected at least twice --max_request_bytes, {least}, "
            f"got {values.max_inflight_bytes}"
        )


def _parser(environ: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = make_parser(
        "mooring-inference",
        GROUPS,
        environ,
        usage="mooring-inference --model_name NAME [--model_dir PATH] [options]",
        description="Serve models over KServe's V1 and V2 protocols, REST and gRPC.",
        epilog="Other ways to run a model: mooring-inference score, stream, collect or profile --help",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def _default_connections() -> int:
    """Return 4096, over HTTP and over gRPC each, and fewer where this process may not open so many files."""
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
