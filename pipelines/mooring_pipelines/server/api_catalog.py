"""The REST API of experiments, pipelines and pipeline versions."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mooring_pipelines.server.catalog import Catalog
from mooring_pipelines.server.database import Database
from mooring_pipelines.server.errors import invalid
from mooring_pipelines.server.json_bodies import (
    EXPERIMENT_FIELDS,
    PIPELINE_FIELDS,
    VERSION_FIELDS,
    read_object,
    text_field,
    timestamp,
)
from mooring_pipelines.server.listing import list_rows
from mooring_pipelines.server.multipart import read_upload
from mooring_pipelines.server.specs import normalize_spec, parse_upload, pipeline_name

_PREFIX = "/apis/v2beta1"


class CatalogApi:
    """Handlers; each turns a request into one call of `Catalog`."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    def routes(self) -> list[Route]:
        """All routes, the special before the general."""
        pipeline, versions = (
            f"{_PREFIX}/pipelines/{{pipeline_id}}",
            f"{_PREFIX}/pipelines/{{pipeline_id}}/versions",
        )
        return [
            Route(f"{_PREFIX}/experiments", self.create_experiment, methods=["POST"]),
            Route(f"{_PREFIX}/experiments", self.list_experiments),
            Route(f"{_PREFIX}/experiments/{{experiment_id}}", self.get_experiment),
            Route(f"{_PREFIX}/experiments/{{experiment_id}}", self.delete_experiment, methods=["DELETE"]),
            Route(f"{_PREFIX}/pipelines/upload", self.upload_pipeline, methods=["POST"]),
            Route(f"{_PREFIX}/pipelines/upload_version", self.upload_version, methods=["POST"]),
            Route(f"{_PREFIX}/pipelines", self.create_pipeline, methods=["POST"]),
            Route(f"{_PREFIX}/pipelines", self.list_pipelines),
            Route(f"{_PREFIX}/pipelines/names/{{name}}", self.find_pipeline),
            Route(versions, self.create_version, methods=["POST"]),
            Route(versions, self.list_versions),
            Route(f"{versions}/{{version_id}}", self.get_version),
            Route(f"{versions}/{{version_id}}", self.delete_version, methods=["DELETE"]),
            Route(pipeline, self.get_pipeline),
            Route(pipeline, self.delete_pipeline, methods=["DELETE"]),
        ]

    async def create_experiment(self, request: Request) -> JSONResponse:
        """POST experiments."""
        body = await read_object(request, EXPERIMENT_FIELDS)
        row = self._catalog.create_experiment(
            text_field(body, "display_name"), text_field(body, "description")
        )
        return JSONResponse(_experiment(row))

    async def list_experiments(self, request: Request) -> JSONResponse:
        """GET experiments."""
        names = {"name": "display_name", "display_name": "display_name"}
        rows, total, token = list_rows(self._database, "experiments", request.query_params, names, {})
        return _page("experiments", [_experiment(row) for row in rows], total, token)

    async def get_experiment(self, request: Request) -> JSONResponse:
        """GET experiments/ID."""
        return JSONResponse(_experiment(self._catalog.get_experiment(request.path_params["experiment_id"])))

    async def delete_experiment(self, request: Request) -> JSONResponse:
        """DELETE experiments/ID."""
        self._catalog.delete_experiment(request.path_params["experiment_id"])
        return JSONResponse({})

    async def upload_pipeline(self, request: Request) -> JSONResponse:
        """POST pipelines/upload: a pipeline and its first version, of the same name."""
        spec = parse_upload(read_upload(request.headers.get("content-type", ""), await request.body()))
        query = request.query_params
        name = query.get("name") or query.get("display_name") or pipeline_name(spec)
        display_name, description = query.get("display_name") or name, query.get("description", "")
        pipeline = self._catalog.create_pipeline(name, display_name, description)
        self._catalog.create_version(pipeline["pipeline_id"], name, spec, display_name, description)
        return JSONResponse(_pipeline(pipeline))

    async def upload_version(self, request: Request) -> JSONResponse:
        """POST pipelines/upload_version?pipelineid=ID&name=NAME."""
        spec = parse_upload(read_upload(request.headers.get("content-type", ""), await request.body()))
        query = request.query_params
        if not query.get("pipelineid"):
            raise invalid("Failed to create a pipeline version: the query parameter pipelineid is missing")
        name = query.get("name") or query.get("display_name") or pipeline_name(spec)
        row = self._catalog.create_version(
            query["pipelineid"], name, spec, query.get("display_name", ""), query.get("description", "")
        )
        return JSONResponse(_version(row))

    async def create_pipeline(self, request: Request) -> JSONResponse:
        """POST pipelines."""
        body = await read_object(request, PIPELINE_FIELDS)
        name = text_field(body, "name") or text_field(body, "display_name")
        row = self._catalog.create_pipeline(
            name, text_field(body, "display_name"), text_field(body, "description")
        )
        return JSONResponse(_pipeline(row))

    async def list_pipelines(self, request: Request) -> JSONResponse:
        """GET pipelines."""
        names = {"name": "name", "display_name": "display_name", "pipeline_id": "pipeline_id"}
        rows, total, token = list_rows(self._database, "pipelines", request.query_params, names, {})
        return _page("pipelines", [_pipeline(row) for row in rows], total, token)

    async def find_pipeline(self, request: Request) -> JSONResponse:
        """GET pipelines/names/NAME."""
        return JSONResponse(_pipeline(self._catalog.find_pipeline(request.path_params["name"])))

    async def get_pipeline(self, request: Request) -> JSONResponse:
        """GET pipelines/ID."""
        return JSONResponse(_pipeline(self._catalog.get_pipeline(request.path_params["pipeline_id"])))

    async def delete_pipeline(self, request: Request) -> JSONResponse:
        """DELETE pipelines/ID, with its versions where cascade=true."""
        cascade = request.query_params.get("cascade") == "true"
        self._catalog.delete_pipeline(request.path_params["pipeline_id"], cascade=cascade)
        return JSONResponse({})

    async def create_version(self, request: Request) -> JSONResponse:
        """POST pipelines/ID/versions with an inline pipeline spec."""
        body = await read_object(request, VERSION_FIELDS)
        spec = normalize_spec(body.get("pipeline_spec"))
        name = text_field(body, "name") or text_field(body, "display_name") or pipeline_name(spec)
        row = self._catalog.create_version(
            request.path_params["pipeline_id"],
            name,
            spec,
            text_field(body, "display_name"),
            text_field(body, "description"),
        )
        return JSONResponse(_version(row))

    async def list_versions(self, request: Request) -> JSONResponse:
        """GET pipelines/ID/versions."""
        self._catalog.get_pipeline(request.path_params["pipeline_id"])
        names = {"name": "name", "display_name": "display_name"}
        where = {"pipeline_id": request.path_params["pipeline_id"]}
        rows, total, token = list_rows(
            self._database, "pipeline_versions", request.query_params, names, where
        )
        return _page("pipeline_versions", [_version(row) for row in rows], total, token)

    async def get_version(self, request: Request) -> JSONResponse:
        """GET pipelines/ID/versions/ID."""
        path = request.path_params
        return JSONResponse(_version(self._catalog.get_version(path["pipeline_id"], path["version_id"])))

    async def delete_version(self, request: Request) -> JSONResponse:
        """DELETE pipelines/ID/versions/ID."""
        path = request.path_params
        self._catalog.delete_version(path["pipeline_id"], path["version_id"])
        return JSONResponse({})


def _page(name: str, items: list[dict[str, Any]], total: int, token: str) -> JSONResponse:
    # The real server leaves out what is empty or zero.
    page = {name: items, "total_size": total, "next_page_token": token}
    return JSONResponse({key: value for key, value in page.items() if value})


def _experiment(row: sqlite3.Row) -> dict[str, Any]:
    time = timestamp(row["created_at"])
    keys = ("experiment_id", "display_name", "description", "namespace")
    return {**_filled(row, *keys), "created_at": time, "storage_state": "AVAILABLE"}


def _pipeline(row: sqlite3.Row) -> dict[str, Any]:
    keys = ("pipeline_id", "name", "display_name", "description", "namespace")
    return {**_filled(row, *keys), "created_at": timestamp(row["created_at"])}


def _version(row: sqlite3.Row) -> dict[str, Any]:
    keys = ("pipeline_id", "pipeline_version_id", "name", "display_name", "description")
    created = timestamp(row["created_at"])
    return {**_filled(row, *keys), "created_at": created, "pipeline_spec": json.loads(row["spec"])}


def _filled(row: sqlite3.Row, *keys: str) -> dict[str, Any]:
    return {key: row[key] for key in keys if row[key]}
