"""The settings of the server, as it uses them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mooring_inference.backends.base import LoadOptions
from mooring_inference.backends.kserve.model import Predictor
from mooring_inference.capture import CaptureSettings
from mooring_inference.models.batching.queue import BatchLimits


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
        probe_port: the same for probes alone, without TLS; None for none.
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
    probe_port: int | None
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
