"""Every setting of the server: what ``--help`` and docs/serving-settings.md say, and what the command line takes."""

from __future__ import annotations

from mooring_inference.capture.table import CAPTURE
from mooring_inference.flags.model import MODEL_DIGEST, MODEL_DIR
from mooring_inference.flags.setting import Group, Setting, names, not_negative, path, port, positive

MODEL = Group(
    "model",
    (
        Setting("model_name", "the name in request paths", "NAME"),
        MODEL_DIR,
        MODEL_DIGEST,
        Setting("model_repository", "folder of several models, NAME/ or NAME/NUMBER/ each", "PATH", path),
        Setting(
            "revision", "what answers call their version", "TEXT", default="1", environment="MOORING_REVISION"
        ),
        Setting(
            "device", "auto, cpu, cuda, cuda:N; one that is not there is an error", "NAME", default="auto"
        ),
        Setting("providers", "ONNX Runtime's execution providers, in order", "A,B", names, ()),
        Setting("threads", "threads of one execution", "N", positive, otherwise="the container's CPU limit"),
        Setting("allow_torchscript", "load TorchScript files, which may run code"),
        Setting("allow_pyfunc", "load MLflow's python_function, which runs code"),
        Setting("architectures", "PACKAGE.MODULE:CLASS that state dicts may name", "A,B", names, ()),
        Setting("kserve_model", "a kserve.Model of yours to serve instead of a folder", "A.B:C"),
        Setting("kserve_payload", "what its handlers take", "v1|v2", default="v2", choices=("v1", "v2")),
        Setting("predictor_host", "where such a transformer sends what it has preprocessed", "HOST"),
        Setting(
            "predictor_protocol",
            "how it sends that: v1, v2 or grpc-v2",
            "NAME",
            default="v1",
            choices=("v1", "v2", "grpc-v2"),
        ),
        Setting("allow_repository_changes", "let callers load and unload models"),
    ),
)

BATCHING = Group(
    "batching",
    (
        Setting("max_batch_size", "rows of one batch; 1 for none", "ROWS", positive, 32),
        Setting("max_batch_delay_ms", "how long an idle model waits for more rows", "MS", not_negative, 0.0),
        Setting("max_queue_rows", "rows that may wait; beyond it 429", "ROWS", positive, 4096),
    ),
)

NETWORK = Group(
    "network",
    (
        Setting("host", "address to listen on", "ADDRESS", default="0.0.0.0"),  # noqa: S104  a pod's own
        Setting("http_port", "V1 and V2 over REST; 0 takes a free one", "PORT", port, 8080),
        Setting("grpc_port", "V2 over gRPC; 0 takes a free one", "PORT", port, otherwise="none"),
        Setting(
            "probe_port",
            "health and nothing else, without TLS, for probes that have no certificate; 0 takes a free one",
            "PORT",
            port,
            otherwise="none",
        ),
        Setting("workers", "processes that share the ports", "N", positive, 1),
        Setting(
            "max_request_bytes", "of the body of one request; beyond it 413", "BYTES", positive, 64 << 20
        ),
        Setting(
            "max_grpc_message_bytes",
            "of one request over gRPC",
            "BYTES",
            positive,
            otherwise="8388608, or max_request_bytes where that is less",
        ),
        Setting(
            "max_inflight_bytes",
            "of all requests and answers of a worker; beyond it 503",
            "BYTES",
            positive,
            otherwise="a quarter of the container's memory",
        ),
        Setting(
            "max_connections",
            "of a worker over HTTP, and over gRPC; beyond it 503",
            "N",
            positive,
            otherwise="4096, fewer where ulimit -n is low",
        ),
        Setting(
            "request_timeout_seconds",
            "how long a request may take, then 504; 0 for ever",
            "S",
            not_negative,
            60.0,
        ),
        Setting(
            "drain_seconds",
            "how long requests are still taken after SIGTERM; up to twice as long while they come",
            "S",
            not_negative,
            5.0,
        ),
        Setting("grace_seconds", "how long requests in flight may take after that", "S", not_negative, 30.0),
        Setting("log_requests", "a log line for each request, without its content"),
    ),
)

ACCESS = Group(
    "access",
    (
        Setting("tls_cert", "certificate and chain, PEM; followed when renewed", "FILE", path),
        Setting("tls_key", "its key, PEM", "FILE", path),
        Setting("tls_client_ca", "clients must show a certificate of these authorities, PEM", "FILE", path),
        Setting("api_keys", "file or folder of keys, for all but probes and metrics", "PATH", path),
        Setting("refuse_labels", "take no labels, whoever sends them"),
    ),
)

GROUPS = (MODEL, BATCHING, NETWORK, ACCESS, CAPTURE)
