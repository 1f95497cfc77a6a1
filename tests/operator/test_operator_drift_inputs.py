"""What is wrong with rows is said in a DriftMonitor's conditions, and what is right with them is judged all the same.

The runs that the operator asks for are made, of files below a folder that stands for the stores. One operator serves
the whole table.
"""

import numpy as np
import pyarrow as pa
import pytest

from tests.operator.real_drift import ROWS, columns, conditions, stored, watching  # noqa: F401

pytestmark = pytest.mark.asyncio(loop_scope="module")


def drifted(world):
    return {one["name"] for one in world.drift["evaluation"]["features"] if one["drifted"]}


def now(**others):
    """The window's columns, of which income has drifted."""
    return columns(1, moved=2, **others)


GAPS = np.full(ROWS, np.nan)
SOME_INFINITE = np.where(np.arange(ROWS) % 3 == 0, np.inf, np.random.default_rng(3).normal(size=ROWS))
# Columns of the window, those of the baseline, the features that drift, and what is said of the schema.
ODD_COLUMNS = {
    "a column vanished": (now(x=None), {}, {"income"}, "'x' vanished"),
    "a column has another name": (
        now(x=None, y=np.zeros(ROWS)),
        {},
        {"income"},
        "'x' vanished, 'y' is new",
    ),
    "a number became text": (now(x=["a"] * ROWS), {}, {"income"}, "'x' was double and is string"),
    "a number became a time": (
        now(x=pa.array(range(ROWS), pa.timestamp("us"))),
        {},
        {"income"},
        "'x' was double and is timestamp[us]",
    ),
    "a column is all NaN": (now(x=GAPS), {}, {"income", "x"}, ""),
    "a column is all NaN on both sides": (now(x=GAPS), {"x": GAPS}, {"income"}, ""),
    "a column is all null": (now(x=pa.nulls(ROWS)), {}, {"income", "x"}, ""),
    "a column has one value": (now(x=np.zeros(ROWS)), {}, {"income", "x"}, ""),
    "a column has one value on both sides": (now(x=np.ones(ROWS)), {"x": np.ones(ROWS)}, {"income"}, ""),
    "numbers became infinite": (now(x=SOME_INFINITE), {}, {"income", "x"}, ""),
    "numbers are infinite on both sides": (now(x=SOME_INFINITE), {"x": SOME_INFINITE}, {"income"}, ""),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
async def test_the_other_columns_are_judged(watching, name):  # noqa: F811
    window, before, moved, said = ODD_COLUMNS[name]
    await look_at_files(watching, name, columns(**before), window)
    assert watching.drift["phase"] == "Drifted"
    assert drifted(watching) == moved
    found = conditions(watching)
    assert found["Ready"]["status"] == "True"
    assert found["SchemaChanged"]["status"] == str(bool(said)) if said or "SchemaChanged" in found else True
    assert said in watching.drift["message"]


async def look_at_files(world, name, before, window, **spec):
    """Have a window compared with a baseline, of columns or of the bytes of a file; None for no file."""
    place = f"{name.replace(' ', '-')}"
    for side, content in (("baseline", before), ("window", window)):
        path = world.folder / "stores" / place / f"{side}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else stored(content))
    rows = {side: {"uri": f"s3://{place}/{side}.parquet"} for side in ("baseline", "window")}
    world.monitor(**{"interval": "1m", **rows, **spec})
    await world.check_drift()


# Baseline, window, more of the spec; phase, reason, and what is said.
NOTHING_TO_COMPARE = {
    "no baseline": (None, columns(), {}, "Failed", "BaselineUnreadable", "does not exist"),
    "no window": (columns(), None, {}, "Failed", "WindowUnreadable", "does not exist"),
    "an empty window": (
        columns(),
        columns(rows=0),
        {},
        "Watching",
        "InsufficientData",
        "the window has 0 rows; spec.minRows wants 100",
    ),
    "an empty baseline": (
        columns(rows=0),
        columns(),
        {},
        "Watching",
        "InsufficientData",
        "the baseline has 0 rows",
    ),
    "a window that is no Parquet": (
        columns(),
        b"nonsense",
        {},
        "Failed",
        "WindowUnreadable",
        "is not Parquet",
    ),
    "a window that is cut off": (
        columns(),
        stored(columns())[:-100],
        {},
        "Failed",
        "WindowUnreadable",
        "is not Parquet",
    ),
    "a window with a damaged number": (
        columns(),
        stored(columns(), damage=True),
        {},
        "Failed",
        "WindowUnreadable",
        "cannot be read",
    ),
    "a baseline with a damaged number": (
        stored(columns(), damage=True),
        columns(),
        {},
        "Failed",
        "BaselineUnreadable",
        "cannot be read",
    ),
    "rows of another model": (
        columns(),
        {"pixel": np.zeros(ROWS)},
        {},
        "Watching",
        "SchemaChanged",
        "no column could be compared; the schema changed: 'age' vanished",
    ),
    "a feature that nobody has": (
        columns(),
        columns(),
        {"features": ["weight"]},
        "Failed",
        "FeatureMissing",
        "'weight' is no column of the baseline; it has age, income, x",
    ),
    "a feature of lists": (
        {"many": [[1.0]] * ROWS},
        {"many": [[1.0]] * ROWS},
        {"features": ["many"]},
        "Failed",
        "TypeUnsupported",
        "'many' is list in the baseline; numbers, booleans, strings and times can be compared",
    ),
}


@pytest.mark.parametrize("name", NOTHING_TO_COMPARE)
async def test_what_cannot_be_compared_is_said(watching, name):  # noqa: F811
    before, window, spec, phase, reason, said = NOTHING_TO_COMPARE[name]
    await look_at_files(watching, name, before, window, **spec)
    assert (watching.drift["phase"], watching.drift["reason"]) == (phase, reason)
    assert said in watching.drift["message"]
    found = conditions(watching)
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == (str(phase != "Failed"), reason)
    assert found.get("Stalled", {}).get("reason") == (reason if phase == "Failed" else None)
    # The next look is made all the same.
    assert watching.drift["nextEvaluation"] > f"{watching.now:%Y-%m-%dT%H:%M:%SZ}"
