"""HTTP to the API server: connections that are kept, and lightkube's credentials on every request.

docs/kubernetes-client.md compares this with other clients.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from lightkube import ConfigError, SingleConfig
from lightkube.config.client_adapter import user_auth, verify_cluster
from lightkube.config.models import User
from yarl import URL

_CONNECT_TIMEOUT = 5.0
_REQUEST_TIMEOUT = 30.0
_KEPT_S = 5.0
"""How long a connection that nobody uses is kept: less than a proxy on the way would keep it."""
_UNAUTHORIZED = 401
_TOO_LARGE = 413


class NoAnswer(Exception):
    """The API server cannot be reached, or the credentials cannot be had."""


@dataclass(frozen=True)
class Answer:
    """What the API server answered."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class ApiHttp:
    """Sends requests to one API server, and proves who we are."""

    def __init__(self, config: SingleConfig) -> None:
        self._server = config.cluster.server.rstrip("/")
        self._tls = verify_cluster(config.cluster, config.user or User(), config.abs_file)
        self._auth = user_auth(config.user)
        # lightkube writes the credentials into requests of its own client: here into one, which is never sent.
        self._proof = httpx2.Request("GET", self._server)
        self._proxy = _proxy_of(self._server)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str],
    ) -> Answer:
        """Send one request; once more where the answer is 401 and there are newer credentials.

        Raises:
            NoAnswer: none came.
        """
        url = URL(f"{self._server}{path}" + (f"?{urlencode(params)}" if params else ""), encoded=True)
        return await self._proving(headers, lambda proven: self._send(method, url, content, proven))

    async def read(self, path: str, headers: Mapping[str, str], largest: int) -> Answer:
        """Get something of which no more than `largest` bytes are read; status code 413 stands for more.

        It is taken as it comes, and never inflated.

        Raises:
            NoAnswer: none came.
        """
        url = URL(f"{self._server}{path}", encoded=True)
        return await self._proving(headers, lambda proven: self._send("GET", url, None, proven, largest))

    async def _proving(
        self, headers: Mapping[str, str], send: Callable[[Mapping[str, str]], Awaitable[Answer]]
    ) -> Answer:
        try:
            if self._auth is None:
                return await send(headers)
            proofs = self._auth.async_auth_flow(self._proof)
            try:
                await anext(proofs)
                answer = await send(self._proven(headers))
                if answer.status == _UNAUTHORIZED:
                    await proofs.asend(httpx2.Response(_UNAUTHORIZED))
                    answer = await send(self._proven(headers))
            except StopAsyncIteration:
                # There are no others.
                return answer
            finally:
                await proofs.aclose()
        except (aiohttp.ClientError, ConfigError, OSError) as error:
            raise NoAnswer(repr(error)) from error
        return answer

    def _proven(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        return {**headers, "Authorization": self._proof.headers["Authorization"]}

    async def _send(
        self,
        method: str,
        url: URL,
        content: bytes | None,
        headers: Mapping[str, str],
        largest: int | None = None,
    ) -> Answer:
        if self._session is None:
            self._session = self._open()
        async with self._session.request(
            method,
            url,
            data=content,
            headers=headers,
            proxy=self._proxy,
            allow_redirects=False,
            auto_decompress=largest is None,
        ) as response:
            if largest is None:
                return Answer(response.status, response.headers, await response.read())
            text = bytearray()
            async for part in response.content.iter_any():
                text += part
                if len(text) > largest:
                    return Answer(_TOO_LARGE, response.headers, b"")
            return Answer(response.status, response.headers, bytes(text))

    def _open(self) -> aiohttp.ClientSession:
        """Open a session in the event loop that runs: where the class is made, there may be none."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls, keepalive_timeout=_KEPT_S),
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=_REQUEST_TIMEOUT,
                sock_connect=_CONNECT_TIMEOUT,
                sock_read=_REQUEST_TIMEOUT,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_once,),
        )


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a request that got no answer a second time: the queue does, later, and says so."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise NoAnswer(repr(error)) from error


def _proxy_of(server: str) -> str | None:
    """Give the proxy that the environment names for a server, as kubectl takes it."""
    address = urlsplit(server)
    if proxy_bypass(address.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    return proxies.get(address.scheme) or proxies.get("all")
