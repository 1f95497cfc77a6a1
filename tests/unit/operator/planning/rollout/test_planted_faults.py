"""Each property can fail: faults that are planted in the planner are found, in the same histories each time."""

import functools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.operator.planning.histories import (
    asked_stories,
    cut_off,
    edited_stories,
    routers,
    side_by_side,
    started_anew,
)
from tests.unit.operator.planning.planted import crashes, holds, rollouts, strategies
from tests.unit.operator.planning.planted.planting import (
    ANEW,
    ASKED,
    BACK,
    BESIDE,
    CRASH,
    CUT_OFF,
    EDITED,
    ENDS,
    FOLLOWS,
    FREEZE,
    SAFETY,
    TURN,
    WRONG,
    plant,
)
from tests.unit.operator.planning.rollout import test_freeze_properties as frozen
from tests.unit.operator.planning.rollout import test_strategy_properties as by_strategy
from tests.unit.operator.planning.rollout import test_whole_properties as properties
from tests.unit.operator.planning.specs import specs

FAULTS = {**rollouts.FAULTS, **crashes.FAULTS, **strategies.FAULTS, **holds.FAULTS}

BY_STRATEGY = {"first": specs, "then": specs, "router": routers, "story": side_by_side}
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
    CRASH: (properties.test_a_crash_after_any_action_comes_to_the_same_end, properties.CRASHING),
    TURN: (
        properties.test_a_crash_after_any_action_comes_to_the_same_end,
        {**properties.CRASHING, "finds": st.none(), "turn": st.sampled_from(["abort", "apply"])},
    ),
    BESIDE: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        BY_STRATEGY,
    ),
    ANEW: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        {**BY_STRATEGY, "story": started_anew},
    ),
    FOLLOWS: (
        properties.test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks,
        {**properties.ENDING, "story": edited_stories},
    ),
    CUT_OFF: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        {**BY_STRATEGY, "story": cut_off},
    ),
    FREEZE: (frozen.test_every_rollout_ends_and_nothing_polls_in_a_freeze, frozen.ENDING),
    BACK: (frozen.test_the_way_back_is_open_in_a_freeze, frozen.BACK),
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
