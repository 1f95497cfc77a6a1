"""Where the files of a model are that is named by its place in MLflow's registry.

Source: MLflow REST API 2.0 (``registered-models/alias``, ``model-versions/get-download-uri``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mooring_artifacts.errors import InputError, StoreUnavailable
from mooring_artifacts.staging import is_proxied
from mooring_artifacts.uris import redact

from mooring_components.fetching import FetchedModel, fetch_model
from mooring_components.registration.artifacts import MlflowArtifacts
from mooring_components.registration.client import (
    Mlflow,
    RegistryRefused,
    RegistryUnavailable,
    named_server,
    open_client,
)

_NAMED = re.compile(r"models:/(?P<name>[^/:@ ]+)(/(?P<version>[0-9]{1,18})|@(?P<alias>[^/:@ ]+))")


def fetch_named(
    uri: str,
    folder: Path,
    expected_digest: str = "",
    tracking_uri: str = "",
    environment: Mapping[str, str] = os.environ,
) -> FetchedModel:
    """Copy the model at an address, or at ``models:/NAME@ALIAS`` or ``models:/NAME/VERSION``, into `folder`.

    Raises:
        InputError: there is none, it has another digest, or the registry says no.
        StoreUnavailable: the registry or the store does not answer.
    """
    if not uri.startswith("models:"):
        return fetch_model(uri, folder, expected_digest)
    server = named_server(tracking_uri, environment)
    with open_client(environment) as client:
        source = _source(uri, Mlflow(client, server))
        if not is_proxied(source):
            return fetch_model(source, folder, expected_digest)
        copy = folder / "model"
        MlflowArtifacts(client, server).download(source, copy)
    # Reading them once more is cheap beside the download, and takes the digest as every other way does.
    return fetch_model(copy.resolve().as_uri(), folder / "checked", expected_digest)


def _source(uri: str, mlflow: Mlflow) -> str:
    named = _NAMED.fullmatch(uri)
    if named is None:
        raise InputError(f"{redact(uri)} is not allowed: write models:/NAME@ALIAS or models:/NAME/VERSION")
    name, version = named["name"], named["version"]
    try:
        if version is None:
            found = mlflow.get("registered-models/alias", name=name, alias=named["alias"])
            version = str(found["model_version"]["version"])
        answer = mlflow.get("model-versions/get-download-uri", name=name, version=version)
        return str(answer["artifact_uri"])
    except RegistryRefused as refusal:
        raise InputError(f"{uri}: {refusal}") from None
    except RegistryUnavailable as error:
        raise StoreUnavailable(str(error)) from None
    except (KeyError, TypeError) as error:
        raise InputError(f"{uri}: what answers does not answer as MLflow does") from error
