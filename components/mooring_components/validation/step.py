"""Validate data at an address by a schema, which is a text or at another address."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from mooring_artifacts.data_schema import DataSchema, is_address, parse_schema_text
from mooring_artifacts.digests import check_digest, manifest_digest
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import list_files, locate, stream

from mooring_components.formats import SUFFIXES
from mooring_components.parquet import find_files
from mooring_components.validation.report import DataReport, validate

FIELD = "data_schema"
_LARGEST_SCHEMA = 1 << 20


def validate_at(
    uri: str, schema: str, place: Path, now: datetime, *, expected_digest: str = ""
) -> DataReport:
    """Compare the file at `uri`, or all files of rows in that folder, with a schema.

    Args:
        uri: where the rows are; `expected_digest` is what they must be, where it is known.
        schema: a text of YAML or JSON, or the address of a file with it.
        place: an empty folder, to which files of stores are copied.
        now: what the age of rows is counted from.

    Raises:
        InputError: something cannot be read, the schema is none, or the digest is another.
    """
    wanted = read_schema(schema)
    rows = copy_rows(uri, place / "rows", "test_data_uri", expected_digest)
    training = wanted.training_data
    if training is None:
        return validate(rows, wanted, now)
    if training.uri.startswith("file:") and not uri.startswith("file:"):
        raise InputError(
            f"{FIELD}.trainingData.uri {training.uri!r:.200} is a file, and the test data is none"
        )
    seen = copy_rows(training.uri, place / "training", f"{FIELD}.trainingData.uri")
    return validate(rows, wanted, now, training=seen)


def read_schema(text: str) -> DataSchema:
    """The schema in a text, or in the file at an address.

    Raises:
        InputError: it cannot be read, or has another form.
    """
    if not is_address(text):
        return parse_schema_text(text, FIELD)
    location = locate(text, FIELD)
    files = list_files(location, FIELD)
    if len(files) != 1 or files[0].size > _LARGEST_SCHEMA:
        raise InputError(f"{FIELD} {text!r:.200} is not one file of at most {_LARGEST_SCHEMA >> 20} MiB")
    return parse_schema_text(b"".join(stream(location, files[0])), FIELD)


def copy_rows(uri: str, place: Path, field: str, expected_digest: str = "") -> Sequence[Path]:
    """Files of rows as plain files: where they are, or copied from a store or a version of a dataset to `place`.

    Raises:
        InputError: there are none, they cannot be read, or have another digest.
    """
    found = find_files(uri, field, set(SUFFIXES.values()))
    if found.location.address.scheme == "file" and not expected_digest and not found.sha256:
        return [Path("/", file.key) for file in found.files]
    paths, entries = [], []
    for file in found.files:
        target = place / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            entries.append(found.copy(file, out.write))
        paths.append(target)
    if expected_digest:
        check_digest(manifest_digest(entries), expected_digest, uri, "test_data_digest")
    return paths
