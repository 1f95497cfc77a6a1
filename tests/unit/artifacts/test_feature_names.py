"""Names of features beside a model: one file, one form, whoever reads it."""

import json

import pytest
from mooring_artifacts.errors import InputError
from mooring_artifacts.feature_names import read_feature_names

NAMES = {"x": ("age", "income")}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.onnx").touch()
    return tmp_path


def write(folder, document):
    (folder / "features.json").write_text(document if isinstance(document, str) else json.dumps(document))


def test_a_model_without_the_file_has_no_names(folder):
    assert read_feature_names(folder, ["x"]) == {}


def test_names_by_input_are_read_from_beside_the_model_or_its_file(folder):
    write(folder, {"x": ["age", "income"]})
    assert read_feature_names(folder, ["x"]) == read_feature_names(folder / "model.onnx", ["x", "t"]) == NAMES


def test_a_list_names_the_features_of_the_one_input(folder):
    write(folder, ["age", "income"])
    assert read_feature_names(folder, ["x"]) == NAMES
    with pytest.raises(
        InputError, match="a list of names is for a model with one input, and this one has x, t"
    ):
        read_feature_names(folder, ["x", "t"])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{"x": "age"}', "expected"),
        ('{"x": [1]}', "expected"),
        ('{"x": [""]}', "expected"),
        ('["age", 1]', "expected"),
        ("7", "expected"),
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"features": ["age"]}', "the model has no input 'features'; it has x"),
        ('{"x": ["age", "age"]}', "a name of input x is there twice"),
        (" " * ((4 << 20) + 1), "more than 4 MiB"),
    ],
)
def test_anything_else_is_an_error_that_names_the_file(folder, document, message):
    write(folder, document)
    with pytest.raises(InputError, match=r"features\.json") as error:
        read_feature_names(folder, ["x"])
    assert message in str(error.value)
