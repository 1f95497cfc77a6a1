"""Each property can fail: faults that are planted in the planner are found, in the same histories each time."""

import functools

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.unit.operator.planning.histories import asked_stories, edited_stories
from tests.unit.operator.planning.planted import ASKED, EDITED, ENDS, FAULTS, SAFETY, WRONG, plant
from tests.unit.operator.planning.rollout import test_whole_properties as properties

PROPERTIES = {
    SAFETY: (properties.test_no_decision_does_what_none_may, properties.ANY),
    ASKED: (properties.test_no_decision_does_what_none_may, {**properties.ANY, "story": asked_stories}),
    EDITED: (properties.test_no_decision_does_what_none_may, {**properties.ANY, "story": edited_stories}),
    ENDS: (
        properties.test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks,
        properties.ENDING,
    ),
    WRONG: (
        properties.test_what_is_grossly_wrong_is_rolled_back_and_reaches_no_more_than_the_steps_say,
        properties.WRONG,
    ),
}
found_soon = settings(
    max_examples=1000,
    derandomize=True,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, monkeypatch):
    name, owner, function, faulty = FAULTS[fault]
    holds, histories = PROPERTIES[name]
    tried = []

    @functools.wraps(holds.hypothesis.inner_test)
    def noted(**history):
        tried.append(history)
        holds.hypothesis.inner_test(**history)

    with monkeypatch.context() as patch:
        plant(patch, owner, function, faulty)
        with pytest.raises(AssertionError):
            found_soon(given(**histories)(noted))()
    # It is the fault that was found: without it the same history breaks nothing.
    holds.hypothesis.inner_test(**tried[-1])
