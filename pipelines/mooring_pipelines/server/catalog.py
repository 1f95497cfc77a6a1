"""Experiments, pipelines and their versions in the database."""

from __future__ import annotations

import sqlite3
import uuid

from mooring_pipelines.server.database import Database, now
from mooring_pipelines.server.errors import ALREADY_EXISTS, ApiError, failed, invalid, not_found

DEFAULT_EXPERIMENT = "Default"
_LONGEST_PIPELINE_NAME = 128


class Catalog:
    """Creates and finds what runs refer to. Names are unique but for their case, as in the real backend.

    There is one user: a namespace is accepted and dropped.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_experiment(self, name: str, description: str = "") -> sqlite3.Row:
        """Add an experiment.

        Raises:
            ApiError: 400 no name; 409 the name is taken.
        """
        if not name:
            raise invalid("Experiment name is empty. Please specify a valid experiment name")
        key = self._insert(
            "experiment",
            "experiments",
            experiment_id=_new_id(),
            display_name=name,
            description=description,
            namespace="",
            created_at=now(),
        )
        return self._get("Experiment", "experiments", "experiment_id", key)

    def get_experiment(self, experiment_id: str) -> sqlite3.Row:
        """One experiment.

        Raises:
            ApiError: 404.
        """
        return self._get("Experiment", "experiments", "experiment_id", experiment_id)

    def default_experiment(self) -> str:
        """The id of the experiment of runs that name none; created when missing."""
        query = "SELECT experiment_id FROM experiments WHERE display_name = ? AND namespace = ''"
        row = self._database.row(query, DEFAULT_EXPERIMENT)
        row = row or self.create_experiment(
            DEFAULT_EXPERIMENT, "All runs created without specifying an experiment."
        )
        return str(row["experiment_id"])

    def create_pipeline(self, name: str, display_name: str = "", description: str = "") -> sqlite3.Row:
        """Add a pipeline without versions.

        Raises:
            ApiError: 400 no name; 409 the name is taken; 500 the name is too long.
        """
        if not name:
            raise invalid("pipeline's name cannot be empty")
        if len(name) > _LONGEST_PIPELINE_NAME:
            raise failed(f"the pipeline's name has {len(name)} characters; {_LONGEST_PIPELINE_NAME} fit")
        key = self._insert(
            "pipeline",
            "pipelines",
            pipeline_id=_new_id(),
            name=name,
            display_name=display_name or name,
            description=description,
            namespace="",
            created_at=now(),
        )
        return self.get_pipeline(key)

    def get_pipeline(self, pipeline_id: str) -> sqlite3.Row:
        """One pipeline.

        Raises:
            ApiError: 404.
        """
        return self._get("Pipeline", "pipelines", "pipeline_id", pipeline_id)

    def find_pipeline(self, name: str) -> sqlite3.Row:
        """One pipeline by its name, whatever its case.

        Raises:
            ApiError: 404.
        """
        row = self._database.row("SELECT * FROM pipelines WHERE name = ? COLLATE NOCASE", name)
        if row is None:
            raise not_found("Pipeline", name)
        return row

    def delete_pipeline(self, pipeline_id: str, *, cascade: bool) -> None:
        """Forget a pipeline, and its versions with `cascade`.

        Raises:
            ApiError: 404; 400 it has versions.
        """
        self.get_pipeline(pipeline_id)
        versions = "SELECT 1 FROM pipeline_versions WHERE pipeline_id = ?"
        if not cascade and self._database.row(versions, pipeline_id) is not None:
            raise invalid(f"pipeline {pipeline_id} has versions; delete them first, or say cascade=true")
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM pipelines WHERE pipeline_id = ?", (pipeline_id,))

    def delete_version(self, pipeline_id: str, version_id: str) -> None:
        """Forget a version.

        Raises:
            ApiError: 404.
        """
        self.get_version(pipeline_id, version_id)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM pipeline_versions WHERE pipeline_version_id = ?", (version_id,))

    def delete_experiment(self, experiment_id: str) -> None:
        """Forget an experiment; its runs stay.

        Raises:
            ApiError: 404.
        """
        self.get_experiment(experiment_id)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM experiments WHERE experiment_id = ?", (experiment_id,))

    def create_version(
        self, pipeline_id: str, name: str, spec: str, display_name: str = "", description: str = ""
    ) -> sqlite3.Row:
        """Add a version to a pipeline; `spec` is a normalized pipeline spec.

        Raises:
            ApiError: 400 no such pipeline; 409 the name is taken.
        """
        if self._database.row("SELECT 1 FROM pipelines WHERE pipeline_id = ?", pipeline_id) is None:
            raise invalid(f"Failed to create a pipeline version: pipeline {pipeline_id} does not exist")
        key = self._insert(
            "pipeline version",
            "pipeline_versions",
            pipeline_version_id=_new_id(),
            pipeline_id=pipeline_id,
            name=name,
            display_name=display_name or name,
            description=description,
            spec=spec,
            created_at=now(),
        )
        return self.get_version(pipeline_id, key)

    def get_version(self, pipeline_id: str, version_id: str) -> sqlite3.Row:
        """One version; an empty `pipeline_id` stands for any pipeline.

        Raises:
            ApiError: 404.
        """
        row = self._get("PipelineVersion", "pipeline_versions", "pipeline_version_id", version_id)
        if pipeline_id not in ("", row["pipeline_id"]):
            raise not_found("PipelineVersion", version_id)
        return row

    def latest_version(self, pipeline_id: str) -> sqlite3.Row:
        """The version that was added last.

        Raises:
            ApiError: 404.
        """
        query = "SELECT * FROM pipeline_versions WHERE pipeline_id = ? ORDER BY seq DESC"
        row = self._database.row(query, pipeline_id)
        if row is None:
            raise not_found("PipelineVersion", pipeline_id)
        return row

    def _insert(self, kind: str, table: str, **columns: str | int) -> str:
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        try:
            with self._database.transaction() as connection:
                connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values()))  # noqa: S608
        except sqlite3.IntegrityError as error:
            name = columns.get("name", columns.get("display_name"))
            message = (
                f"Failed to create a new {kind}. The name {name} already exists. Please specify a new name"
            )
            raise ApiError(ALREADY_EXISTS, message) from error
        return str(next(iter(columns.values())))

    def _get(self, kind: str, table: str, column: str, value: str) -> sqlite3.Row:
        row = self._database.row(f"SELECT * FROM {table} WHERE {column} = ?", value)  # noqa: S608
        if row is None:
            raise not_found(kind, value)
        return row


def _new_id() -> str:
    return str(uuid.uuid4())
