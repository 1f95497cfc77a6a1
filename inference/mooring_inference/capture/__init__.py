"""Capture of features, predictions and labels as Parquet, off the path of requests.

Where files are: see ``paths``.

Columns of requests, one row for each row of a request:

- ``request``, a struct: ``id``, ``row`` (0 is the first of its request), ``time`` (UTC, microseconds), ``model``,
  ``revision``, ``route`` (stable, candidate or shadow), ``status`` (as HTTP has it), ``latency_seconds``. A struct,
  because a model may well have a feature named ``time`` or ``status``, and because a comparison of all the columns
  that two files share is one of features and predictions: it passes over structs.
- features: an input of shape [n] or [n, 1] by its name; one of [n, k] as ``x[0]`` to ``x[k-1]``, or by the names
  that ``features.json`` in the model's folder gives, ``{"x": ["age", "income"]}``; all others as one list for each
  row, in row-major order. Types are the model's; half precision becomes single.
- ``prediction.NAME``: outputs in the same way; null for a request that failed.

Labels: ``id`` and ``row`` of the request, ``time``, ``model``, ``value`` (a number; null for text), ``text``.

A request is in the sample where eight bytes of BLAKE2b over its id, with a key, are below ``share * 2**64``.
Processes with the same key (``--capture_key_file``, ``$MOORING_CAPTURE_KEY``) keep the same ids. Without one each
makes up its own, and all labels are kept, as nobody can tell which requests others have kept.
"""

from mooring_inference.capture.labels import Label, decode_labels
from mooring_inference.capture.recorder import Capture
from mooring_inference.capture.settings import CaptureSettings, CaptureSettingsError, parse_capture

__all__ = [
    "Capture",
    "CaptureSettings",
    "CaptureSettingsError",
    "Label",
    "decode_labels",
    "parse_capture",
]
