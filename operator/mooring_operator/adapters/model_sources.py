"""Finds models: by their own address in a store, or through MLflow's registry.

Source: MLflow REST API 2.0 (``registered-models/alias``, ``model-versions/get-download-uri``).
"""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import obstore
import obstore.exceptions
from mooring_artifacts.errors import InputError, first_line
from mooring_artifacts.storage import content_digest, locate

from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.planning.situation import Resolved

_REGISTERED = re.compile(r"models:/(?P<name>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
_LISTED = ("s3://", "gs://", "az://")


class ModelSources:
    """Implements `Registry` for addresses in stores and, with a tracking URI, in MLflow's registry."""

    def __init__(
        self,
        tracking_uri: str | None,
        token_file: Path | None = None,
        *,
        client: httpx2.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tracking_uri = tracking_uri.rstrip("/") if tracking_uri else None
        self._token_file = token_file
        self._client = client or httpx2.AsyncClient(timeout=httpx2.Timeout(15, connect=5))
        self._clock = clock
        self._aliases: dict[str, tuple[float, Resolved]] = {}

    async def resolve(self, model: ModelSpec) -> Resolved:
        """Say where the model's files are, and what they are.

        An alias that was looked up less than ``pollInterval`` ago is not looked up again.
        """
        match = _REGISTERED.fullmatch(model.uri)
        if match is None:
            if model.uri.startswith("models:"):
                raise ModelNotFound(
                    reasons.MODEL_ADDRESS_INVALID,
                    f"spec.model.uri {model.uri!r}: write models:/NAME/VERSION or models:/NAME@ALIAS",
                )
            return await _identify(model, model.uri)
        alias = match["alias"]
        if alias is None:
            return await _identify(model, await self._download_uri(match["name"], match["version"]))
        known = self._aliases.get(model.uri)
        # A little early: the next look comes after exactly one interval.
        if known is not None and self._clock() - known[0] < model.poll_interval.total_seconds() * 0.9:
            return known[1]
        version = await self._version(match["name"], alias)
        resolved = await _identify(model, await self._download_uri(match["name"], version))
        self._aliases[model.uri] = (self._clock(), resolved)
        return resolved

    async def _version(self, name: str, alias: str) -> str:
        answer = await self._ask("registered-models/alias", {"name": name, "alias": alias})
        return str(answer["model_version"]["version"])

    async def _download_uri(self, name: str, version: str) -> str:
        answer = await self._ask("model-versions/get-download-uri", {"name": name, "version": version})
        uri = str(answer["artifact_uri"])
        if uri.startswith("mlflow-artifacts:"):
            raise ModelNotFound(
                reasons.ARTIFACTS_PROXIED,
                f"MLflow serves {name} version {version} from {uri}, which KServe cannot read; run the tracking "
                "server with --no-serve-artifacts and an artifact root in a store",
            )
        return f"file://{uri}" if uri.startswith("/") else uri

    async def _ask(self, path: str, query: dict[str, str]) -> dict[str, dict[str, str]]:
        if self._tracking_uri is None:
            raise ModelNotFound(
                reasons.REGISTRY_NOT_CONFIGURED,
                "models:/ addresses need the operator's setting MOORING_MLFLOW_TRACKING_URI",
            )
        headers = {}
        if self._token_file is not None:
            token = await asyncio.to_thread(self._token_file.read_text)
            headers["Authorization"] = f"Bearer {token.strip()}"
        url = f"{self._tracking_uri}/api/2.0/mlflow/{path}"
        try:
            response = await self._client.get(url, params=query, headers=headers)
        except httpx2.HTTPError as error:
            raise RegistryUnavailable(
                f"cannot reach MLflow at {self._tracking_uri}: {type(error).__name__}"
            ) from error
        if response.status_code >= 500 or response.status_code == 429:
            raise RegistryUnavailable(f"MLflow at {self._tracking_uri} answered {response.status_code}")
        if response.status_code != 200:
            asked = " ".join(f"{key} {value!r}" for key, value in query.items())
            raise ModelNotFound(reasons.MODEL_NOT_FOUND, f"MLflow knows no {asked}: {_message(response)}")
        answer: dict[str, dict[str, str]] = response.json()
        return answer


async def _identify(model: ModelSpec, storage_uri: str) -> Resolved:
    """Say what the content is: by sha256 for files, by the store's own ETags for objects."""
    if model.digest is not None and not storage_uri.startswith("file://"):
        # The CI run reads the files anyway, and rejects others than these.
        return Resolved(storage_uri, model.digest)
    try:
        if storage_uri.startswith("file://"):
            digest = await asyncio.to_thread(content_digest, storage_uri)
        elif storage_uri.startswith(_LISTED):
            digest = await asyncio.to_thread(_listing_digest, storage_uri)
        else:
            return Resolved(storage_uri, None)
    except InputError as error:
        raise ModelNotFound(reasons.MODEL_NOT_FOUND, f"spec.model.uri: {error}") from error
    if model.digest not in (None, digest):
        raise ModelNotFound(
            reasons.DIGEST_MISMATCH, f"spec.model.digest is {model.digest}, but {storage_uri} has {digest}"
        )
    return Resolved(storage_uri, digest)


def _listing_digest(uri: str) -> str:
    """Hash names, sizes and ETags: a model of many GB must not pass through the operator."""
    location = locate(uri)
    key = location.address.key
    try:
        found = [meta for batch in obstore.list(location.store, prefix=key) for meta in batch]
    except (obstore.exceptions.BaseError, OSError) as error:
        raise RegistryUnavailable(f"cannot list {uri}: {first_line(error)}") from error
    files = [meta for meta in found if meta["path"] == key or meta["path"].startswith(f"{key}/")]
    if not files:
        raise InputError(f"{uri!r} does not exist")
    listing = sorted((meta["path"].removeprefix(key), meta["size"], meta["e_tag"]) for meta in files)
    return "etag:" + hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _message(response: httpx2.Response) -> str:
    try:
        return str(response.json().get("message", response.text))[:300]
    except ValueError:
        return response.text[:300]
