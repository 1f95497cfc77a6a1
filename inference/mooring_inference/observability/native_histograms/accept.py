"""Which scrapers get native histograms, and how a series of them is found."""

from __future__ import annotations

from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

# Label pairs in the order of their names.
Labels = tuple[tuple[str, str], ...]
NativeKey = tuple[str, Labels]


def native_key(name: str, labels: Mapping[str, str]) -> NativeKey:
    """Return the key of a histogram's native form: the family's name and the series' labels."""
    return name, tuple(sorted(labels.items()))


def prefers_protobuf(accept: str) -> bool:
    """Return whether a scraper's Accept header puts protobuf before all else that we have."""
    protobuf, other = 0.0, 0.0
    for entry in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        values = dict(part.split("=", 1) for part in parameters if "=" in part)
        quality = _quality(values.get("q", "1"))
        if kind == "application/vnd.google.protobuf":
            wanted = values.get("proto", "").strip('"') == "io.prometheus.client.metricfamily"
            if wanted and values.get("encoding", "delimited").strip('"') == "delimited":
                protobuf = max(protobuf, quality)
        elif kind in ("text/plain", "text/*", "application/openmetrics-text"):
            other = max(other, quality)
    return protobuf > 0 and protobuf >= other


def _quality(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0
