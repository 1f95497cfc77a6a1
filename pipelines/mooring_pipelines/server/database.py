"""The SQLite database behind the server: one file, WAL, written by the server and by runs."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Names differ by more than case, as in the real backend's MySQL.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS experiments (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, experiment_id TEXT UNIQUE NOT NULL, display_name TEXT NOT NULL,
    description TEXT NOT NULL, namespace TEXT NOT NULL, created_at INTEGER NOT NULL,
    UNIQUE (display_name COLLATE NOCASE, namespace));
CREATE TABLE IF NOT EXISTS pipelines (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, pipeline_id TEXT UNIQUE NOT NULL, name TEXT NOT NULL,
    display_name TEXT NOT NULL, description TEXT NOT NULL, namespace TEXT NOT NULL, created_at INTEGER NOT NULL,
    UNIQUE (name COLLATE NOCASE, namespace));
CREATE TABLE IF NOT EXISTS pipeline_versions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, pipeline_version_id TEXT UNIQUE NOT NULL,
    pipeline_id TEXT NOT NULL REFERENCES pipelines (pipeline_id) ON DELETE CASCADE, name TEXT NOT NULL,
    display_name TEXT NOT NULL, description TEXT NOT NULL, spec TEXT NOT NULL, created_at INTEGER NOT NULL,
    UNIQUE (pipeline_id, name COLLATE NOCASE));
CREATE TABLE IF NOT EXISTS runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT UNIQUE NOT NULL, display_name TEXT NOT NULL,
    description TEXT NOT NULL, experiment_id TEXT NOT NULL, service_account TEXT NOT NULL,
    pipeline_id TEXT NOT NULL, pipeline_version_id TEXT NOT NULL, spec TEXT NOT NULL, parameters TEXT NOT NULL,
    state TEXT NOT NULL, storage_state TEXT NOT NULL DEFAULT 'AVAILABLE', error TEXT NOT NULL DEFAULT '',
    history TEXT NOT NULL, created_at INTEGER NOT NULL, finished_at INTEGER NOT NULL DEFAULT 0,
    pid INTEGER NOT NULL DEFAULT 0, pid_started INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS runs_by_state ON runs (state);
CREATE TABLE IF NOT EXISTS tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    run_id TEXT NOT NULL REFERENCES runs (run_id) ON DELETE CASCADE, name TEXT NOT NULL, state TEXT NOT NULL,
    started_at REAL NOT NULL, finished_at REAL, error TEXT NOT NULL DEFAULT '', outputs TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS tasks_by_run ON tasks (run_id);
"""


class Database:
    """Connections to one database file; every block of `transaction` is atomic."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        # A killed process loses no committed row; only a power cut could, and it would also kill the runs.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")

    def create_tables(self) -> None:
        """Create what is missing."""
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed at the end of the block, rolled back by an exception."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, query: str, *parameters: object) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self._connection.execute(query, parameters).fetchall()

    def row(self, query: str, *parameters: object) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        found: sqlite3.Row | None = self._connection.execute(query, parameters).fetchone()
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def now() -> int:
    """Seconds since the epoch: KFP's times have no fractions."""
    return int(time.time())
