"""HTTP to the API server: credentials that are renewed, requests that are sent once, proxies of the environment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from lightkube import SingleConfig
from lightkube.config.models import Cluster, Context, User
from mooring_operator.adapters.api_http import ApiHttp, NoAnswer

JSON = {"Accept": "application/json"}


class Server:
    """Lets in who has its token; remembers who asked, in their order."""

    def __init__(self, token: str = "new", *, hangs_up: bool = False) -> None:
        self.token, self.hangs_up = token, hangs_up
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Authorization", ""))
        if self.hangs_up:
            assert request.transport is not None
            request.transport.close()
        welcome = self.asked[-1] == f"Bearer {self.token}"
        return web.json_response({"path": request.path_qs}, status=200 if welcome else 401)


@asynccontextmanager
async def asking(server: Server, user: User) -> AsyncIterator[ApiHttp]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    http = ApiHttp(config(f"http://127.0.0.1:{runner.addresses[0][1]}/at/", user))
    try:
        yield http
    finally:
        await http.close()
        await runner.cleanup()


def config(server: str, user: User) -> SingleConfig:
    return SingleConfig("c", Context(cluster="c", user="u"), Cluster(server=server), user)


async def test_a_token_that_was_renewed_is_read_again(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("old")
    server = Server("old")
    async with asking(server, User(token_file=str(token))) as http:
        assert (await http.request("GET", "/x", headers=JSON)).status == 200
        token.write_text("new")
        server.token = "new"
        assert (await http.request("POST", "/x", content=b"{}", headers=JSON)).status == 200
    assert server.asked == ["Bearer old", "Bearer old", "Bearer new"]


async def test_a_token_that_stays_refused_is_an_answer(tmp_path: Path):
    server = Server()
    async with asking(server, User(token="old")) as http:
        assert (await http.request("GET", "/x", headers=JSON)).status == 401
    assert server.asked == ["Bearer old"]


async def test_a_token_that_cannot_be_read_is_no_answer(tmp_path: Path):
    async with asking(Server(), User(token_file=str(tmp_path / "gone"))) as http:
        with pytest.raises(NoAnswer, match="not found"):
            await http.request("GET", "/x", headers=JSON)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_a_request_without_an_answer_is_sent_once(method):
    server = Server(hangs_up=True)
    async with asking(server, User(token="new")) as http:
        with pytest.raises(NoAnswer):
            await http.request(method, "/x", headers=JSON)
    assert len(server.asked) == 1


async def test_what_is_asked_for_arrives_as_it_was_meant():
    server = Server()
    async with asking(server, User(token="new")) as http:
        params = {"labelSelector": "a=b,c/d=e&f"}
        answer = await http.request("GET", "/api/v1/pods", params=params, headers=JSON)
    assert answer.content == b'{"path": "/at/api/v1/pods?labelSelector=a%3Db%2Cc%2Fd%3De%26f"}'


@pytest.mark.parametrize(("bypassed", "reached"), [("", False), ("127.0.0.1", True)])
async def test_a_proxy_of_the_environment_is_asked(monkeypatch, bypassed, reached):
    """The proxy is a port at which nobody listens."""
    for name in ("http_proxy", "no_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", bypassed)
    server = Server()
    async with asking(server, User(token="new")) as http:
        if reached:
            assert (await http.request("GET", "/x", headers=JSON)).status == 200
        else:
            with pytest.raises(NoAnswer):
                await http.request("GET", "/x", headers=JSON)
    assert bool(server.asked) is reached
