"""Whatever a Rollout or a Canary looks like: what is written is valid, and what it lacks is named."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mooring_operator.cli.adoption.argo import adopt_rollout
from mooring_operator.cli.adoption.flagger import adopt_canary
from mooring_operator.cli.adoption.writing import to_yaml
from mooring_operator.cli.commands.validate import check_manifest
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.files import Manifest

from tests.unit.operator.cli.adoption import shapes

ADOPT = {"Rollout": adopt_rollout, "Canary": adopt_canary}
KINDS = {"Rollout": shapes.rollouts, "Canary": shapes.canaries}


EXAMPLES = settings(max_examples=60, deadline=None)


def adopt(item):
    return ADOPT[item["kind"]](item, shapes.MODEL)


def problems(adopted):
    found = check_manifest(Manifest("adopted", to_yaml(adopted.manifest)))
    return [problem for finding in found for problem in finding["problems"]]


@pytest.mark.parametrize("kind", KINDS)
@EXAMPLES
@given(data=st.data())
def test_what_is_written_is_valid(kind, data):
    adopted = adopt(data.draw(KINDS[kind]))
    assert problems(adopted) == []
    assert len(adopted.spec["rollout"].get("steps", [])) <= 30


@pytest.mark.parametrize("kind", KINDS)
@EXAMPLES
@given(data=st.data())
def test_a_field_that_nobody_knows_is_named(kind, data):
    item = data.draw(KINDS[kind])
    inside = [("spec", *path) for path in shapes.places(item["spec"])]
    path = data.draw(
        st.sampled_from(
            [("spec",), *(path for path in inside if isinstance(shapes.value_at(item, path), dict))]
        )
    )
    maps = {"labels", "annotations", "matchLabels", "limits", "requests", "headers", "metadata", "env"}
    assume(not maps & {*map(str, path)})
    told = adopt(shapes.with_value(item, (*path, "unheardOf"), "x")).left_out
    above = {shapes.written(path[:length]) for length in range(2, len(path) + 1)}
    whole = shapes.written((*path, "unheardOf"))
    places = {line.partition(": ")[0] for line in told}
    assert any(place in above or place == whole or place.startswith(whole) for place in places), (whole, told)


@pytest.mark.parametrize("kind", KINDS)
@EXAMPLES
@given(data=st.data())
def test_a_field_of_another_type_is_refused_in_one_sentence_or_named(kind, data):
    item = data.draw(KINDS[kind])
    path = data.draw(st.sampled_from([("spec", *path) for path in shapes.places(item["spec"])] + [("spec",)]))
    broken = shapes.with_value(item, path, data.draw(shapes.junk))
    try:
        adopted = adopt(broken)
    except CliError as error:
        message = error.message
    else:
        assert problems(adopted) == []
        return
    assert message.startswith("spec")
    assert "\n" not in message
