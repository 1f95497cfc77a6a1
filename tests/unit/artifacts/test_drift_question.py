"""What a drift evaluation is asked is read once, and anything else is named."""

import pytest
from mooring_artifacts.drift_question import DriftQuestion, parse_question
from mooring_artifacts.errors import InputError

GOOD = {
    "baseline": {"uri": "s3://b/base.parquet"},
    "window": {"uri": "s3://b/window/"},
    "features": ["age", "income"],
    "categories": ["zip"],
    "settings": [{"match": "x[*]", "type": "Category"}, {"match": "*", "distance": 0.1}],
    "slices": [{"name": "dach", "column": "country", "values": ["DE", "AT"]}],
    "minRows": 100,
    "ks": {"alpha": 0.01},
    "psi": {"threshold": 0.2, "bins": 10},
}


def test_a_question_is_read_and_written_the_same():
    question = parse_question(GOOD)
    assert question.model_dump(by_alias=True, exclude_defaults=True) == GOOD
    assert isinstance(question, DriftQuestion)


def test_numbers_that_went_through_kubeflow_pipelines_are_whole_again():
    question = parse_question({**GOOD, "minRows": 100.0, "psi": {"threshold": 1, "bins": 10.0}})
    whole = parse_question({**GOOD, "settings": [{"match": "x", "distance": 1}]})
    assert whole.declared.distance_of("x") == 1.0
    assert (question.min_rows, question.psi.bins) == (100, 10)
    assert type(question.psi.bins) is int


@pytest.mark.parametrize("absent", ["features", "categories", "ks", "psi"])
def test_what_is_left_out_or_null_is_not_asked(absent):
    rest = {name: value for name, value in GOOD.items() if name != absent}
    assert parse_question(rest) == parse_question({**GOOD, absent: None})


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ([], "question"),
        ({}, "question.baseline"),
        ({**GOOD, "window": "s3://b/w"}, "question.window"),
        ({**GOOD, "features": []}, "question.features"),
        ({**GOOD, "features": ["f"] * 2001}, "question.features"),
        ({**GOOD, "categories": "zip"}, "question.categories"),
        ({**GOOD, "settings": [{"match": ""}]}, "question.settings.0.match"),
        ({**GOOD, "settings": [{"match": "x", "type": "Prose"}]}, "question.settings.0.type"),
        ({**GOOD, "settings": [{"match": "x", "distance": 2}]}, "question.settings.0.distance"),
        ({**GOOD, "minRows": 0}, "question.minRows"),
        ({**GOOD, "minRows": 99.5}, "question.minRows"),
        ({**GOOD, "ks": {"alpha": 1}}, "question.ks.alpha"),
        ({**GOOD, "ks": {"alpha": float("nan")}}, "question.ks.alpha"),
        ({**GOOD, "psi": {"threshold": float("inf"), "bins": 10}}, "question.psi.threshold"),
        ({**GOOD, "psi": {"threshold": 0.2, "bins": 10**9}}, "question.psi.bins"),
        ({**GOOD, "sketch": {}}, "question.sketch"),
    ],
)
def test_anything_else_is_an_error_that_names_the_field(document, field):
    with pytest.raises(InputError) as error:
        parse_question(document)
    assert str(error.value).startswith(f"{field} ")
    assert len(str(error.value)) < 700
