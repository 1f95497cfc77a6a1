"""The server as an ASGI application, and as a blocking call."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from mooring_pipelines.server.api_catalog import CatalogApi
from mooring_pipelines.server.api_runs import RunsApi
from mooring_pipelines.server.catalog import Catalog
from mooring_pipelines.server.database import Database
from mooring_pipelines.server.errors import PERMISSION_DENIED, UNIMPLEMENTED, ApiError, render_error
from mooring_pipelines.server.runs import Runs
from mooring_pipelines.server.supervisor import Supervisor


def create_app(data_dir: Path, concurrency: int = 2, keep: int = 200) -> Starlette:
    """The application over the state in `data_dir`, of which it must be the only user.

    Raises:
        ValueError: `concurrency` or `keep` is below 1.
        BlockingIOError: another server uses `data_dir`.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency {concurrency} is not allowed: it must be at least 1")
    if keep < 1:
        raise ValueError(f"keep {keep} is not allowed: it must be at least 1")
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = (data_dir / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    database = Database(data_dir / "pipelines.sqlite")
    database.create_tables()
    catalog, runs = Catalog(database), Runs(database)
    catalog.default_experiment()
    supervisor = Supervisor(database, runs, data_dir / "runs", concurrency, keep)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await supervisor.start()
        yield
        await supervisor.stop()
        database.close()
        lock.close()

    return Starlette(
        routes=[
            Route("/", _page),
            Route("/apis/v2beta1/healthz", _healthz),
            *RunsApi(database, catalog, runs, supervisor).routes(),
            *CatalogApi(database, catalog).routes(),
        ],
        lifespan=lifespan,
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_refuse_other_origins)],
        exception_handlers={ApiError: render_error, 405: _unimplemented},
    )


def serve(host: str, port: int, data_dir: Path, concurrency: int, keep: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SystemExit: another server uses `data_dir`, or the port is taken.
    """
    try:
        app = create_app(data_dir, concurrency, keep)
    except BlockingIOError as error:
        raise SystemExit(f"another server uses the data directory {str(data_dir)!r}") from error
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


async def _page(_: Request) -> HTMLResponse:
    text = files("mooring_pipelines.server").joinpath("page.html").read_text()
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"})


async def _healthz(_: Request) -> JSONResponse:
    return JSONResponse({"commit_sha": "unknown", "tag_name": "mooring", "multi_user": False})


async def _unimplemented(request: Request, _: Exception) -> Response:
    # grpc-gateway's word for a method that a path does not have.
    return render_error(request, ApiError(UNIMPLEMENTED, "Method Not Allowed"))


async def _refuse_other_origins(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    # A page of another site must not start programs through its visitor's browser.
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        return render_error(request, ApiError(PERMISSION_DENIED, f"requests from {origin!r} are refused"))
    return await call_next(request)
