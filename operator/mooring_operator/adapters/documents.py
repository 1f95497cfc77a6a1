"""Reads what runs wrote for the operator. Here alone, so that the bounds hold for every document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.run_documents import (
    LARGEST_REPORT,
    LARGEST_VERDICT,
    DriftReport,
    RunFailure,
    Verdict,
    parse_drift_report,
    parse_verdict,
)
from mooring_artifacts.storage import fetch

from mooring_operator.adapters.pools import Pool

Found = TypeVar("Found")


class DocumentInvalid(Exception):
    """There is a document, and it is not the one that was expected. The message says why."""


class DocumentsUnavailable(Exception):
    """The store did not answer, or refused: try again later."""


class Documents(Protocol):
    """Where verdicts and reports are read from.

    Raises:
        DocumentInvalid: what is there is neither the document nor a failure, or it is too large.
        DocumentsUnavailable: the store did not answer.
    """

    async def verdict(self, uri: str) -> Verdict | RunFailure | None:
        """Give the verdict at `uri`, or why the run has none; None when there is nothing."""
        ...

    async def report(self, uri: str) -> DriftReport | RunFailure | None:
        """Give the drift report at `uri`, or why the run has none; None when there is nothing."""
        ...


class StoredDocuments:
    """Documents in `file://`, `s3://`, `gs://` and `az://`; credentials come from the environment."""

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool or Pool("documents", DocumentsUnavailable)

    async def verdict(self, uri: str) -> Verdict | RunFailure | None:
        """Give the verdict at `uri`, or why the run has none; None when there is nothing."""
        content = await self._read(uri, LARGEST_VERDICT)
        return None if content is None else _parsed(parse_verdict, content, uri)

    async def report(self, uri: str) -> DriftReport | RunFailure | None:
        """Give the drift report at `uri`, or why the run has none; None when there is nothing."""
        content = await self._read(uri, LARGEST_REPORT)
        return None if content is None else _parsed(parse_drift_report, content, uri)

    async def _read(self, uri: str, most: int) -> bytes | None:
        try:
            return await self._pool.call(lambda: fetch(uri, most, "document"))
        except InputError as error:
            raise DocumentInvalid(str(error)) from error
        except StoreUnavailable as error:
            raise DocumentsUnavailable(str(error)) from error


def _parsed(parse: Callable[[bytes], Found], content: bytes, uri: str) -> Found:
    try:
        return parse(content)
    except InputError as error:
        raise DocumentInvalid(f"{uri}: {error}") from error
