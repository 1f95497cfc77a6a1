"""Finds models: by their own address in a store, or through MLflow's registry.

Source: MLflow REST API 2.0 (``registered-models/alias``, ``model-versions/get-download-uri``).
"""

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import obstore
import obstore.exceptions
from mooring_artifacts.errors import InputError
from mooring_artifacts.grants import Grants
from mooring_artifacts.local_files import MOST_FILES
from mooring_artifacts.staging import is_proxied, path_of_proxied
from mooring_artifacts.storage import content_digest, open_store
from mooring_artifacts.uris import parse, redact

from mooring_operator.adapters.mlflow import MlflowRest
from mooring_operator.adapters.pools import Pool
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api import forms, reasons
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.planning import addresses, identity
from mooring_operator.planning.rollout.situation import Resolved

if TYPE_CHECKING:
    from obstore.store import RetryConfig

# Named in a spec, the API server asks whether the author may: manifests/admission/pod-fields.yaml.
# KServe knows variants of both, such as oci+native:// and oci+fetch://.
_LENT = re.compile(r"(pvc|oci)(\+[^:]*)?:")
# In these a container stands where others have a user.
_AZURE = ("abfs://", "abfss://", "wasb://", "wasbs://")
_REGISTERED = re.compile(r"models:/(?P<name>[^/:@]+)(?:/(?P<version>[0-9]{1,18})|@(?P<alias>[^/:@]+))")
_MOST_ALIASES = 10_000
_LISTED = ("s3://", "gs://", "az://")
_LISTING_S = 25.0
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=_LISTING_S)}


class ModelSources:
    """Implements `Registry` for addresses in stores and in MLflow's registry."""

    def __init__(
        self,
        mlflow: MlflowRest,
        grants: Callable[[], Grants],
        *,
        pool: Pool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool or Pool("models", RegistryUnavailable)
        self._mlflow = mlflow
        self._clock = clock
        self._grants = grants
        self._aliases: dict[tuple[str, ModelSpec], tuple[float, Resolved]] = {}

    async def resolve(self, model: ModelSpec, namespace: str) -> Resolved:
        """Say where the model's files are and, where the operator may look for `namespace`, what they are.

        Without a grant a revision is its address, or the digest that the spec gives; a registered model needs one.
        What an alias led to less than ``pollInterval`` ago is not looked up again.
        """
        grants = self._grants()
        if (refusal := addresses.refuse_lookup(model.uri, namespace, grants)) is not None:
            raise ModelNotFound(reasons.ADDRESS_NOT_GRANTED, refusal)
        if not identity.is_alias(model.uri):
            return await self._look(model, namespace, grants)
        known = self._aliases.get((namespace, model))
        # A little early: the next look comes after exactly one interval.
        patience = model.poll_interval.total_seconds() * 0.9
        if known is not None and self._clock() - known[0] < patience:
            return known[1]
        resolved = await self._look(model, namespace, grants)
        self._remember(namespace, model, resolved)
        return resolved

    async def _look(self, model: ModelSpec, namespace: str, grants: Grants) -> Resolved:
        registered = await self._registered(model)
        storage_uri = model.uri if registered is None else await self._download_uri(*registered)
        found = await self._look_at(model, namespace, grants, storage_uri)
        version = "/".join(registered or ())
        return replace(found, registered=version) if forms.REGISTERED_VERSION.fits(version) else found

    async def _look_at(self, model: ModelSpec, namespace: str, grants: Grants, storage_uri: str) -> Resolved:
        if is_proxied(storage_uri):
            _check_proxied(model.uri, storage_uri)
            # A run copies it, as the tenant.
            return Resolved(storage_uri, model.digest)
        if storage_uri != model.uri:
            _check_served(model.uri, storage_uri, files=grants.files)
        if not grants.allows(namespace, storage_uri):
            # Whoever tests it, or fetches it to serve it, reads the files as the tenant.
            return Resolved(storage_uri, model.digest)
        try:
            return await _identify(model, storage_uri, self._pool)
        except InputError:
            raise ModelNotFound(
                reasons.MODEL_NOT_FOUND, f"spec.model.uri {redact(model.uri)}: nothing can be read there"
            ) from None

    def _remember(self, namespace: str, model: ModelSpec, resolved: Resolved) -> None:
        if len(self._aliases) >= _MOST_ALIASES:
            self._aliases.clear()
        self._aliases[namespace, model] = (self._clock(), resolved)

    async def _registered(self, model: ModelSpec) -> tuple[str, str] | None:
        """Give name and version of a registered model; None for one that has an address of its own."""
        if not model.uri.startswith("models:"):
            return None
        match = _REGISTERED.fullmatch(model.uri)
        if match is None:
            raise ModelNotFound(
                reasons.MODEL_ADDRESS_INVALID,
                f"spec.model.uri {redact(model.uri)}: write models:/NAME/VERSION or models:/NAME@ALIAS",
            )
        name, version, alias = match["name"], match["version"], match["alias"]
        return name, version or await self._version(name, alias)

    async def _version(self, name: str, alias: str) -> str:
        answer = await self._mlflow.get("registered-models/alias", {"name": name, "alias": alias})
        return self._mlflow.text(answer, "model_version", "version")

    async def _download_uri(self, name: str, version: str) -> str:
        answer = await self._mlflow.get("model-versions/get-download-uri", {"name": name, "version": version})
        uri = self._mlflow.text(answer, "artifact_uri")
        return f"file://{uri}" if uri.startswith("/") else uri


async def _identify(model: ModelSpec, storage_uri: str, pool: Pool) -> Resolved:
    """Say what the content is: by sha256 for files, by the store's own ETags for objects."""
    if storage_uri.startswith("file://"):
        digest = await pool.thread(content_digest, storage_uri)
        if model.digest not in (None, digest):
            raise ModelNotFound(
                reasons.DIGEST_MISMATCH,
                f"spec.model.digest is not the digest of what is at {redact(model.uri)}",
            )
        return Resolved(storage_uri, digest)
    if model.digest is not None or not storage_uri.startswith(_LISTED):
        # The run that tests it reads the files anyway, and rejects others than these.
        return Resolved(storage_uri, model.digest)
    listed = await pool.thread(_list, storage_uri)
    return Resolved(storage_uri, listed.digest, is_folder=listed.is_folder)


def _check_proxied(uri: str, storage_uri: str) -> None:
    """Refuse an address of MLflow's own artifacts that is none, or of another server's."""
    try:
        path_of_proxied(storage_uri)
    except InputError as error:
        raise ModelNotFound(
            reasons.ADDRESS_NOT_ALLOWED, f"spec.model.uri {redact(uri)} leads where no run may look: {error}"
        ) from None


def _check_served(uri: str, storage_uri: str, *, files: bool) -> None:
    """Refuse an address that MLflow gives for a model, and that a spec could not hold."""
    named = {f"spec.model.uri {redact(uri)} leads to": storage_uri}
    refusal = addresses.refuse_files(named, files=files)
    if refusal is None and not forms.ADDRESS.fits(storage_uri):
        refusal = f"spec.model.uri {redact(uri)} leads to {redact(storage_uri)}, which is no address that can be served"
    if refusal is None and _holds_credentials(storage_uri):
        refusal = (
            f"spec.model.uri {redact(uri)} leads to {redact(storage_uri)}, an address with a user or a query: whoever "
            "may read the ModelDeployment would read them; register the model by an address without"
        )
    if refusal is None and _LENT.match(storage_uri):
        refusal = (
            f"spec.model.uri {redact(uri)} leads to {redact(storage_uri)}: a claim or an image is for those who may "
            "name it, and who registers models names it for everybody; write that address into spec.model.uri"
        )
    if refusal is not None:
        raise ModelNotFound(reasons.ADDRESS_NOT_ALLOWED, refusal)


def _holds_credentials(address: str) -> bool:
    authority, _, _ = address.partition("://")[2].partition("/")
    return "?" in address or ("@" in authority and not address.startswith(_AZURE))


class _Listing(NamedTuple):
    digest: str
    is_folder: bool


def _list(uri: str, most: int = MOST_FILES, seconds: float = _LISTING_S) -> _Listing:
    """Hash names, sizes and ETags: a model of many GB must not pass through the operator."""
    address = parse(uri)
    store, key = open_store(address, retry_config=_RETRIES), address.key
    found: list[Any] = []
    # A listing can be endless, and slow: it is left as soon as that shows.
    until = time.monotonic() + seconds
    try:
        for batch in obstore.list(store, prefix=key):
            found += batch
            if len(found) > most:
                raise ModelNotFound(
                    reasons.MODEL_NOT_FOUND,
                    f"spec.model.uri {redact(uri)} holds more than {most} files, too many to list; "
                    "with spec.model.digest they need not be listed",
                )
            if time.monotonic() > until:
                raise RegistryUnavailable(
                    f"the store of {redact(uri)} takes more than {seconds:g} s to list it"
                )
    except (obstore.exceptions.BaseError, OSError) as error:
        raise RegistryUnavailable(f"the store of {redact(uri)} does not list it") from error
    files = [meta for meta in found if meta["path"] == key or meta["path"].startswith(f"{key}/")]
    if not files:
        raise InputError(f"{uri!r} does not exist")
    listing = sorted((meta["path"].removeprefix(key), meta["size"], meta["e_tag"]) for meta in files)
    digest = "etag:" + hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    return _Listing(digest, is_folder=all(meta["path"] != key for meta in files))
