"""How many parameters a model has, where its format tells."""

from dataclasses import replace

from mooring_components.feeding import feed_model
from mooring_components.parameters import measure_parameters

from tests.unit.components.test_importances import linear, rows_of


def test_an_onnx_files_weights_are_counted_when_they_are_asked_for(tmp_path):
    fed = feed_model(linear(tmp_path), rows_of(), {}, ())
    assert measure_parameters(fed)["parameters"] == 4.0
    # What answers at an endpoint has no files here.
    served = replace(fed, model=replace(fed.model, folder=None))
    assert measure_parameters(served)["parameters"] == "the model's format does not tell its parameters"
