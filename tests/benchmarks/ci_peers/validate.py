"""Validate the columns that `ci.py` wrote with pandera on pandas, or with Great Expectations.

    python validate.py pandera|great_expectations FILE

Prints one JSON object: CPU seconds without imports, and how many kinds of dirt were found.
"""

import json
import sys
import time
from typing import Any

import pandas as pd


def pandera(rows: pd.DataFrame) -> int:
    """Count the columns at fault."""
    import pandera.errors
    import pandera.pandas as pa

    def column(name: str) -> Any:
        if name.startswith("i"):
            return pa.Column("Int64", pa.Check.in_range(0, 1000), nullable=False)
        if name.startswith("f"):
            return pa.Column(float, pa.Check.in_range(-10, 10), nullable=False)
        return pa.Column(str, pa.Check.isin(["a", "b", "c"]), nullable=False)

    try:
        pa.DataFrameSchema({name: column(name) for name in rows.columns}).validate(rows, lazy=True)
    except pandera.errors.SchemaErrors as error:
        return int(error.failure_cases["column"].nunique())
    return 0


def great_expectations(rows: pd.DataFrame) -> int:
    """Count the columns at fault."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    batch = (
        context.data_sources.add_pandas("p")
        .add_dataframe_asset("a")
        .add_batch_definition_whole_dataframe("b")
    )
    suite = gx.ExpectationSuite(name="s")
    for name in rows.columns:
        suite.add_expectation(gx.expectations.ExpectColumnValuesToNotBeNull(column=name))
        if name.startswith("s"):
            suite.add_expectation(
                gx.expectations.ExpectColumnValuesToBeInSet(column=name, value_set=["a", "b", "c"])
            )
        else:
            low, high = (0, 1000) if name.startswith("i") else (-10, 10)
            suite.add_expectation(
                gx.expectations.ExpectColumnValuesToBeBetween(column=name, min_value=low, max_value=high)
            )
    found = batch.get_batch({"dataframe": rows}).validate(suite)
    failed = (each for each in found.results if not each.success)
    return len({each.expectation_config.kwargs["column"] for each in failed})


def main() -> None:
    """Measure one engine; what it imports before its first rows does not count."""
    engine = {"pandera": pandera, "great_expectations": great_expectations}[sys.argv[1]]
    engine(pd.DataFrame({"i0": pd.array([1], "Int64"), "f0": [0.5], "s0": ["a"]}))
    began = time.process_time()
    found = engine(pd.read_parquet(sys.argv[2], dtype_backend="numpy_nullable"))
    print(json.dumps({"cpuSeconds": time.process_time() - began, "columnsAtFault": found}))


if __name__ == "__main__":
    main()
