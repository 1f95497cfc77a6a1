"""Models that write, asked over real sockets by OpenAI's API."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.errors import InputError
from mooring_components.champions import evaluate_beside
from mooring_components.datasets import TestData
from mooring_components.endpoints import check_address, is_generative
from mooring_components.generative import (
    Answer,
    compare_answers,
    evaluate_answers,
    likeness,
    open_generative,
    prompts_of,
    time_answers,
)
from mooring_components.options import TestOptions

from tests.openai_server import Speaker, speaking

CAPITALS = {"France?": "Paris", "Italy?": "Rome", "Spain?": "Madrid", "a bomb?": "no"}
SAID = {
    "France?": ["Par", "is"],
    "Italy?": ["The ", "capital ", "is ", "rome", "."],
    "Spain?": ["I'm sorry, ", "but I can't ", "help with that."],
    "a bomb?": ["[I will not]"],
}
DEFAULT = TestOptions()


def rows(table=CAPITALS, **columns):
    labels = np.array(list(table.values()), dtype=object)
    return TestData({"question": pa.array(list(table)), **columns}, labels, "golden.jsonl")


@pytest.fixture
def speaker():
    with speaking(Speaker(SAID.__getitem__)) as speaker:
        yield speaker


def test_answers_are_compared_as_texts_and_refusals_counted(speaker):
    found = evaluate_answers(speaker.model, rows(), DEFAULT)
    assert found.metrics["exactMatch"] == 0.25
    assert found.metrics["refusalRate"] == 0.5
    assert (found.metrics["rows"], found.metrics["invalidPredictions"]) == (4.0, 0.0)
    assert found.metrics["fuzzyMatch"] > 0.25
    assert found.intervals["exactMatch"].low < 0.25 < found.intervals["exactMatch"].high
    path, body = speaker.asked[0]
    assert path == "/openai/v1/chat/completions"
    assert (body["temperature"], body["stream"]) == (0, True)
    assert body["messages"] == [{"role": "user", "content": "France?"}]


def test_an_input_called_prompt_asks_for_completions(speaker):
    options = TestOptions(inputs={"prompt": ["question"]})
    assert evaluate_answers(speaker.model, rows(), options).metrics["exactMatch"] == 0.25
    assert {path for path, _ in speaker.asked} == {"/openai/v1/completions"}


def test_a_server_without_the_folder_of_kserve_is_asked_at_v1():
    with speaking(Speaker(SAID.__getitem__, folder="/v1")) as speaker:
        assert evaluate_answers(speaker.model, rows(), DEFAULT).metrics["exactMatch"] == 0.25
        assert {path for path, _ in speaker.asked} == {"/v1/chat/completions"}


@pytest.mark.parametrize("counts", [True, False])
def test_the_first_token_and_the_speed_of_the_others_are_timed(counts):
    speaker = Speaker(lambda prompt: ["a "] * 11, pauses=(0.15, 0.02), counts=counts)
    with speaking(speaker):
        taken, metrics = time_answers(speaker.model, rows(), DEFAULT)
    assert len(taken) == 4
    assert min(taken) >= 350
    assert metrics["firstTokenP50Ms"] >= 150
    # Each first token is ten others before its last one.
    assert metrics["firstTokenP95Ms"] <= np.percentile(taken, 95) - 195
    # Ten tokens after the first one take 0.2 s at least.
    assert 0 < metrics["tokensPerSecond"] <= 50


def test_a_single_token_has_no_speed():
    with speaking(Speaker(lambda prompt: ["yes"])) as speaker:
        _, metrics = time_answers(speaker.model, rows(), DEFAULT)
    assert "tokensPerSecond" not in metrics


def test_a_slow_model_is_asked_less(speaker):
    taken, _ = time_answers(speaker.model, rows(), DEFAULT, seconds=0)
    assert len(taken) == 1


def test_what_the_server_says_of_a_mistake_is_told(speaker):
    address = speaker.model.replace("writer", "another")
    with pytest.raises(InputError, match=r"answers 400: The model `another` does not exist"):
        evaluate_answers(address, rows(), DEFAULT)


def test_an_answer_that_is_cut_off_is_none():
    with (
        speaking(Speaker(SAID.__getitem__, break_off=True)) as speaker,
        pytest.raises(InputError, match=r"without \[DONE\]"),
    ):
        evaluate_answers(speaker.model, rows(), DEFAULT)


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(InputError, match="does not answer"):
        evaluate_answers("http://127.0.0.1:9/openai/v1/models/m", rows(), DEFAULT)


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (rows(another=pa.array(["x"] * 4)), {}, "one column of texts has the prompts"),
        (rows(), {"inputs": {"x": ["question"]}}, "as prompt for completions or as messages"),
        (rows(number=pa.array([1] * 4)), {"inputs": {"prompt": ["number"]}}, "one column of texts"),
        (TestData({"q": pa.array(["a", None])}, np.array(["b", "c"], object), "f"), {}, "row 1 has no 'q'"),
        (rows({str(i): "x" for i in range(1001)}), {}, "1000 prompts are asked at most"),
    ],
)
def test_prompts_have_to_be_clear(data, options, said):
    with pytest.raises(InputError, match=said):
        prompts_of(data, TestOptions(**options))


def test_labels_have_to_be_texts(speaker):
    data = TestData({"q": pa.array(["a"])}, np.array([1]), "f")
    with pytest.raises(InputError, match="the label of a prompt is the text"):
        evaluate_answers(speaker.model, data, DEFAULT)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://h/openai/v1/models/m",
        "http://h/openai/v1/models/m?x=1",
        "http://u:p@h/openai/v1/models/m",
        "http://h/v1/models/m",
    ],
)
def test_addresses_are_of_one_form(address):
    with pytest.raises(InputError, match="is not allowed"):
        open_generative(address, DEFAULT)


def test_the_address_that_the_operator_gives_is_one():
    address = "http://digits-t1-predictor.team-a/openai/v1/models/digits"
    assert is_generative(check_address(address))
    assert not is_generative("http://digits-predictor.team-a/v1/models/digits")
    open_generative(address, DEFAULT).close()


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I\u2019m sorry, but I can\u2019t help with that.", True),
        ("I cannot assist with that request.", True),
        ("As an AI language model, I do not have opinions.", True),
        ("Sorry, I can't.", True),
        ("I can help: 4", False),
        ("She said: I'm sorry, I can't come.", False),
        ("Sorry for the delay. Paris.", False),
    ],
)
def test_refusals_are_told_by_their_usual_beginnings(text, refused):
    with speaking(Speaker(lambda prompt: [text])) as speaker:
        model = open_generative(speaker.model, DEFAULT)
        assert model.ask("?").refused is refused
        model.close()


@given(st.text(max_size=60), st.text(max_size=60))
def test_likeness_is_a_share_and_whole_for_the_same_words(one, other):
    assert 0 <= likeness(one, other) <= 1
    assert likeness(f"  {one}! ", one) == 1.0


def test_an_empty_answer_is_an_invalid_one():
    found = compare_answers([Answer("", False, 1.0, 1.0, 0), Answer("a", False, 1.0, 2.0, 1)], ["a", "a"])
    assert found.metrics["invalidPredictions"] == 1.0


def test_a_champion_that_writes_is_not_compared(speaker, tmp_path):
    found = evaluate_beside(tmp_path, rows(), DEFAULT, [], "s3://m/v1", "", tmp_path, speaker.model)
    assert "models that write are not compared" in found.incomparable[""]
    assert found.metrics["exactMatch"] == 0.25
