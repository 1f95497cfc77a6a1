"""MLflow by its REST API, as far as a version is registered by it: bounded answers, no redirects.

Source: MLflow REST API 2.0. Credentials are MLflow's own variables: MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
from mooring_artifacts.errors import InputError
from mooring_artifacts.text import shortened, visible

URL = "MLFLOW_TRACKING_URI"
USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
_LARGEST_ANSWER = 4 << 20
_LONGEST_WORDS = 200
_REQUEST_S, _CONNECT_S = 15.0, 5.0
_OF_CREDENTIALS = (401, 403)
DENIED = "PERMISSION_DENIED"
"""The code of what a user may not do; MLflow's own access control says it without one."""
# MLflow's word for what its database refused, as where two write the same rows at once.
_OF_THE_DATABASE = "BAD_REQUEST"


class RegistryRefused(Exception):
    """The registry says no, for good; `code` is its own word for it, empty where it has none."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class RegistryUnavailable(Exception):
    """The registry did not answer, or not as MLflow does: trying again may help."""


def open_client(environment: Mapping[str, str]) -> httpx.Client:
    """A client with the credentials of the environment; whoever opens it closes it."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "mooring"}
    auth = None
    if user := environment.get(USER):
        auth = httpx.BasicAuth(user, environment.get(PASSWORD, ""))
    elif token := environment.get(TOKEN):
        headers["Authorization"] = f"Bearer {token.strip()}"
    return httpx.Client(
        headers=headers,
        auth=auth,
        timeout=httpx.Timeout(_REQUEST_S, connect=_CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    )


def named_server(tracking_uri: str, environment: Mapping[str, str]) -> str:
    """The address of the server that a run is told of: by its parameter, else by its Secret.

    Raises:
        InputError: neither names one.
    """
    if server := tracking_uri or environment.get(URL, ""):
        return server
    raise InputError(f"no MLflow is named: tracking_uri, or {URL} of the run's Secret, does it")


def check_url(url: str) -> str:
    """The address of a tracking server without a slash at its end.

    Raises:
        RegistryRefused: it is none, or holds a user, a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise RegistryRefused("the tracking server's address is no http:// or https:// URL")
    if "@" in parts.netloc or parts.query or parts.fragment or not url.isprintable():
        raise RegistryRefused(
            f"the tracking server's address holds a user, a query or a fragment: credentials go into {USER} and "
            f"{PASSWORD}"
        )
    return url.rstrip("/")


class Mlflow:
    """One tracking server.

    Args:
        client: with the credentials.
        url: the server's address.
        deadline: until when it may be asked and may answer, by the clock.
    """

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        deadline: float = float("inf"),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._url = check_url(url)
        self._deadline = deadline
        self._clock = clock

    def get(self, path: str, **query: str | int) -> dict[str, Any]:
        """Ask.

        Raises:
            RegistryRefused: the registry says no.
            RegistryUnavailable: it does not answer.
        """
        return self._ask("GET", path, params=query)

    def find(self, path: str, **query: str) -> dict[str, Any] | None:
        """Ask for what may not be there: None where it is not.

        Raises:
            RegistryRefused, RegistryUnavailable: as `get`.
        """
        try:
            return self.get(path, **query)
        except RegistryRefused as refusal:
            # That there is no such alias is INVALID_PARAMETER_VALUE.
            if refusal.code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Have something done.

        Raises:
            RegistryRefused, RegistryUnavailable: as `get`.
        """
        return self._ask("POST", path, json=body)

    def delete(self, path: str, **body: Any) -> None:
        """Delete.

        Raises:
            RegistryRefused, RegistryUnavailable: as `get`.
        """
        self._ask("DELETE", path, json=body)

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            status, content = self._send(method, f"{self._url}/api/2.0/mlflow/{path}", options)
        except httpx.InvalidURL as error:
            raise RegistryRefused(f"{self._url} cannot be asked ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            # Its text may hold the URL, and that is all it adds.
            raise RegistryUnavailable(
                f"cannot reach MLflow at {self._url} ({type(error).__name__})"
            ) from None
        document = _document(content)
        if status == 200 and document is not None:
            return document
        told = _told(document)
        if status in _OF_CREDENTIALS:
            raise RegistryRefused(
                f"MLflow at {self._url} answered {status} to {path}{told}: {USER} and {PASSWORD}, or {TOKEN}, of "
                "the run's Secret have to be those of a user who may write there",
                DENIED if status == 403 else "",
            )
        code = "" if document is None else str(document.get("error_code", ""))
        if 400 <= status < 500 and status != 429 and code not in ("", _OF_THE_DATABASE):
            raise RegistryRefused(f"MLflow at {self._url} answered {status} to {path}{told}", code)
        if status == 200 or (300 <= status < 500 and not told):
            told = ", which is no answer of MLflow's"
        raise RegistryUnavailable(f"MLflow at {self._url} answered {status} to {path}{told}")

    def _send(self, method: str, url: str, options: Mapping[str, Any]) -> tuple[int, bytes]:
        self._check_time()
        with self._client.stream(method, url, **options) as response:
            content = bytearray()
            for chunk in response.iter_raw():
                self._check_time()
                content += chunk
                if len(content) > _LARGEST_ANSWER:
                    raise RegistryUnavailable(f"what answers at {self._url} does not answer as MLflow does")
            return response.status_code, bytes(content)

    def _check_time(self) -> None:
        if self._clock() > self._deadline:
            raise RegistryUnavailable(f"MLflow at {self._url} answers slowly")


def _document(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _told(document: Mapping[str, Any] | None) -> str:
    words = None if document is None else document.get("message")
    if not isinstance(words, str) or not words.strip():
        return ""
    return f": {shortened(visible(' '.join(words.split())), _LONGEST_WORDS)}"
