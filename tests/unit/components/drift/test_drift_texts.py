"""Texts are compared by what they are like: how long, of which words and characters."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.feature_settings import FeatureSettings, parse_setting
from mooring_artifacts.window_states import count, prepare
from mooring_components.drift import characters, texts
from mooring_components.drift.captured import PartOfRows
from mooring_components.drift.comparison import Detectors
from mooring_components.drift.errors import EvaluationError
from mooring_components.drift.evaluation import evaluate
from mooring_components.drift.prepared import PreparedBaseline
from mooring_components.drift.report import answer
from mooring_components.drift.rows import fetch_rows
from mooring_components.drift.states import evaluate_states
from mooring_components.drift.texts import SUMMARIES, Described

RNG = np.random.default_rng(11)
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))
WORDS = np.array(["".join(RNG.choice(LETTERS, RNG.integers(2, 9))) for _ in range(20_000)])
OTHERS = np.array(["".join(RNG.choice(LETTERS, RNG.integers(2, 9))) + "q" for _ in range(20_000)])
FREQUENT = 1 / np.arange(1, 20_001)
FREQUENT /= FREQUENT.sum()


def settings(*told):
    return FeatureSettings(map(parse_setting, told))


TEXT = settings("t=Text")


def write(rows, rng, words=WORDS, mean=10):
    """Texts of words of which few are frequent and most are rare, as those of languages are."""
    counts = rng.poisson(mean, rows)
    chosen = words[rng.choice(len(words), counts.sum(), p=FREQUENT)]
    return [" ".join(each) for each in np.split(chosen, np.cumsum(counts)[:-1])]


def describe(before, now, declared):
    first = Described(before, declared)
    return first, Described(now, declared, first)


BEFORE = write(8000, RNG)


def compare(before, now, declared=TEXT, features=None):
    sides = describe(pa.table({"t": before}), pa.table({"t": now}), declared)
    found = evaluate(*sides, features, 100, Detectors(), declared)
    return {each.name: each for each in found.features}, found.schema_changes


def drifted(found):
    return {name.removeprefix("t.") for name, each in found.items() if each.drifted}


def take_apart(*values):
    [found] = characters.blocks(pa.array(values, pa.large_string()))
    return found


def summary(values, name, baseline=("ab cd", "ab cd")):
    _, side = describe(pa.table({"t": list(baseline)}), pa.table({"t": values}), TEXT)
    return side.column(f"t.{name}").to_pylist()


def test_texts_are_their_characters_and_words():
    found = take_apart("Hello, World 2026!", "", "日本語 abc", "Привет мир 42", "e\u0301a 𝒜")
    assert found.lengths.tolist() == [18, 0, 7, 13, 5]
    assert found.words_per_text().tolist() == [3, 0, 4, 3, 2]
    assert found.count(found.letters).tolist() == [10, 0, 6, 9, 3]
    assert found.count(found.digits).tolist() == [4, 0, 0, 2, 0]


def test_words_are_the_same_in_capitals_and_with_other_digits():
    assert take_apart("HELLO World 2025").words.tolist() == take_apart("hello WORLD 1999").words.tolist()
    assert len(set(take_apart("ab ba abc a b").words.tolist())) == 5


@given(st.lists(st.text(max_size=40), max_size=30))
def test_each_text_is_taken_apart_as_if_it_were_alone(values):
    values = ["".join(c for c in each if not 0xD800 <= ord(c) < 0xE000) for each in values]
    alone = [take_apart(each) for each in values]
    for found in characters.blocks(pa.array(["x", *values], pa.large_string())):
        assert found.lengths.tolist()[1:] == [len(each) for each in values]
        assert found.words_per_text().tolist()[1:] == [len(each.words) for each in alone]
        assert found.words.tolist()[1:] == [word for each in alone for word in each.words.tolist()]
        assert found.count(found.letters).tolist()[1:] == [sum(c.isalpha() for c in v) for v in values]


def test_bytes_that_are_no_text_do_no_harm():
    raw = pa.array([b"a\xff\xc3", b"\x80\x80", b"abc \xf0\x9f"], pa.large_binary())
    values = pa.LargeStringArray.from_buffers(len(raw), *raw.buffers()[1:])
    [found] = characters.blocks(values)
    assert found.words_per_text().tolist()[2] == 1


def test_a_text_of_any_length_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(characters, "MOST_CHARACTERS", 100)
    values = ["ab " * 1000, "1234", "ab " * 20]
    found = list(characters.blocks(pa.array(values, pa.large_string())))
    assert [each.lengths.tolist() for each in found] == [[3000], [4, 60]]
    assert all(len(each.classes) <= 100 for each in found)


def test_summaries_of_texts():
    values = ["ab xy 12", "", "мир ab", None]
    assert summary(values, "length") == [8, 0, 6, None]
    assert summary(values, "words") == [3, 0, 2]
    assert summary(values, "letters") == pytest.approx([0.5, 0, 5 / 6])
    assert summary(values, "digits") == pytest.approx([0.25, 0, 0])
    assert summary(values, "otherScript") == pytest.approx([0, 0, 0.6])
    assert summary(values, "unknownWords") == pytest.approx([2 / 3, 0, 0.5])


def test_a_word_that_one_row_of_the_baseline_has_is_unknown_to_itself_alone():
    before, now = describe(pa.table({"t": ["ab once", "ab"]}), pa.table({"t": ["once ab"]}), TEXT)
    assert before.column("t.unknownWords").to_pylist() == [0.5, 0.0]
    assert now.column("t.unknownWords").to_pylist() == [0.0]
    same = {"t": pa.array(["ab once", "ab once"]).dictionary_encode()}
    assert describe(pa.table(same), pa.table(same), TEXT)[0].column("t.unknownWords").to_pylist() == [0, 0]


def test_quiet_texts_do_not_alarm_though_their_rare_words_are_new():
    assert drifted(compare(BEFORE, write(1000, np.random.default_rng(1)))[0]) == set()
    alarms = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        alarms += bool(drifted(compare(write(4000, rng), write(400, rng))[0]))
    assert alarms <= 1


@pytest.mark.parametrize(
    ("now", "what"),
    [
        (write(1000, RNG, mean=14), {"length", "words"}),
        (write(1000, RNG, words=np.where(np.arange(20_000) % 4 == 0, OTHERS, WORDS)), {"unknownWords"}),
        ([f"{each} {each[:3]} 123456" for each in write(1000, RNG)], {"digits", "letters"}),
        ([each.replace("a", "а") for each in write(1000, RNG)], {"otherScript"}),
    ],
    ids=["longer", "other words", "numbers", "another script"],
)
def test_what_changed_about_texts_is_named(now, what):
    assert what <= drifted(compare(BEFORE, now)[0])


def test_what_is_told_says_what_was_compared():
    found, _ = compare(BEFORE, write(1000, RNG, words=OTHERS))
    assert set(found) == {f"t.{name}" for name in SUMMARIES}
    assert found["t.unknownWords"].kind == "number"
    assert all(found[f"t.{name}"].hint == words for name, words in SUMMARIES.items())


def test_texts_that_are_not_declared_are_categories():
    found, _ = compare(["a", "b"] * 500, ["a", "b"] * 100, settings())
    assert found["t"].kind == "category"


def test_missing_texts_are_told_once():
    now = [None if row % 3 == 0 else each for row, each in enumerate(write(900, RNG))]
    found, _ = compare(BEFORE, now)
    assert drifted(found) == {"length"}
    assert (found["t.length"].missing, found["t.words"].missing) == (pytest.approx(1 / 3), 0)
    found, _ = compare(BEFORE, pa.nulls(500, pa.string()))
    assert (drifted(found), found["t.length"].missing) == ({"length"}, 1)


def test_a_column_of_texts_that_vanished_or_became_numbers_is_told_by_its_name():
    before = pa.table({"t": BEFORE, "x": np.arange(8000)})
    for now, change in (
        ({"x": np.arange(500)}, "Vanished"),
        ({"t": np.arange(500), "x": np.arange(500)}, "TypeChanged"),
    ):
        found = evaluate(*describe(before, pa.table(now), TEXT), None, 100, Detectors(), TEXT)
        assert [(each.name, each.change) for each in found.schema_changes] == [("t", change)]


def test_numbers_are_no_texts():
    with pytest.raises(EvaluationError) as caught:
        compare(np.arange(500), np.arange(500))
    assert caught.value.reason == "TypeUnsupported"
    assert "'t' is int64 in the baseline, which cannot be compared as Text" in caught.value.message


def test_a_summary_is_no_other_column():
    table = pa.table({"t": BEFORE[:200], "t.length": np.arange(200)})
    with pytest.raises(EvaluationError) as caught:
        describe(table, table, TEXT)
    assert (caught.value.reason, "'t.length'" in caught.value.message) == ("TypeUnsupported", True)


def test_summaries_may_be_left_out_and_matter_from_another_distance_on():
    longer = write(1000, RNG, mean=14)
    declared = settings("t=Text", "t.words=Ignored", "t.length=0.9", "*=Ignored")
    found, _ = compare(BEFORE, longer, declared)
    assert set(found) == {f"t.{name}" for name in SUMMARIES} - {"t.words"}
    assert "length" not in drifted(found)
    assert "length" in drifted(compare(BEFORE, longer)[0])
    assert drifted(compare(BEFORE, longer, settings("t=Text", "t=0.9"))[0]) == set()
    assert set(compare(BEFORE, longer, features=["t"])[0]) == {f"t.{name}" for name in SUMMARIES}


def test_the_words_of_a_baseline_take_bounded_memory(monkeypatch):
    monkeypatch.setattr(texts, "MOST_WORDS", 50)
    monkeypatch.setattr(texts, "_COUNTED", 400)
    rare = [f"{each} {''.join(RNG.choice(LETTERS, 9))}" for each in BEFORE]
    side = Described(pa.table({"t": rare}), TEXT)
    known = side.vocabulary("t")
    assert (len(known.words) <= 50, known.least > 1) == (True, True)
    assert set(take_apart(*WORDS[:10]).words.tolist()) <= set(known.words.tolist())


@pytest.mark.parametrize(
    "how",
    [{}, {"use_dictionary": False, "column_encoding": {"t": "DELTA_BYTE_ARRAY"}}],
    ids=["usual", "delta"],
)
def test_texts_in_parquet_are_read_some_rows_at_a_time(tmp_path, monkeypatch, how):
    monkeypatch.setattr("mooring_components.drift.rows._STREAMED_ROWS", 700)
    values = [None if row % 10 == 0 else each for row, each in enumerate(BEFORE)]
    pq.write_table(pa.table({"t": values}), tmp_path / "a.parquet", row_group_size=3000, **how)
    rows = fetch_rows(f"file://{tmp_path}/a.parquet", "WindowUnreadable", "spec.window.uri").open()
    read, held = Described(rows, TEXT), Described(pa.table({"t": values}), TEXT)
    assert max(len(part) for part in rows.stream("t")) <= 700
    for name in SUMMARIES:
        assert read.column(f"t.{name}").to_pylist() == held.column(f"t.{name}").to_pylist()


def test_long_texts_are_read_fewer_rows_at_a_time(tmp_path):
    long = ["".join(RNG.choice(LETTERS, 60_000)) for _ in range(700)]
    pq.write_table(pa.table({"x": [[1]] * 700, "t": long}), tmp_path / "a.parquet", use_dictionary=False)
    rows = fetch_rows(f"file://{tmp_path}/a.parquet", "WindowUnreadable", "spec.window.uri").open()
    parts = [len(part) for part in rows.stream("t")]
    assert (sum(parts), 200 < max(parts) < 300) == (700, True)


def test_texts_of_a_part_of_the_rows_are_those_of_its_rows_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("mooring_components.drift.rows._STREAMED_ROWS", 700)
    pq.write_table(pa.table({"t": BEFORE}), tmp_path / "a.parquet")
    rows = fetch_rows(f"file://{tmp_path}/a.parquet", "WindowUnreadable", "spec.window.uri").open()
    kept = np.arange(len(BEFORE)) % 3 == 0
    part = PartOfRows(rows, pa.chunked_array([kept[:1000], kept[1000:]]), (), "sha256:0")
    lengths = Described(part, TEXT).column("t.length").to_pylist()
    assert lengths == [len(each) for each in BEFORE[::3]]


def test_windows_that_share_a_prepared_baseline_are_judged_as_others_are():
    described = Described(pa.table({"t": [*BEFORE, None]}), TEXT)
    prepared = PreparedBaseline(described)
    for now in (write(600, RNG), write(600, RNG, mean=14)):
        window = Described(pa.table({"t": now}), TEXT, described)
        alone, shared = (
            evaluate(baseline, window, None, 100, Detectors(), TEXT).features
            for baseline in (described, prepared)
        )
        assert [(each.name, each.drifted, each.ks, each.missing_before) for each in shared] == [
            (each.name, each.drifted, each.ks, each.missing_before) for each in alone
        ]


def test_an_evaluation_tells_which_summary_of_a_text_drifted(tmp_path):
    for name, values in (("before", BEFORE), ("now", write(1000, RNG, mean=14))):
        pq.write_table(pa.table({"t": values}), tmp_path / f"{name}.parquet")
    sides = {
        side: {"uri": f"file://{tmp_path}/{name}.parquet"}
        for side, name in (("baseline", "before"), ("window", "now"))
    }
    question = {**sides, "minRows": 100, "ks": {"alpha": 0.01}, "settings": [{"match": "t", "type": "Text"}]}
    found = answer(question, "run")
    assert {"t.length", "t.words"} <= set(found.document.drifted_features)
    assert SUMMARIES["length"] in found.page()
    assert "<svg" in found.page()


def test_texts_that_were_counted_are_refused_with_what_to_do():
    profile = prepare({"t": np.array(["a", "b"] * 500)})
    state = count(profile, {"t": np.array(["a", "b"] * 100)})
    with pytest.raises(EvaluationError) as caught:
        evaluate_states(profile, state, None, 100, Detectors(), TEXT)
    assert (caught.value.reason, "name a baseline, whose rows are read" in caught.value.message) == (
        "TypeUnsupported",
        True,
    )


def test_a_file_cannot_say_that_its_column_is_a_summary():
    field = pa.field("x", pa.int64(), metadata={"mooring.text": "t"})
    table = pa.table([np.arange(500)], pa.schema([field]))
    found = evaluate(
        *describe(table, table, settings("x=Number")), None, 100, Detectors(), settings("x=Number")
    )
    assert [each.name for each in found.features] == ["x"]
