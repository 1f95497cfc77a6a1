"""Addresses that a run may write one document to, without credentials of ours.

What each store guarantees until the address expires, to whoever has it:

- ``s3://``: this one object can be written, and once: the signature covers ``If-None-Match: *``, so the first
  writer wins and the others get 412. Where the secret key is not in the environment (a role of the cloud's), or
  AWS_CONDITIONAL_PUT is ``disabled``, the signature covers the host alone, as below.
- ``gs://``, ``az://``: this one object can be written, and overwritten, until the address expires.
- ``file://``: nothing; it is for development on one machine.

No store bounds the size: readers do. An address that was signed with temporary credentials ends with them.

Source: Amazon S3, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlsplit

import obstore
import obstore.exceptions
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.storage import locate

from mooring_operator.adapters.documents import DocumentsUnavailable
from mooring_operator.adapters.pools import Pool

LONGEST = timedelta(days=7)
"""S3 signs for no longer."""
_SECRET, _CONDITIONAL = "AWS_SECRET_ACCESS_KEY", "AWS_CONDITIONAL_PUT"
_ONCE = {"if-none-match": "*"}


class Signing(Protocol):
    """Makes addresses that one document may be written to."""

    async def put_url(self, uri: str, lasts: timedelta) -> str:
        """Give an address to PUT the document at `uri` to, good for `lasts`.

        Raises:
            DocumentsUnavailable: the store cannot be configured, or its credentials cannot be had now.
        """
        ...


class SignedUrls:
    """Signs with the credentials of the operator's environment, as obstore reads them."""

    def __init__(self, pool: Pool | None = None, environment: Mapping[str, str] = os.environ) -> None:
        self._pool = pool or Pool("documents", DocumentsUnavailable)
        self._environment = environment

    async def put_url(self, uri: str, lasts: timedelta) -> str:
        """Give an address to PUT the document at `uri` to; see the module for what it allows."""
        try:
            location = locate(uri, "MOORING_ARTIFACT_ROOT")
            if location.address.scheme == "file":
                return uri
            store, key, lasts = location.store, location.address.key, min(lasts, LONGEST)
            # Where a cloud gives the credentials, they are asked for first.
            signed: str = await self._pool.call(lambda: obstore.sign_async(store, "PUT", key, lasts))
        except (InputError, obstore.exceptions.BaseError, OSError) as error:
            raise DocumentsUnavailable(f"{uri} cannot be signed: {first_line(error)}") from error
        return self._write_once(signed) if location.address.scheme == "s3" else signed

    def _write_once(self, signed: str) -> str:
        """Sign anew, If-None-Match included, with the secret that `signed` was signed with, if that is known."""
        secret = self._environment.get(_SECRET)
        if not secret or self._environment.get(_CONDITIONAL) == "disabled":
            return signed
        # obstore may have had another secret than the environment's: then its own signature has to do.
        ours = _signature(sign_put(signed, secret, {})) == _signature(signed)
        return sign_put(signed, secret, _ONCE) if ours else signed


def sign_put(signed: str, secret: str, headers: Mapping[str, str]) -> str:
    """Sign a presigned PUT of S3's anew, for the same place and time and with more signed `headers`."""
    parts = urlsplit(signed)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    query.pop("X-Amz-Signature", None)
    covered = {**headers, "host": parts.netloc}
    query["X-Amz-SignedHeaders"] = ";".join(sorted(covered))
    fields = "&".join(f"{_encoded(name)}={_encoded(query[name])}" for name in sorted(query))
    request = "\n".join(
        [
            "PUT",
            parts.path,
            fields,
            *(f"{name}:{covered[name]}" for name in sorted(covered)),
            "",
            query["X-Amz-SignedHeaders"],
            "UNSIGNED-PAYLOAD",
        ]
    )
    _, *scope = query["X-Amz-Credential"].split("/")
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", query["X-Amz-Date"], "/".join(scope), digest])
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{fields}&X-Amz-Signature={signature}"


def _signature(signed: str) -> str:
    return dict(parse_qsl(urlsplit(signed).query))["X-Amz-Signature"]


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
