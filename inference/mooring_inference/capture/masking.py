"""Applies masks to columns, and reads the key of the keyed one."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from mooring_inference.capture.arrow import Bools, from_strings
from mooring_inference.capture.keys import read_key
from mooring_inference.capture.masks import Bucket, Drop, Hmac, Mask
from mooring_inference.capture.settings import HMAC_KEY_VARIABLE, CaptureSettingsError
from mooring_inference.tensors import Array

_DIGEST_BYTES = 16

# Values of one column, (n,), and which of them are there, into the column that is written.
Masker = Callable[[Array, Bools | None], pa.Array]


def read_hmac_key(path: Path | None, environ: Mapping[str, str]) -> bytes:
    """The key: the file's content without white space at its ends, else the environment's.

    Raises:
        CaptureSettingsError: there is none, or it is shorter than 16 bytes.
    """
    key = read_key("capture_hmac_key_file", path, HMAC_KEY_VARIABLE, environ)
    if key is None:
        raise CaptureSettingsError(
            f"--capture_mask: hmac needs a key: set --capture_hmac_key_file or ${HMAC_KEY_VARIABLE}"
        )
    return key


def make_masker(mask: Mask, key: bytes | None) -> Masker:
    """A function that applies ``mask``; dropped columns have none."""
    match mask:
        case Bucket():
            return lambda values, valid: bucket(values, valid, mask)
        case Hmac():
            assert key is not None
            return lambda values, valid: digest(values, valid, key)
        case Drop():
            raise ValueError("a dropped column is not written")


def bucket(values: Array, valid: Bools | None, mask: Bucket) -> pa.Array:
    """The interval of each number, (n,); NaN becomes null."""
    numbers = values.astype(np.float64)
    missing = np.isnan(numbers)
    places = np.searchsorted(np.asarray(mask.edges), numbers, side="right")
    present = ~missing if valid is None else valid & ~missing
    labels = mask.labels
    return from_strings([labels[place] for place in places.tolist()], present)


def digest(values: Array, valid: Bools | None, key: bytes) -> pa.Array:
    """A keyed digest of each value's text, (n,); NaN becomes null. Equal values are digested once."""
    items = values.tolist()
    present = np.ones(len(items), np.bool_) if valid is None else valid
    if values.dtype.kind == "f":
        present = present & ~np.isnan(values)
    digests = {item: _digest(item, key) for item in set(items)}
    return from_strings([digests[item] for item in items], present)


def _digest(value: object, key: bytes) -> str:
    text = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return hmac.digest(key, text, "sha256")[:_DIGEST_BYTES].hex()
