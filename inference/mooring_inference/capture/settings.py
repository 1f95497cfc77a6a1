"""How to capture, and what is done to columns, parsed from the strings of a command line. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import Address, parse

from mooring_inference.errors import ModelLoadError


@dataclass(frozen=True, slots=True)
class Drop:
    """The column is not written."""


@dataclass(frozen=True, slots=True)
class Hmac:
    """Each value becomes the first 128 bits of HMAC-SHA256 (RFC 2104) of its text, as 32 hexadecimal digits.

    The text of a number is Python's shortest that reads back the same; equal values have equal digests in all
    columns, models and replicas that share the key, and nobody without the key can try values out.
    """


@dataclass(frozen=True, slots=True)
class Bucket:
    """Each number becomes the interval that it lies in, as text: ``<1``, ``[1,5)``, ``>=5``.

    Attributes:
        edges: finite and rising.
        labels: one more than there are edges.
    """

    edges: tuple[float, ...]
    labels: tuple[str, ...]


Mask = Drop | Hmac | Bucket


def parse_bucket(text: str) -> Bucket | None:
    """Parse ``1,5,10``; None where these are not finite, rising numbers."""
    words = [word.strip() for word in text.split(",")]
    try:
        edges = tuple(float(word) for word in words)
    except ValueError:
        return None
    if not all(map(math.isfinite, edges)) or any(low >= high for low, high in pairwise(edges)):
        return None
    inner = (f"[{low},{high})" for low, high in pairwise(words))
    return Bucket(edges, (f"<{words[0]}", *inner, f">={words[-1]}"))


# The variables that hold keys where no file is named.
SAMPLE_KEY_VARIABLE = "MOORING_CAPTURE_KEY"
HMAC_KEY_VARIABLE = "MOORING_CAPTURE_HMAC_KEY"

ROUTES = ("stable", "candidate", "shadow")
_SMALLEST_BUFFER, _LARGEST_BUFFER = 1 << 20, 1 << 30


class CaptureSettingsError(ModelLoadError):
    """A setting of capture is wrong; the message is one line that names it."""


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """How to capture.

    Attributes:
        uri: a folder, as a path or ``file://``, or in an object store: ``s3://``, ``gs://``, ``az://``.
        sample: share of the requests that are kept, 0 to 1.
        features: features or inputs to keep, by name; None for all.
        masks: what is done to a column before it is written, by its name or its input's.
        key_file: holds the key that the sample is drawn with; None for the environment.
        hmac_key_file: holds the key of ``hmac`` masks; None for the environment.
        flush_seconds: how long rows wait for a complete file at most; a crash loses no more than that.
        retention_hours: files of hours that ended longer ago are deleted; None for never.
        buffer_bytes: memory that requests may hold until they are written.
        buffer_rows: the same in rows.
        spool_dir: where files wait for the object store; None for a folder in the system's temporary one.
        spool_bytes: of files that wait there; what comes on top is dropped.
        route: ``stable``, ``candidate`` or ``shadow``.
        deployment: the folder ``deployment=NAME``; None for the name of the model.
    """

    uri: str
    sample: float = 1.0
    features: tuple[str, ...] | None = None
    masks: Mapping[str, Mask] = field(default_factory=dict)
    key_file: Path | None = None
    hmac_key_file: Path | None = None
    flush_seconds: float = 60.0
    retention_hours: float | None = None
    buffer_bytes: int = 64 << 20
    buffer_rows: int = 1 << 20
    spool_dir: Path | None = None
    spool_bytes: int = 1 << 30
    route: str = "stable"
    deployment: str | None = None

    @property
    def place(self) -> Path | Address:
        """The folder in the file system, or the address in an object store.

        Raises:
            CaptureSettingsError: it is neither.
        """
        return _place(self.uri)


def parse_capture(values: Mapping[str, str | None]) -> CaptureSettings | None:
    """Return settings from strings such as the command line's; None without ``capture_uri``.

    Args:
        values: ``capture_uri``, ``capture_sample`` (0 to 1), ``capture_key_file``, ``capture_features`` (``a,b``),
            ``capture_mask`` (``a=drop,b=hmac,c=bucket:1,5,10``), ``capture_hmac_key_file``, ``capture_flush_seconds``,
            ``capture_retention_hours``, ``capture_buffer_bytes``, ``capture_spool_dir``,
            ``capture_spool_bytes``, ``route``, ``deployment``; what is None or missing has its default.

    Raises:
        CaptureSettingsError: a value is wrong, or there are settings without ``capture_uri``.
    """
    given = {name: text for name, text in values.items() if text is not None}
    uri = given.pop("capture_uri", None)
    if uri is None:
        for name in given:
            if name.startswith("capture_"):
                raise CaptureSettingsError(f"--{name}: needs --capture_uri as well")
        return None
    _place(uri)
    parsed: dict[str, object] = {"uri": uri}
    for name, text in given.items():
        attribute, parse = _PARSERS[name]
        parsed[attribute] = parse(name, text)
    return CaptureSettings(**parsed)  # type: ignore[arg-type]


def _place(text: str) -> Path | Address:
    if text.startswith("/") and text.strip("/"):
        return Path(text)
    try:
        address = parse(text, whole_bucket=True)
    except InputError as error:
        raise CaptureSettingsError(
            f"--capture_uri: expected an absolute path or an address: {error}"
        ) from None
    return address.path if address.scheme == "file" else address


def _names(name: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not names:
        raise _wrong(name, "names separated by commas", text)
    return names


def _masks(name: str, text: str) -> dict[str, Mask]:
    """Parse ``a=drop,b=bucket:1,5,c=hmac``: what holds no ``=`` is one more edge of the bucket before it."""
    rules: list[str] = []
    for part in text.split(","):
        if "=" not in part and rules:
            rules[-1] += f",{part}"
        else:
            rules.append(part)
    masks: dict[str, Mask] = {}
    for rule in rules:
        # Names of features may hold an equals sign, rules do not.
        feature, _, kind = (part.strip() for part in rule.rpartition("="))
        if not feature:
            raise _wrong(name, "FEATURE=drop, FEATURE=hmac or FEATURE=bucket:EDGE,EDGE", rule)
        if feature in masks:
            raise _wrong(name, "each feature once", f"{feature} twice")
        masks[feature] = _mask(name, kind, rule)
    return masks


def _mask(name: str, kind: str, rule: str) -> Mask:
    if kind in ("drop", "hmac"):
        return Drop() if kind == "drop" else Hmac()
    bucket = parse_bucket(kind.removeprefix("bucket:")) if kind.startswith("bucket:") else None
    if bucket is None:
        raise _wrong(name, "FEATURE=drop, FEATURE=hmac or FEATURE=bucket:EDGE,EDGE with rising numbers", rule)
    return bucket


def _path(name: str, text: str) -> Path:
    if not text:
        raise _wrong(name, "a path", text)
    return Path(text)


def _text(name: str, text: str) -> str:
    if not text.strip():
        raise _wrong(name, "a name", text)
    return text


def _route(name: str, text: str) -> str:
    if text not in ROUTES:
        raise _wrong(name, ", ".join(ROUTES), text)
    return text


def _number(
    convert: Callable[[str], float], low: float, high: float, wanted: str
) -> Callable[[str, str], float]:
    def parse(name: str, text: str) -> float:
        try:
            value = convert(text)
        except ValueError:
            raise _wrong(name, wanted, text) from None
        if not (low <= value <= high and math.isfinite(value)):
            raise _wrong(name, wanted, text)
        return value

    return parse


_PARSERS: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "capture_sample": ("sample", _number(float, 0, 1, "a number from 0 to 1")),
    "capture_key_file": ("key_file", _path),
    "capture_features": ("features", _names),
    "capture_mask": ("masks", _masks),
    "capture_hmac_key_file": ("hmac_key_file", _path),
    "capture_flush_seconds": ("flush_seconds", _number(float, 0.1, 3600, "seconds from 0.1 to 3600")),
    "capture_retention_hours": ("retention_hours", _number(float, 1, 1e6, "hours, 1 or more")),
    "capture_buffer_bytes": (
        "buffer_bytes",
        _number(int, _SMALLEST_BUFFER, _LARGEST_BUFFER, "bytes from 1048576 to 1073741824"),
    ),
    "capture_spool_dir": ("spool_dir", _path),
    "capture_spool_bytes": ("spool_bytes", _number(int, 1 << 20, 1 << 50, "bytes, 1048576 or more")),
    "route": ("route", _route),
    "deployment": ("deployment", _text),
}


def _wrong(name: str, expected: str, got: str) -> CaptureSettingsError:
    return CaptureSettingsError(f"--{name}: expected {expected}, got {got!r}")
