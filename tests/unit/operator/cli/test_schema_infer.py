"""``mooring schema infer`` prints a schema that a spec takes, or one line on why there is none."""

import json

import polars as pl
import pytest
from mooring_artifacts.data_schema import parse_schema, parse_schema_text

from tests.unit.cli_world import invoke


@pytest.fixture
def rows(tmp_path):
    pl.DataFrame({"age": [3, 4], "city": ["Bonn", None]}).write_parquet(tmp_path / "my rows.parquet")
    return tmp_path / "my rows.parquet"


def test_a_schema_is_printed_as_text_and_as_json(capsys, rows):
    code, out, err = invoke(capsys, "schema", "infer", str(rows))
    assert (code, err) == (0, "")
    schema = parse_schema_text(out)
    assert [(c.name, c.type, c.nulls) for c in schema.columns] == [
        ("age", "integer", 0),
        ("city", "string", 0.5),
    ]
    code, out, _ = invoke(capsys, "schema", "infer", rows.as_uri(), "-o", "json")
    assert (code, parse_schema(json.loads(out))) == (0, schema)


def test_a_schema_that_no_spec_holds_says_where_it_goes(capsys, tmp_path):
    pl.DataFrame({f"column{i}": [i] for i in range(60)}).write_csv(tmp_path / "wide.csv")
    code, out, err = invoke(capsys, "schema", "infer", str(tmp_path / "wide.csv"))
    assert (code, len(parse_schema_text(out).columns)) == (0, 60)
    assert "more than the 2048 that a spec holds" in " ".join(err.split())


@pytest.mark.parametrize("name", ["nothing.parquet", "notes.txt", ""])
def test_what_cannot_be_read_is_one_line(capsys, tmp_path, name):
    (tmp_path / "notes.txt").write_text("x")
    code, out, err = invoke(capsys, "schema", "infer", str(tmp_path / name))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err
