"""What was declared decides whether numbers are categories; few integers are compared both ways."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mooring_artifacts.feature_settings import FeatureSettings
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.report import make_report
from mooring_components.drift.rows import declared_schema

CODES = 50
CALM = np.full(CODES, 1 / CODES)
# Every other code is rarer: a total variation of .25 that leaves the distribution function nearly as it was.
MOVED = CALM + np.tile([0.01, -0.01], CODES // 2)


def draw(shares, rows, seed, first=100):
    return np.random.default_rng(seed).choice(CODES, rows, p=shares).astype(np.int64) + first


def found(before, now, categories=()):
    [feature] = evaluate(
        pa.table({"code": before}),
        pa.table({"code": now}),
        None,
        100,
        Detectors(),
        FeatureSettings(categories=categories),
    ).features
    return feature


def integers(values):
    return pa.array(values)


def dictionary(values):
    return pa.array(values).dictionary_encode()


STORED = {
    "integers": integers,
    "small integers": lambda values: pa.array(values.astype(np.uint8)),
    "single floats": lambda values: pa.array(values.astype(np.float32)),
    "decimals": lambda values: pa.array(values).cast(pa.decimal128(25, 0)),
    "dictionary": dictionary,
    "text": lambda values: pa.array([str(value) for value in values]),
}


@pytest.mark.parametrize("rows", [600, 5000])
@pytest.mark.parametrize("kind", STORED)
def test_codes_that_are_drawn_differently_are_found_however_they_are_stored(kind, rows):
    store = STORED[kind]
    before = store(draw(CALM, 20_000, 1))
    assert found(before, store(draw(MOVED, rows, 2))).drifted
    assert not found(before, store(draw(CALM, rows, 3))).drifted


def test_few_integers_get_both_tests_and_a_hint():
    before = integers(draw(CALM, 20_000, 1))
    feature = found(before, integers(draw(MOVED, 2000, 2)))
    assert (feature.kind, feature.ks[0] < 0.06) == ("number", True)
    assert feature.variation[0] == pytest.approx(0.25, abs=0.05)
    assert feature.hint == "50 different integers: name the column in spec.categories if they are codes"


@pytest.mark.parametrize("values", [np.arange(2000) % 2, np.arange(2000) % 300, np.arange(2000) % 50 + 0.5])
def test_two_or_many_integers_and_fractions_are_numbers_without_a_hint(values):
    values = np.random.default_rng(6).permutation(values)
    feature = found(values, values[:1000])
    assert (feature.kind, feature.variation, feature.hint) == ("number", None, "")


def test_integers_that_are_ordered_are_still_compared_as_numbers():
    rng = np.random.default_rng(3)
    before, now = rng.poisson(10, 20_000), rng.poisson(10.7, 1000)
    feature = found(before, now)
    assert feature.drifted
    assert "distance" in feature.reason or "rank" in feature.reason


@pytest.mark.parametrize("sides", [(dictionary, integers), (integers, dictionary)])
def test_a_dictionary_on_one_side_declares_both(sides):
    before, now = (store(draw(CALM, 2000, seed)) for seed, store in enumerate(sides))
    feature = found(before, now)
    assert (feature.kind, feature.drifted, feature.hint) == ("category", False, "")


def test_what_the_resource_declares_is_a_category_whatever_its_type():
    before, now = draw(CALM, 20_000, 1) * 1.0, draw(MOVED, 2000, 2).astype(np.float32)
    feature = found(before, now, {"code"})
    assert (feature.kind, feature.drifted) == ("category", True)
    many = np.random.default_rng(4).integers(0, 10**6, 5000)
    assert found(many, many[:1000], {"code"}).kind == "category"


def test_codes_that_nobody_has_seen_are_found_and_one_row_of_them_is_not_enough():
    before = dictionary(draw(CALM, 20_000, 1))
    now = draw(CALM, 1000, 2)
    assert not found(before, dictionary(np.append(now, 999))).drifted
    # Two hundred new codes, each of them once or twice: pooled.
    new = 1000 + np.random.default_rng(5).integers(0, 200, 250)
    assert found(before, dictionary(np.append(now, new))).drifted


def test_missing_codes_are_missing_and_no_category():
    before = pa.array([1, 2, None, 3] * 500).dictionary_encode()
    feature = found(before, pa.array([1, 2, None, 3] * 100).dictionary_encode())
    assert (feature.missing, feature.rows, feature.drifted) == (0.25, 300, False)


def test_categories_of_pandas_are_declared_in_the_file(tmp_path):
    for name, shares, rows in (("base", CALM, 20_000), ("window", MOVED, 2000)):
        codes = pd.Series(draw(shares, rows, len(name))).astype("category")
        pd.DataFrame({"code": codes, "x": codes.astype(int)}).to_parquet(tmp_path / f"{name}.parquet")
    question = {
        "baseline": {"uri": f"file://{tmp_path}/base.parquet"},
        "window": {"uri": f"file://{tmp_path}/window.parquet"},
        "minRows": 100,
        "ks": {"alpha": 0.01},
    }
    kinds = {f.name: (f.kind, f.drifted) for f in make_report(question, "run").features}
    assert kinds == {"code": ("category", True), "x": ("number", True)}
    kinds = {f.name: f.kind for f in make_report({**question, "categories": ["x"]}, "run").features}
    assert kinds == {"code": "category", "x": "category"}


@pytest.mark.parametrize("written", [b"", b"!", b"AAAA", b"/////9gBAAAQAAAAAAAKAA4A"])
def test_a_damaged_note_of_what_arrow_wrote_declares_nothing(written):
    schema = pa.schema([("x", pa.int64())])
    assert declared_schema(schema, {b"ARROW:schema": written}) == schema


def test_files_of_which_one_declares_a_dictionary_declare_it_for_all(tmp_path):
    (tmp_path / "window").mkdir()
    for place, store in enumerate((integers, dictionary)):
        rows = pa.table({"code": store(draw(CALM, 1000, place))})
        pq.write_table(rows, tmp_path / "window" / f"{place}.parquet")
    question = {
        "baseline": {"uri": f"file://{tmp_path}/window/0.parquet"},
        "window": {"uri": f"file://{tmp_path}/window"},
        "minRows": 100,
        "ks": {"alpha": 0.01},
    }
    [feature] = make_report(question, "run").features
    assert (feature.kind, feature.rows, feature.drifted) == ("category", 2000, False)
