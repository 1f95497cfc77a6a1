"""List requests: page tokens, sorting by time, and the filters that clients use."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from mooring_pipelines.server.database import Database
from mooring_pipelines.server.errors import invalid

_DEFAULT_PAGE, _LARGEST_PAGE = 20, 200
_KEYS = {
    "experiments": "experiment_id",
    "pipelines": "pipeline_id",
    "pipeline_versions": "pipeline_version_id",
    "runs": "run_id",
}


def list_rows(
    database: Database,
    table: str,
    query: Mapping[str, str],
    filterable: Mapping[str, str],
    where: Mapping[str, str],
) -> tuple[list[sqlite3.Row], int, str]:
    """One page of `table`: its rows, the number of all that match, and the token of the next page.

    Args:
        database: where to look.
        table: a name of the schema, never a client's.
        query: the request's page_size, page_token, sort_by and filter.
        filterable: the columns by the names that a client's filter may use.
        where: columns and the values that they must have.

    Raises:
        ApiError: 400, a parameter that cannot be understood.
    """
    key = _KEYS[table]
    conditions, values = [f"{column} = ?" for column in where], list[object](where.values())
    for predicate in _predicates(query.get("filter", "")):
        condition, arguments = _condition(predicate, filterable)
        conditions.append(condition)
        values.extend(arguments)
    descending = _is_descending(query.get("sort_by", ""))
    matching = " AND ".join(conditions) or "1"
    total = database.rows(f"SELECT COUNT(*) FROM {table} WHERE {matching}", *values)[0][0]  # noqa: S608
    if token := query.get("page_token", ""):
        conditions.append(f"(created_at, {key}) {'<' if descending else '>'} (?, ?)")
        values.extend(_decode_token(token))
    matching, order = " AND ".join(conditions) or "1", "DESC" if descending else "ASC"
    size = _page_size(query.get("page_size", ""))
    # Times have no fractions; among those of one second the id decides, as in the real backend.
    statement = f"SELECT * FROM {table} WHERE {matching} ORDER BY created_at {order}, {key} {order} LIMIT ?"  # noqa: S608
    rows = database.rows(statement, *values, size + 1)
    more = len(rows) > size
    rows = rows[:size]
    return rows, total, _encode_token(rows[-1]["created_at"], rows[-1][key]) if more else ""


def _predicates(text: str) -> Sequence[Mapping[str, Any]]:
    if not text:
        return []
    try:
        predicates = json.loads(text).get("predicates", [])
    except (ValueError, AttributeError) as error:
        raise invalid(f"failed to parse filter {text!r}: {error}") from error
    if not isinstance(predicates, list) or not all(isinstance(p, dict) for p in predicates):
        raise invalid(f"failed to parse filter {text!r}: predicates must be a list of objects")
    return predicates


def _condition(predicate: Mapping[str, Any], filterable: Mapping[str, str]) -> tuple[str, list[str]]:
    key, operation = predicate.get("key", ""), predicate.get("operation", "")
    if key not in filterable:
        raise invalid(f"filter key {key!r} is not supported; supported are {', '.join(sorted(filterable))}")
    column = filterable[key]
    one = predicate.get("string_value", predicate.get("stringValue"))
    many = predicate.get("string_values", predicate.get("stringValues")) or {}
    match operation:
        case "EQUALS" if isinstance(one, str):
            return f"{column} = ? COLLATE NOCASE", [one]
        case "NOT_EQUALS" if isinstance(one, str):
            return f"{column} <> ? COLLATE NOCASE", [one]
        case "IS_SUBSTRING" if isinstance(one, str):
            return f"instr(lower({column}), lower(?)) > 0", [one]
        case "IN" if isinstance(many, dict) and isinstance(many.get("values"), list):
            values = [str(value) for value in many["values"]]
            return f"{column} COLLATE NOCASE IN ({', '.join('?' * len(values))})", values
    raise invalid(
        f"filter operation {operation!r} on {key!r} is not supported; supported are EQUALS, NOT_EQUALS, "
        "IS_SUBSTRING with string_value and IN with string_values"
    )


def _is_descending(sort_by: str) -> bool:
    field, _, order = sort_by.strip().partition(" ")
    if field not in ("", "created_at") or order.strip().lower() not in ("", "asc", "desc"):
        raise invalid(f"sort_by {sort_by!r} is not supported; use 'created_at asc' or 'created_at desc'")
    return order.strip().lower() == "desc"


def _page_size(text: str) -> int:
    if not text:
        return _DEFAULT_PAGE
    if not text.isdecimal():
        raise invalid(f"page_size {text!r} is not allowed: write a number from 0 to {_LARGEST_PAGE}")
    return min(int(text), _LARGEST_PAGE) or _DEFAULT_PAGE


def _encode_token(created_at: int, key: str) -> str:
    token = {"SortByFieldName": "CreatedAtInSec", "SortByFieldValue": created_at, "KeyFieldValue": key}
    return base64.b64encode(json.dumps(token).encode()).decode()


def _decode_token(token: str) -> tuple[int, str]:
    try:
        found = json.loads(base64.b64decode(token.encode(), validate=True))
        return int(found["SortByFieldValue"]), str(found["KeyFieldValue"])
    except (ValueError, KeyError, TypeError) as error:
        raise invalid(f"page_token {token!r} is not one of this server") from error
