"""Prometheus' native histograms, and the protobuf exposition that carries them.

The text format cannot carry native histograms, so they go to scrapers that ask for protobuf, in one family with
the classic buckets, of which Prometheus takes what it is set to take (``scrape_classic_histograms``). Other
scrapers get the text format as before.
"""

from mooring_inference.observability.native_histograms.accept import (
    CONTENT_TYPE,
    NativeKey,
    native_key,
    prefers_protobuf,
)
from mooring_inference.observability.native_histograms.histogram import NativeHistogram

__all__ = ["CONTENT_TYPE", "NativeHistogram", "NativeKey", "native_key", "prefers_protobuf"]
