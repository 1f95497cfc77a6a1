"""Metric families as protobuf, each after its length.

Imported with the first scrape that asks for it: protobuf takes 2 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any

from google.protobuf.proto import serialize_length_prefixed
from prometheus_client.core import Metric
from prometheus_client.samples import Sample

from mooring_inference.observability.native_histograms.accept import Labels, NativeKey
from mooring_inference.observability.native_histograms.histogram import ZERO_THRESHOLD, NativeHistogram
from mooring_inference.observability.native_histograms.messages import MetricFamily

_COUNTER, _GAUGE, _SUMMARY, _UNTYPED, _HISTOGRAM = range(5)

_TYPES = {"counter": _COUNTER, "gauge": _GAUGE, "summary": _SUMMARY, "histogram": _HISTOGRAM}

# Prometheus' configured limits are usually at this or above; finer histograms are made coarser.
_MOST_BUCKETS = 160


def render_protobuf(families: Iterable[Metric], natives: Mapping[NativeKey, NativeHistogram]) -> bytes:
    """Return all families, as protobuf.

    Args:
        families: as collectors of prometheus_client give them.
        natives: native forms of series of histogram families, by ``native_key``; others stay classic. The native
            form gives such a series its count and sum.
    """
    output = BytesIO()
    for family in families:
        if family.samples:
            serialize_length_prefixed(_family(family, natives), output)
    return output.getvalue()


def _family(family: Metric, natives: Mapping[NativeKey, NativeHistogram]) -> Any:
    kind = _TYPES.get(family.type, _UNTYPED if family.type == "unknown" else _GAUGE)
    # As in the text format, where a series is named by its sample and not by its family.
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    message = MetricFamily(name=family.name + suffix, help=family.documentation, type=kind)
    for labels, samples in _series(family).items():
        metric = message.metric.add()
        for name, value in labels:
            metric.label.add(name=name, value=value)
        if kind == _HISTOGRAM:
            _fill_histogram(metric.histogram, family.name, samples, natives.get((family.name, labels)))
        elif kind == _SUMMARY:
            _fill_summary(metric.summary, family.name, samples)
        elif kind == _COUNTER:
            metric.counter.value = _value(samples, family.name + "_total")
            _fill_created(metric.counter, family.name, samples)
        elif kind == _GAUGE:
            metric.gauge.value = samples[0].value
        else:
            metric.untyped.value = samples[0].value
    return message


def _series(family: Metric) -> dict[Labels, list[Sample]]:
    """Return samples by the labels that tell series from each other, which le and quantile do not."""
    inner = {"histogram": "le", "summary": "quantile"}.get(family.type)
    series: dict[Labels, list[Sample]] = {}
    for sample in family.samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != inner))
        series.setdefault(labels, []).append(sample)
    return series


def _fill_histogram(message: Any, family: str, samples: list[Sample], native: NativeHistogram | None) -> None:
    # A scraper refuses a native histogram whose buckets do not add up to its count.
    count = _value(samples, family + "_count") if native is None else native.count
    message.sample_count = int(count)
    message.sample_sum = _value(samples, family + "_sum") if native is None else native.sum
    for sample in samples:
        if sample.name == family + "_bucket":
            message.bucket.add(cumulative_count=int(sample.value), upper_bound=float(sample.labels["le"]))
    _fill_created(message, family, samples)
    if native is not None:
        _fill_native(message, native)


def _fill_native(message: Any, native: NativeHistogram) -> None:
    message.schema, buckets = native.coarsened(_MOST_BUCKETS)
    message.zero_threshold = ZERO_THRESHOLD
    message.zero_count = native.zeros
    numbers = sorted(buckets)
    end = 0
    for start, length in _runs(numbers):
        message.positive_span.add(offset=start - end, length=length)
        end = start + length
    counts = [buckets[number] for number in numbers]
    message.positive_delta.extend(count - before for count, before in zip(counts, [0, *counts], strict=False))


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of successive numbers."""
    start = 0
    for index in range(1, len(numbers) + 1):
        if index == len(numbers) or numbers[index] != numbers[index - 1] + 1:
            yield numbers[start], index - start
            start = index


def _fill_summary(message: Any, family: str, samples: list[Sample]) -> None:
    message.sample_count = int(_value(samples, family + "_count"))
    message.sample_sum = _value(samples, family + "_sum")
    for sample in samples:
        if "quantile" in sample.labels:
            message.quantile.add(quantile=float(sample.labels["quantile"]), value=sample.value)
    _fill_created(message, family, samples)


def _fill_created(message: Any, family: str, samples: list[Sample]) -> None:
    """Note when counting began, where the collector says."""
    created = _value(samples, family + "_created")
    if created > 0:
        seconds = int(created)
        message.created_timestamp.seconds = seconds
        message.created_timestamp.nanos = int((created - seconds) * 1e9)


def _value(samples: list[Sample], name: str) -> float:
    return next((float(sample.value) for sample in samples if sample.name == name), 0.0)
