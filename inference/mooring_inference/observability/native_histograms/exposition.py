"""Metric families as protobuf: messages io.prometheus.client.MetricFamily, each after its length.

The messages' fields are those of prometheus/client_model, io/prometheus/client/metrics.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from mooring_inference.observability.native_histograms.histogram import ZERO_THRESHOLD, NativeHistogram
from mooring_inference.observability.native_histograms.wire import (
    delimited,
    double,
    message,
    signed,
    text,
    unsigned,
)

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

# Label pairs in the order of their names.
Labels = tuple[tuple[str, str], ...]
NativeKey = tuple[str, Labels]

_COUNTER, _GAUGE, _SUMMARY, _UNTYPED, _HISTOGRAM = range(5)

_TYPES = {"counter": _COUNTER, "gauge": _GAUGE, "summary": _SUMMARY, "histogram": _HISTOGRAM}

# Prometheus' configured limits are usually at this or above; finer histograms are made coarser.
_MOST_BUCKETS = 160


def native_key(name: str, labels: Mapping[str, str]) -> NativeKey:
    """The key of a histogram's native form: the family's name and the series' labels."""
    return name, tuple(sorted(labels.items()))


def prefers_protobuf(accept: str) -> bool:
    """Whether a scraper's Accept header puts protobuf before all else that we have."""
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


def render_protobuf(families: Iterable[Metric], natives: Mapping[NativeKey, NativeHistogram]) -> bytes:
    """All families, as protobuf.

    Args:
        families: as collectors of prometheus_client give them.
        natives: native forms of series of histogram families, by ``native_key``; others stay classic. The native
            form gives such a series its count and sum.
    """
    return b"".join(delimited(_family(family, natives)) for family in families if family.samples)


def _family(family: Metric, natives: Mapping[NativeKey, NativeHistogram]) -> Iterator[bytes]:
    kind = _TYPES.get(family.type, _UNTYPED if family.type == "unknown" else _GAUGE)
    # As in the text format, where a series is named by its sample and not by its family.
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    yield text(1, family.name + suffix)
    yield text(2, family.documentation)
    yield unsigned(3, kind)
    for labels, samples in _series(family).items():
        yield message(4, _metric(kind, family.name, labels, samples, natives))


def _series(family: Metric) -> dict[Labels, list[Sample]]:
    """Samples by the labels that tell series from each other, which le and quantile do not."""
    inner = {"histogram": "le", "summary": "quantile"}.get(family.type)
    series: dict[Labels, list[Sample]] = {}
    for sample in family.samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != inner))
        series.setdefault(labels, []).append(sample)
    return series


def _metric(
    kind: int,
    family: str,
    labels: Labels,
    samples: list[Sample],
    natives: Mapping[NativeKey, NativeHistogram],
) -> Iterator[bytes]:
    for name, value in labels:
        yield message(1, (text(1, name), text(2, value)))
    if kind == _HISTOGRAM:
        yield message(7, _histogram(family, samples, natives.get((family, labels))))
    elif kind == _SUMMARY:
        yield message(4, _summary(family, samples))
    elif kind == _COUNTER:
        yield message(3, (double(1, _value(samples, family + "_total")), *_created(3, family, samples)))
    else:
        yield message({_GAUGE: 2, _UNTYPED: 5}[kind], (double(1, samples[0].value),))


def _histogram(family: str, samples: list[Sample], native: NativeHistogram | None) -> Iterator[bytes]:
    # A scraper refuses a native histogram whose buckets do not add up to its count.
    count = _value(samples, family + "_count") if native is None else native.count
    total = _value(samples, family + "_sum") if native is None else native.sum
    yield unsigned(1, int(count))
    yield double(2, total)
    for sample in samples:
        if sample.name == family + "_bucket":
            yield message(3, (unsigned(1, int(sample.value)), double(2, float(sample.labels["le"]))))
    yield from _created(15, family, samples)
    if native is not None:
        yield from _native(native)


def _native(native: NativeHistogram) -> Iterator[bytes]:
    schema, buckets = native.coarsened(_MOST_BUCKETS)
    yield signed(5, schema)
    yield double(6, ZERO_THRESHOLD)
    yield unsigned(7, native.zeros)
    numbers = sorted(buckets)
    end = 0
    for start, length in _runs(numbers):
        yield message(12, (signed(1, start - end), unsigned(2, length)))
        end = start + length
    before = 0
    for number in numbers:
        yield signed(13, buckets[number] - before)
        before = buckets[number]


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of successive numbers."""
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            yield numbers[start], index - start
            start = index


def _summary(family: str, samples: list[Sample]) -> Iterator[bytes]:
    yield unsigned(1, int(_value(samples, family + "_count")))
    yield double(2, _value(samples, family + "_sum"))
    for sample in samples:
        if "quantile" in sample.labels:
            yield message(3, (double(1, float(sample.labels["quantile"])), double(2, sample.value)))
    yield from _created(4, family, samples)


def _value(samples: list[Sample], name: str) -> float:
    return next((float(sample.value) for sample in samples if sample.name == name), 0.0)


def _created(field: int, family: str, samples: list[Sample]) -> Iterator[bytes]:
    """When counting began, as google.protobuf.Timestamp, where the collector says."""
    created = _value(samples, family + "_created")
    if created > 0:
        seconds = int(created)
        yield message(field, (unsigned(1, seconds), unsigned(2, int((created - seconds) * 1e9))))


def _quality(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0
