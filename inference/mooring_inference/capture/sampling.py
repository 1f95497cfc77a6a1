"""Which requests are kept: by a keyed hash of the id, so that all that belongs to one request stays together.

A caller chooses the id, and without the key cannot tell which ids are in the sample.
"""

from __future__ import annotations

import os
from hashlib import blake2b

_SPACE = 1 << 64


class Sample:
    """A share of all ids, the same one in all processes that have the same key.

    Attributes:
        keeps_all: whether every id is in it.
        is_shared: whether others can draw the same: not where the key was made up for this process.
    """

    def __init__(self, share: float, key: bytes | None) -> None:
        """``share`` is 0 to 1; without a key, one is made up."""
        self.keeps_all = share >= 1
        self.is_shared = key is not None
        self._below = round(share * _SPACE)
        # Of any length, and of use for nothing else that the same key may be given for.
        self._key = blake2b(key or os.urandom(32), person=b"mooring sample").digest()

    def has(self, request_id: str) -> bool:
        """Whether the request of this id is kept."""
        if self.keeps_all:
            return True
        digest = blake2b(request_id.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest, "little") < self._below
