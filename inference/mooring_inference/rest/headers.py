"""What the headers of requests and answers mean, for the docs; a test holds the table to the code."""

from __future__ import annotations

from typing import NamedTuple


class HeaderMeaning(NamedTuple):
    """One header.

    Attributes:
        name: in lower case.
        place: ``request``, ``answer`` or both.
        meaning: what it says.
    """

    name: str
    place: str
    meaning: str


HEADERS = (
    HeaderMeaning(
        "x-request-id",
        "request, answer",
        "the id of a request whose body has none, also as gRPC metadata; at most 256 characters",
    ),
    HeaderMeaning(
        "inference-header-content-length", "request, answer", "bytes of JSON before binary tensors"
    ),
    HeaderMeaning("x-mooring-revision", "answer", "which revision of the model answered"),
    HeaderMeaning("x-mooring-route", "request", "`stable`, `candidate` or `shadow`, for capture"),
    HeaderMeaning("x-mooring-flags", "answer", "what the guards have flagged: `inputs.NAME[COLUMN]:RULE`"),
    HeaderMeaning("x-mooring-outlier-score", "answer", "the guards' outlier score, in interquartile ranges"),
    HeaderMeaning("x-api-key", "request", "the key, with `--api_keys`"),
    HeaderMeaning("authorization", "request", "`Bearer` and the key, instead of `x-api-key`"),
    HeaderMeaning("www-authenticate", "answer", "with 401: how to show a key"),
    HeaderMeaning("retry-after", "answer", "with 429 and 503: seconds"),
    HeaderMeaning("allow", "answer", "with 405: the methods of the path"),
    HeaderMeaning("content-encoding", "request", "`gzip` or `deflate`"),
    HeaderMeaning("content-length", "request", "how many bytes the body has; without it, it comes in chunks"),
    HeaderMeaning("accept", "request", "of `/metrics`: text, or protobuf with native histograms"),
    HeaderMeaning("expect", "request", "`100-continue`: the body is sent when it is wanted"),
    HeaderMeaning("traceparent", "request", "the caller's span, with traces"),
    HeaderMeaning("tracestate", "request", "what its tracing systems add to that"),
)
