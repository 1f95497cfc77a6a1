"""What Kubeflow Pipelines cannot keep is refused where the spec is judged, before anything runs."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_operator.api import DriftMonitorSpec, DriftMonitorStatus, ModelDeploymentSpec
from mooring_operator.api.reasons import CHARACTERS_NOT_ALLOWED
from mooring_operator.planning.drift.evaluations import DriftObserved, Target
from mooring_operator.planning.drift.plan import plan_drift
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.rollout.plan import plan
from mooring_operator.planning.runs.texts import refuse_wide, texts_of_evaluation, texts_of_test
from mooring_operator.reconcile.drift_runs import ask

from tests.unit.operator.planning.world import START, World

MODEL = {"uri": "s3://m/v1", "format": "onnx"}
DATA = {"uri": "s3://d/test.parquet"}
WIDE = [
    ({"model": {**MODEL, "uri": "s3://m/🙂"}, "ci": {"testData": DATA}}, "spec.model.uri"),
    ({"ci": {"testData": {"uri": "s3://d/𝒙.parquet"}}}, "spec.ci.testData.uri"),
    ({"ci": {"testData": {**DATA, "labelColumn": "mood 🙂"}}}, "spec.ci.testData.labelColumn"),
    (
        {"ci": {"testData": {**DATA, "schema": 'columns: [{name: "🙂", type: integer}]'}}},
        "spec.ci.testData.schema",
    ),
]


def decided(spec, *, narrow):
    world = World(ModelDeploymentSpec.model_validate({"model": MODEL, **spec}))
    return plan(world.spec, world.status, replace(world.observe(), narrow_runs=narrow), START)


@pytest.mark.parametrize(("spec", "field"), WIDE)
def test_a_wide_character_is_refused_with_its_field_and_nothing_is_run(spec, field):
    decision = decided(spec, narrow=True)
    assert (decision.phase, decision.reason) == ("Failed", CHARACTERS_NOT_ALLOWED)
    assert decision.message.startswith(f"{field} '")
    assert "Kubeflow Pipelines cannot keep" in decision.message
    assert [type(action).__name__ for action in decision.actions] == ["Notify"]


@pytest.mark.parametrize(("spec", "field"), WIDE)
def test_jobs_carry_every_character(spec, field):
    assert decided(spec, narrow=False).phase == "Testing"


def test_what_no_run_is_given_may_have_any_character():
    assert decided({"model": {**MODEL, "uri": "s3://m/🙂"}}, narrow=True).reason != CHARACTERS_NOT_ALLOWED
    assert (
        decided({"ci": {"testData": {**DATA, "labelColumn": "größe 特徴"}}}, narrow=True).phase == "Testing"
    )


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ({"baseline": {"uri": "s3://b/🙂"}}, "spec.baseline.uri"),
        ({"window": {"uri": "s3://b/🙂"}}, "spec.window.uri"),
        ({"features": ["a", "🙂"]}, "spec.features[1]"),
        ({"slices": [{"name": "a", "column": "🙂", "values": ["a"]}]}, "spec.slices[0].column"),
        ({"slices": [{"name": "a", "column": "a", "values": ["a", "🙂"]}]}, "spec.slices[0].values[1]"),
    ],
)
@pytest.mark.parametrize("narrow", [True, False])
def test_evaluations_of_drift_too(rows, field, narrow):
    base = {"target": {"name": "digits"}, "baseline": {"uri": "s3://b/a"}, "window": {"uri": "s3://b/w"}}
    spec = DriftMonitorSpec.model_validate({**base, **rows})
    seen = DriftObserved(Owner("team", "d", "uid", 1), Target("digits", "r", None), narrow_runs=narrow)
    decision = plan_drift(spec, DriftMonitorStatus(), seen, datetime(2026, 3, 1, tzinfo=UTC))
    assert (decision.status.reason == CHARACTERS_NOT_ALLOWED) is narrow
    assert decision.status.message.startswith(field) is narrow
    assert (decision.status.run is None) is narrow


@given(st.text(max_size=20))
def test_only_characters_beyond_the_basic_plane_are_wide(text):
    refused = refuse_wide({"spec.x": text}, narrow=True)
    assert (refused is not None) == any(ord(character) > 0xFFFF for character in text)


def test_every_text_that_an_evaluation_is_given_is_looked_at():
    rows = {
        "baseline": {"uri": "s3://b/a"},
        "window": {"uri": "s3://w"},
        "features": ["x"],
        "categories": ["y"],
        "featureSettings": [{"match": "z*", "distance": 0.1}],
        "slices": [{"name": "s", "column": "s", "values": ["größe", "t"]}],
    }
    spec = DriftMonitorSpec.model_validate({"target": {"name": "d"}, **rows})
    assert set(_texts(ask(spec))) == set(texts_of_evaluation(spec).values())


def _texts(value):
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value


def test_columns_by_which_rows_are_parted_are_texts_of_a_test():
    data = {"uri": "s3://d/t", "slices": ["country", "\N{GRINNING FACE}"]}
    spec = ModelDeploymentSpec.model_validate(
        {"model": {"uri": "s3://m/x", "format": "onnx"}, "ci": {"testData": data}}
    )
    refused = refuse_wide(texts_of_test(spec), narrow=True)
    assert refused is not None
    assert refused.startswith("spec.ci.testData.slices[1] ")
