"""Read the verdict that the last step of a `model-ci` run wrote."""

from __future__ import annotations

from typing import Protocol

from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.run_documents import LARGEST_VERDICT, RunFailure, Verdict, parse_verdict
from mooring_artifacts.storage import fetch

from mooring_operator.adapters.pools import Pool


class VerdictInvalid(Exception):
    """There is a document, and it is not a verdict; or the URI cannot hold one. The message says why."""


class VerdictsUnavailable(Exception):
    """The store did not answer, or refused: try again later."""


class Verdicts(Protocol):
    """Where verdicts are read from."""

    async def read(self, uri: str) -> Verdict | RunFailure | None:
        """The verdict at `uri`, or why the run has none; None when there is nothing.

        Raises:
            VerdictInvalid: what is there is no verdict.
            VerdictsUnavailable: the store did not answer.
        """


class ObjectStoreVerdicts:
    """Verdicts in `file://`, `s3://`, `gs://` and `az://`; credentials come from the environment."""

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool or Pool("verdicts", VerdictsUnavailable)

    async def read(self, uri: str) -> Verdict | RunFailure | None:
        """The verdict at `uri`, or why the run has none; None when there is nothing.

        Raises:
            VerdictInvalid: the URI is not allowed, or what is there is no verdict.
            VerdictsUnavailable: the store did not answer, or refused.
        """
        try:
            content = await self._pool.call(lambda: fetch(uri, LARGEST_VERDICT, "verdict URI"))
        except InputError as error:
            raise VerdictInvalid(str(error)) from error
        except StoreUnavailable as error:
            raise VerdictsUnavailable(str(error)) from error
        if content is None:
            return None
        try:
            return parse_verdict(content)
        except InputError as error:
            raise VerdictInvalid(f"{uri}: {error}") from error
