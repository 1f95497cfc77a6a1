"""Public keys of those who sign models: their form as text, and the names that signatures know them by."""

from __future__ import annotations

import base64
import hashlib
import re
import textwrap

PEM_PATTERN = r"^-----BEGIN PUBLIC KEY-----\n([A-Za-z0-9+/]{1,76}={0,2}\n){1,8}-----END PUBLIC KEY-----\n?$"
LONGEST_PEM = 700
_FRAME = ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----")
_BLANK = re.compile(r"\s+")


def key_id(pem: str) -> str:
    """The name of a public key: 64 hex digits, the sha256 of its PEM with lines of 64 characters.

    Bundles of OpenSSF Model Signing have it as their hint.

    Raises:
        ValueError: the text between the lines of the frame is no base64.
    """
    body = _BLANK.sub("", pem.strip().removeprefix(_FRAME[0]).removesuffix(_FRAME[1]))
    encoded = base64.b64encode(base64.b64decode(body, validate=True)).decode()
    text = "\n".join([_FRAME[0], *textwrap.wrap(encoded, 64), _FRAME[1], ""])
    return hashlib.sha256(text.encode()).hexdigest()
