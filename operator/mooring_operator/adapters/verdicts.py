"""Read the verdict that the last step of a `model-ci` run wrote."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Protocol
from urllib.parse import unquote, urlsplit

import obstore
import obstore.exceptions
import obstore.store
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

_SCHEMES = ("file", "s3", "gs", "az")
_LARGEST_BYTES = 1 << 20

Number = Annotated[float, Field(allow_inf_nan=False)]


class VerdictInvalid(Exception):
    """There is a document, and it is not a verdict; or the URI cannot hold one. The message says why."""


class VerdictsUnavailable(Exception):
    """The store did not answer, or refused: try again later."""


class Violation(BaseModel):
    """A gate that did not hold; `value` is None when the metric was not measured."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    metric: str
    value: Number | None
    min: Number | None
    max: Number | None
    message: str


class Verdict(BaseModel):
    """The JSON document at the run's `verdict_uri`, schema version 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    schemaVersion: Literal[1]  # noqa: N815 - the names are those of the JSON document
    runId: str  # noqa: N815
    modelUri: str  # noqa: N815
    modelDigest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]  # noqa: N815
    passed: bool
    metrics: dict[str, Number]
    violations: list[Violation]

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Verdict:
        if self.passed == bool(self.violations):
            raise ValueError(f"passed is {self.passed} with {len(self.violations)} violations")
        return self


class Verdicts(Protocol):
    """Where verdicts are read from."""

    async def read(self, uri: str) -> Verdict | None:
        """The verdict at `uri`; None when there is none.

        Raises:
            VerdictInvalid: what is there is no verdict.
            VerdictsUnavailable: the store did not answer.
        """


class ObjectStoreVerdicts:
    """Verdicts in `file://`, `s3://`, `gs://` and `az://`; credentials come from the environment."""

    async def read(self, uri: str) -> Verdict | None:
        """The verdict at `uri`; None when there is none.

        Raises:
            VerdictInvalid: the URI is not allowed, or what is there is no verdict.
            VerdictsUnavailable: the store did not answer, or refused.
        """
        store, key = _locate(uri)
        try:
            found = await obstore.get_async(store, key)
            if found.meta["size"] > _LARGEST_BYTES:
                raise VerdictInvalid(f"{uri}: {found.meta['size']} bytes are too many for a verdict")
            content = bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise VerdictsUnavailable(f"{uri}: {_first_line(error)}") from error
        return parse_verdict(content, uri)


def parse_verdict(content: bytes, uri: str) -> Verdict:
    """The verdict in a JSON document; `uri` is for messages.

    Raises:
        VerdictInvalid: it is none; the message names the first field that is wrong.
    """
    try:
        return Verdict.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        raise VerdictInvalid(f"{uri}: not a verdict: {field}: {first['msg']}") from error


def _locate(uri: str) -> tuple[Any, str]:
    """The object store of a URI and the key in it."""
    parts = urlsplit(uri)
    key = unquote(parts.path) if parts.scheme == "file" else parts.path
    host_fits = parts.netloc in ("", "localhost") if parts.scheme == "file" else bool(parts.netloc)
    if parts.scheme not in _SCHEMES or not host_fits or not key.strip("/"):
        raise VerdictInvalid(
            f"verdict URI {uri!r} is not allowed: use file:///PATH, s3://BUCKET/KEY, gs:// or az://"
        )
    root = "file:///" if parts.scheme == "file" else f"{parts.scheme}://{parts.netloc}/"
    try:
        return obstore.store.from_url(root), key.strip("/")
    except obstore.exceptions.BaseError as error:
        raise VerdictsUnavailable(f"{uri}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    # obstore appends a multi-line debug dump of its source error.
    return str(error).split("\n", 1)[0]
