"""The REST API of runs, and two reading extensions: `runs/ID:tasks` and `runs/ID:logs`."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import uuid
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from mooring_pipelines.server.catalog import Catalog
from mooring_pipelines.server.database import Database
from mooring_pipelines.server.errors import ApiError, failed, invalid
from mooring_pipelines.server.json_bodies import RUN_FIELDS, read_object, text_field, timestamp
from mooring_pipelines.server.listing import list_rows
from mooring_pipelines.server.runs import NewRun, Runs, is_active
from mooring_pipelines.server.specs import check_parameters, normalize_spec
from mooring_pipelines.server.supervisor import Supervisor

_RUNS = "/apis/v2beta1/runs"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_LOG_BYTES = 256 * 1024
_LONGEST_NAME, _LARGEST_CHARACTER = 255, "\uffff"
_RENDERED = ("system.Markdown", "system.HTML")


class RunsApi:
    """Handlers; each turns a request into calls of `Runs` and `Supervisor`."""

    def __init__(self, database: Database, catalog: Catalog, runs: Runs, supervisor: Supervisor) -> None:
        self._database = database
        self._catalog = catalog
        self._runs = runs
        self._supervisor = supervisor

    def routes(self) -> list[Route]:
        """All routes, the special before the general."""
        run = f"{_RUNS}/{{run_id}}"
        return [
            Route(_RUNS, self.create, methods=["POST"]),
            Route(_RUNS, self.list_runs),
            Route(f"{run}:terminate", self.terminate, methods=["POST"]),
            Route(f"{run}:retry", self.retry, methods=["POST"]),
            Route(f"{run}:archive", self.archive, methods=["POST"]),
            Route(f"{run}:unarchive", self.unarchive, methods=["POST"]),
            Route(f"{run}:logs", self.logs),
            Route(f"{run}:tasks", self.tasks),
            Route(run, self.get),
            Route(run, self.delete, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> JSONResponse:
        """POST runs: queue a run; a `run_id` in the body is honoured."""
        body = await read_object(request, RUN_FIELDS)
        if not (display_name := text_field(body, "display_name")):
            raise invalid("The run name is empty. Please specify a valid name")
        # The real backend makes the Workflow, and then cannot store the row.
        if len(display_name) > _LONGEST_NAME or max(display_name) > _LARGEST_CHARACTER:
            raise failed(f"a run's name has {_LONGEST_NAME} characters of three bytes of UTF-8 at most")
        run_id = text_field(body, "run_id") or str(uuid.uuid4())
        if not _RUN_ID.fullmatch(run_id):
            raise failed(f"run_id {run_id!r} is no label's value: use a UUID")
        try:
            pipeline_id, version_id, spec = self._source(body)
        except ApiError as error:
            # Whatever is wrong with it, the real backend's attempt to read it fails.
            raise failed(f"the run's pipeline cannot be read: {error.message}") from error
        config = body.get("runtime_config") or {}
        parameters = config.get("parameters") or {} if isinstance(config, dict) else None
        if not isinstance(parameters, dict):
            raise invalid("runtime_config.parameters must be an object")
        check_parameters(spec, parameters)
        # The query parameter is what the API documents now, the field what it did before.
        experiment_id = request.query_params.get("experiment_id") or text_field(body, "experiment_id")
        if experiment_id:
            self._catalog.get_experiment(experiment_id)
        row = self._runs.create(
            NewRun(
                run_id=run_id,
                display_name=display_name,
                description=text_field(body, "description"),
                experiment_id=experiment_id or self._catalog.default_experiment(),
                service_account=text_field(body, "service_account"),
                pipeline_id=pipeline_id,
                pipeline_version_id=version_id,
                spec=spec,
                parameters=json.dumps(parameters),
            )
        )
        self._supervisor.fill()
        return JSONResponse(_run(row))

    async def list_runs(self, request: Request) -> JSONResponse:
        """GET runs."""
        query = request.query_params
        columns = {
            name: name for name in ("run_id", "display_name", "state", "storage_state", "experiment_id")
        }
        where = {"experiment_id": query["experiment_id"]} if query.get("experiment_id") else {}
        rows, total, token = list_rows(
            self._database, "runs", query, {**columns, "name": "display_name"}, where
        )
        page = {"runs": [_run(row) for row in rows], "total_size": total, "next_page_token": token}
        return JSONResponse({key: value for key, value in page.items() if value})

    async def get(self, request: Request) -> JSONResponse:
        """GET runs/ID."""
        return JSONResponse(_run(self._runs.get(request.path_params["run_id"])))

    async def terminate(self, request: Request) -> JSONResponse:
        """POST runs/ID:terminate."""
        self._supervisor.cancel(request.path_params["run_id"])
        return JSONResponse({})

    async def retry(self, request: Request) -> JSONResponse:
        """POST runs/ID:retry."""
        self._runs.retry(request.path_params["run_id"])
        self._supervisor.fill()
        return JSONResponse({})

    async def archive(self, request: Request) -> JSONResponse:
        """POST runs/ID:archive."""
        self._runs.set_storage_state(request.path_params["run_id"], "ARCHIVED")
        return JSONResponse({})

    async def unarchive(self, request: Request) -> JSONResponse:
        """POST runs/ID:unarchive."""
        self._runs.set_storage_state(request.path_params["run_id"], "AVAILABLE")
        return JSONResponse({})

    async def delete(self, request: Request) -> JSONResponse:
        """DELETE runs/ID, with its files; a run under way is terminated."""
        run_id = request.path_params["run_id"]
        if self._runs.get(run_id)["state"] in ("PENDING", "RUNNING"):
            self._supervisor.cancel(run_id)
        self._runs.delete(run_id)
        shutil.rmtree(self._supervisor.run_folder(run_id), ignore_errors=True)
        return JSONResponse({})

    async def logs(self, request: Request) -> PlainTextResponse:
        """GET runs/ID:logs: the end of what the run wrote, as plain text."""
        run_id = request.path_params["run_id"]
        self._runs.get(run_id)
        return PlainTextResponse(_read_end(self._supervisor.run_folder(run_id) / "log.txt"))

    async def tasks(self, request: Request) -> JSONResponse:
        """GET runs/ID:tasks: the tasks with their states, times, errors and outputs."""
        run_id = request.path_params["run_id"]
        self._runs.get(run_id)
        folder = self._supervisor.run_folder(run_id).resolve()
        return JSONResponse({"tasks": [_task(row, folder) for row in self._runs.tasks(run_id)]})

    def _source(self, body: dict[str, Any]) -> tuple[str, str, str]:
        """(pipeline id, version id, spec): of a reference, or an inline spec without ids."""
        reference = body.get("pipeline_version_reference")
        if body.get("pipeline_spec"):
            return "", "", normalize_spec(body["pipeline_spec"])
        if not isinstance(reference, dict):
            raise invalid("the run has neither pipeline_spec nor pipeline_version_reference")
        pipeline_id = text_field(reference, "pipeline_id")
        version_id = text_field(reference, "pipeline_version_id")
        if version_id:
            version = self._catalog.get_version(pipeline_id, version_id)
        else:
            version = self._catalog.latest_version(pipeline_id)
        return version["pipeline_id"], version["pipeline_version_id"], version["spec"]


def _run(row: sqlite3.Row) -> dict[str, Any]:
    run: dict[str, Any] = {
        key: row[key]
        for key in (
            "experiment_id",
            "run_id",
            "display_name",
            "storage_state",
            "description",
            "service_account",
        )
        if row[key]
    }
    run["state"] = row["state"]
    run["created_at"] = run["scheduled_at"] = timestamp(row["created_at"])
    # As the real server: a run that has not ended ended in 1970.
    run["finished_at"] = timestamp(row["finished_at"])
    run["state_history"] = [
        {"update_time": timestamp(entry["update_time"]), "state": entry["state"]}
        for entry in json.loads(row["history"])
    ]
    if parameters := json.loads(row["parameters"]):
        run["runtime_config"] = {"parameters": parameters}
    if row["pipeline_version_id"]:
        run["pipeline_version_reference"] = {
            "pipeline_id": row["pipeline_id"],
            "pipeline_version_id": row["pipeline_version_id"],
        }
    else:
        run["pipeline_spec"] = json.loads(row["spec"])
    if row["error"] and not is_active(row["state"]):
        run["error"] = {"code": 2, "message": row["error"]}
    return run


def _task(row: sqlite3.Row, folder: Path) -> dict[str, Any]:
    outputs = json.loads(row["outputs"])
    for output in outputs.values():
        if isinstance(output, dict) and output.get("artifact") in _RENDERED:
            path = Path(output["uri"]).resolve()
            # An artifact may have been given any URI; only the run's own files are shown.
            if path.is_relative_to(folder) and path.is_file():
                output["text"] = _read_end(path)
    times = {"started_at": row["started_at"], "finished_at": row["finished_at"]}
    return {"name": row["name"], "state": row["state"], **times, "error": row["error"], "outputs": outputs}


def _read_end(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
