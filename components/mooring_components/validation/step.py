"""Validate data at an address by a schema at another one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from mooring_artifacts.data_schema import DataSchema, parse_schema
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import list_files, locate, stream

from mooring_components.validation.report import DataReport, validate
from mooring_components.validation.sources import kind_of_file

_LARGEST_SCHEMA = 4 << 20


def validate_at(uri: str, schema_uri: str, place: Path, now: datetime) -> DataReport:
    """Compare the file at `uri`, or all files of rows in that folder, with the schema at `schema_uri`.

    Files of stores are copied to `place`, an empty folder.

    Raises:
        InputError: something cannot be read, or the schema is none.
    """
    schema = read_schema(schema_uri)
    return validate(list(_files(uri, place)), schema, now)


def read_schema(uri: str) -> DataSchema:
    """The schema in a JSON file.

    Raises:
        InputError: it cannot be read, or has another form.
    """
    location = locate(uri, "data_schema_uri")
    files = list_files(location, "data_schema_uri")
    if len(files) != 1 or files[0].size > _LARGEST_SCHEMA:
        raise InputError(f"data_schema_uri {uri!r} is not one file of at most {_LARGEST_SCHEMA >> 20} MiB")
    try:
        document = json.loads(b"".join(stream(location, files[0])))
    except (ValueError, RecursionError) as error:
        raise InputError(f"data_schema_uri {uri!r} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"data_schema_uri {uri!r} is not a JSON object")
    return parse_schema(document, "data_schema")


def _files(uri: str, place: Path) -> Iterator[Path]:
    location = locate(uri, "test_data_uri")
    files = list_files(location, "test_data_uri")
    if len(files) > 1 or files[0].key != location.address.key:
        files = [file for file in files if kind_of_file(file.path)]
    if not files:
        raise InputError(f"test_data_uri {uri!r} is a folder without files of rows")
    for file in files:
        if location.address.scheme == "file":
            yield Path("/", file.key)
            continue
        target = place / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            for chunk in stream(location, file):
                out.write(chunk)
        yield target
