"""Every setting of the command ``collect``."""

from __future__ import annotations

from mooring_inference.capture.table import CAPTURE
from mooring_inference.flags.setting import (
    Group,
    Setting,
    names,
    not_negative,
    port,
    positive,
    positive_number,
)

EVENTS = Group(
    "events",
    (
        Setting("host", "address to listen on", "ADDRESS", default="0.0.0.0"),  # noqa: S104  a pod's own
        Setting(
            "http_port", "events, /metrics and /health/{live,ready}; 0 takes a free one", "PORT", port, 8080
        ),
        Setting(
            "metrics_port",
            "/metrics and /health/{live,ready} alone, for scrapers that may post no events; 0 takes a free one",
            "PORT",
            port,
            otherwise="none",
        ),
        Setting(
            "namespace",
            "of the InferenceServices; events of others are refused",
            "NAME",
            otherwise="any",
            environment="MOORING_COLLECT_NAMESPACE",
        ),
        Setting(
            "revision",
            "what requests are kept under",
            "TEXT",
            otherwise="the endpoint of the event, such as default",
            environment="MOORING_REVISION",
        ),
        Setting(
            "columns",
            "names of what rows of the only input hold, in the model's order",
            "A,B",
            names,
            (),
            environment="MOORING_COLLECT_COLUMNS",
        ),
        Setting("join_seconds", "how long a body waits for its other half", "S", positive_number, 60.0),
        Setting("join_bytes", "of all that wait; beyond it 503", "BYTES", positive, 64 << 20),
        Setting("max_event_bytes", "of the body of one event; beyond it 413", "BYTES", positive, 16 << 20),
        Setting("drain_seconds", "how long events are still taken after SIGTERM", "S", not_negative, 5.0),
        Setting("grace_seconds", "how long files may take after that", "S", not_negative, 30.0),
    ),
)

GROUPS = (EVENTS, CAPTURE)
