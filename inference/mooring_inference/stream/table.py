"""Every setting of the command ``stream``."""

from __future__ import annotations

from mooring_inference.flags.model import MODEL_DIGEST, MODEL_DIR
from mooring_inference.flags.setting import Group, Setting, names, port, positive, positive_number


def _url(name: str, meaning: str, *, required: bool) -> Setting:
    return Setting(name, meaning, "URL", environment=f"MOORING_STREAM_{name.upper()}", required=required)


MESSAGES = Group(
    "messages",
    (
        _url("source", "where messages come from", required=True),
        _url("sink", "where answers go", required=True),
        _url(
            "dead_letters",
            "where bad messages go; without it, the sink gets an error as answer",
            required=False,
        ),
        Setting("group", "the group of consumers that share the source", "NAME", required=True),
        Setting(
            "start",
            "where a new group begins",
            "earliest|latest",
            default="earliest",
            choices=("earliest", "latest"),
        ),
        Setting(
            "delivery",
            "exactly_once needs source, sink and dead letters in one Kafka; auto takes it there",
            "auto|exactly_once|at_least_once",
            default="auto",
            choices=("auto", "exactly_once", "at_least_once"),
        ),
        Setting("batch_size", "messages taken at once, at most", "N", positive, 64),
        Setting("max_delay_ms", "how long a batch waits to be filled", "MS", positive_number, 10.0),
        Setting("max_attempts", "how often a message is tried that fails", "N", positive, 5),
        Setting("take_over_seconds", "when a silent consumer counts as dead", "S", positive_number, 30.0),
        Setting("remember_seconds", "for how long Redis knows answered ids", "S", positive, 86_400),
        Setting("grace_seconds", "to finish after SIGTERM", "S", positive_number, 20.0),
    ),
)

MODEL = Group(
    "model",
    (
        MODEL_DIR,
        MODEL_DIGEST,
        Setting("model_name", "the name in answers", "NAME", default="model"),
        Setting(
            "revision", "what answers call their version", "TEXT", default="1", environment="MOORING_REVISION"
        ),
        Setting(
            "columns",
            "names of features in the model's order",
            "A,B",
            names,
            (),
            "those that come with the model",
        ),
        Setting("device", "auto, cpu, cuda, cuda:N", "NAME", default="auto"),
        Setting("threads", "threads of one execution", "N", positive, otherwise="the container's CPU limit"),
    ),
)

METRICS = Group(
    "metrics and health",
    (
        Setting("host", "address to listen on", "ADDRESS", default="0.0.0.0"),  # noqa: S104  a pod's own
        Setting(
            "metrics_port",
            "serve /metrics and /health/{live,ready}; 0 takes a free one",
            "PORT",
            port,
            otherwise="none",
        ),
    ),
)

GROUPS = (MESSAGES, MODEL, METRICS)
