"""The messages of Prometheus' exposition, in a descriptor pool of their own.

Generated code would register them for the whole process, where other packages bring theirs.
Source: prometheus/client_model, io/prometheus/client/metrics.proto, as much of it as is written here.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "io.prometheus.client"

# Name, number, type; a name in capitals is another message, and an asterisk says repeated. The type of a family is an
# enumeration there, which looks the same on the wire.
_MESSAGES = {
    "LabelPair": [("name", 1, "string"), ("value", 2, "string")],
    "Gauge": [("value", 1, "double")],
    "Timestamp": [("seconds", 1, "int64"), ("nanos", 2, "int32")],
    "Counter": [("value", 1, "double"), ("created_timestamp", 3, "Timestamp")],
    "Quantile": [("quantile", 1, "double"), ("value", 2, "double")],
    "Summary": [
        ("sample_count", 1, "uint64"),
        ("sample_sum", 2, "double"),
        ("quantile", 3, "Quantile*"),
        ("created_timestamp", 4, "Timestamp"),
    ],
    "Untyped": [("value", 1, "double")],
    "Bucket": [("cumulative_count", 1, "uint64"), ("upper_bound", 2, "double")],
    "BucketSpan": [("offset", 1, "sint32"), ("length", 2, "uint32")],
    "Histogram": [
        ("sample_count", 1, "uint64"),
        ("sample_sum", 2, "double"),
        ("bucket", 3, "Bucket*"),
        ("schema", 5, "sint32"),
        ("zero_threshold", 6, "double"),
        ("zero_count", 7, "uint64"),
        ("positive_span", 12, "BucketSpan*"),
        ("positive_delta", 13, "sint64*"),
        ("created_timestamp", 15, "Timestamp"),
    ],
    "Metric": [
        ("label", 1, "LabelPair*"),
        ("gauge", 2, "Gauge"),
        ("counter", 3, "Counter"),
        ("summary", 4, "Summary"),
        ("untyped", 5, "Untyped"),
        ("histogram", 7, "Histogram"),
    ],
    "MetricFamily": [
        ("name", 1, "string"),
        ("help", 2, "string"),
        ("type", 3, "int32"),
        ("metric", 4, "Metric*"),
    ],
}


def _describe() -> FileDescriptorProto:
    file = FileDescriptorProto(name="metrics.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            described = message.field.add(name=field, number=number)
            repeated, kind = kind.endswith("*"), kind.rstrip("*")
            described.label = getattr(
                FieldDescriptorProto, "LABEL_REPEATED" if repeated else "LABEL_OPTIONAL"
            )
            if kind in _MESSAGES:
                described.type_name = f".{_PACKAGE}.{kind}"
            else:
                described.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
    return file


def _make_family() -> Any:
    pool = DescriptorPool()
    pool.Add(_describe())
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.MetricFamily"))


MetricFamily = _make_family()
