"""MLflow by its REST API: bounded answers, no redirects, one error for each thing that can be wrong.

Source: MLflow REST API 2.0 (``registered-models/alias``, ``model-versions/get-download-uri``).
"""

import json
from pathlib import Path
from typing import Any

import httpx2

from mooring_operator.adapters.pools import Pool
from mooring_operator.adapters.registry import ModelNotFound, RegistryUnavailable
from mooring_operator.api import reasons

_LARGEST_ANSWER = 4 << 20
_UNKNOWN = (400, 404)
_OF_CREDENTIALS = (401, 403)


class MlflowRest:
    """One tracking server.

    Args:
        tracking_uri: its address; None: there is none.
        token_file: a file with a bearer token, or with the password of `user`.
        user: of MLflow's own access control; None: the file has a token.
        client, pool: what asks; of their own where left out.
    """

    def __init__(
        self,
        tracking_uri: str | None,
        token_file: Path | None = None,
        user: str | None = None,
        *,
        client: httpx2.AsyncClient | None = None,
        pool: Pool | None = None,
    ) -> None:
        self._tracking_uri = tracking_uri.rstrip("/") if tracking_uri else None
        self._token_file = token_file
        self._user = user
        self._client = client or httpx2.AsyncClient(timeout=httpx2.Timeout(15, connect=5))
        self._pool = pool or Pool("models", RegistryUnavailable)

    async def get(self, path: str, query: dict[str, str]) -> Any:
        """Ask.

        Raises:
            ModelNotFound: it knows no such thing, or there is no server.
            RegistryUnavailable: it does not answer, or not as MLflow does.
        """
        return await self._ask("GET", path, query)

    async def post(self, path: str, body: dict[str, str]) -> Any:
        """Have something done.

        Raises:
            ModelNotFound, RegistryUnavailable: as `get`.
        """
        return await self._ask("POST", path, body)

    def text(self, answer: Any, *path: str) -> str:
        """Give a text or a number of an answer.

        Raises:
            RegistryUnavailable: it is not there.
        """
        for name in path:
            answer = answer.get(name) if isinstance(answer, dict) else None
        if isinstance(answer, bool) or not isinstance(answer, str | int):
            raise self._is_not_mlflow()
        return str(answer)

    async def _ask(self, method: str, path: str, given: dict[str, str]) -> Any:
        if self._tracking_uri is None:
            raise ModelNotFound(
                reasons.REGISTRY_NOT_CONFIGURED,
                "models:/ addresses and aliases need the operator's setting MOORING_MLFLOW_TRACKING_URI",
            )
        # What is not packed is not larger than it looks.
        headers = {"Accept-Encoding": "identity"}
        auth: httpx2.BasicAuth | None = None
        if self._token_file is not None:
            secret = (await self._pool.thread(self._token_file.read_text)).strip()
            if self._user is None:
                headers["Authorization"] = f"Bearer {secret}"
            else:
                auth = httpx2.BasicAuth(self._user, secret)
        url = f"{self._tracking_uri}/api/2.0/mlflow/{path}"
        carried: dict[str, Any] = {"params": given} if method == "GET" else {"json": given}
        options = {"headers": headers, "auth": auth, **carried}
        try:
            status, content = await self._pool.call(lambda: self._send(method, url, options))
        except httpx2.HTTPError as error:
            raise RegistryUnavailable(
                f"cannot reach MLflow at {self._tracking_uri}: {type(error).__name__}"
            ) from error
        if status in _UNKNOWN:
            asked = " ".join(f"{key} {value!r}" for key, value in given.items())
            raise ModelNotFound(reasons.MODEL_NOT_FOUND, f"MLflow knows no {asked}")
        if status in _OF_CREDENTIALS:
            raise RegistryUnavailable(
                f"MLflow at {self._tracking_uri} answered {status}: the operator's MOORING_MLFLOW_USER and "
                "MOORING_MLFLOW_TOKEN_FILE have to be of a user who may do that"
            )
        if status != 200:
            # A login page that it leads to, says nothing about the model.
            raise RegistryUnavailable(f"MLflow at {self._tracking_uri} answered {status}")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise self._is_not_mlflow() from error

    async def _send(self, method: str, url: str, options: dict[str, Any]) -> tuple[int, bytes]:
        async with self._client.stream(method, url, **options) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise self._is_not_mlflow()
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > _LARGEST_ANSWER:
                    raise self._is_not_mlflow()
            return response.status_code, bytes(content)

    def _is_not_mlflow(self) -> RegistryUnavailable:
        return RegistryUnavailable(f"what answers at {self._tracking_uri} does not answer as MLflow does")


class MlflowAliases:
    """Implements `Aliases`."""

    def __init__(self, mlflow: MlflowRest) -> None:
        self._mlflow = mlflow

    async def version_at(self, name: str, alias: str) -> str | None:
        """Give the version that the alias points to; None where it points nowhere."""
        try:
            answer = await self._mlflow.get("registered-models/alias", {"name": name, "alias": alias})
        except ModelNotFound as error:
            if error.reason == reasons.REGISTRY_NOT_CONFIGURED:
                raise
            return None
        return self._mlflow.text(answer, "model_version", "version")

    async def move(self, name: str, alias: str, version: str) -> None:
        """Have the alias point to the version."""
        wanted = {"name": name, "alias": alias, "version": version}
        await self._mlflow.post("registered-models/alias", wanted)
