"""Each property can fail: faults that are planted in the planner are found, in the same histories each time."""

import functools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.unit.operator.planning import specs
from tests.unit.operator.planning.histories import (
    asked_stories,
    counted,
    cut_off,
    edited_stories,
    flags,
    held_up,
    left_half_way,
    routers,
    side_by_side,
    started_anew,
    tested,
)
from tests.unit.operator.planning.planted import crashes, holds, rollouts, strategies
from tests.unit.operator.planning.planted.planting import (
    ANEW,
    ASKED,
    BACK,
    BESIDE,
    CHECKED,
    COUNTED,
    CRASH,
    CUT_OFF,
    EDITED,
    ENDS,
    EVERY,
    FOLLOWS,
    FREEZE,
    HALF_WAY,
    HELD_UP,
    JUDGED,
    KEPT,
    SAFETY,
    TESTED,
    TURN,
    WRONG,
    plant,
)
from tests.unit.operator.planning.rollout import test_freeze_properties as frozen
from tests.unit.operator.planning.rollout import test_strategy_properties as by_strategy
from tests.unit.operator.planning.rollout import test_whole_properties as properties

FAULTS = {**rollouts.FAULTS, **crashes.FAULTS, **strategies.FAULTS, **holds.FAULTS}

STARTS = {**properties.CRASHING, "starts": st.just(True), "finds": st.just("Pass"), "turn": st.just("")}
AT_EVERY_TURN = st.just([(0, 9)] * 150)
"""The operator starts anew after each decision, with all of it done."""
BY_STRATEGY = {"first": specs.specs, "then": specs.specs, "router": routers, "story": side_by_side}
PROPERTIES = {
    SAFETY: (properties.test_no_decision_does_what_none_may, properties.ANY),
    ASKED: (properties.test_no_decision_does_what_none_may, {**properties.ANY, "story": asked_stories}),
    EDITED: (properties.test_no_decision_does_what_none_may, {**properties.ANY, "story": edited_stories}),
    WRONG: (
        properties.test_what_is_grossly_wrong_is_rolled_back_and_reaches_no_more_than_the_steps_say,
        properties.WRONG,
    ),
    CRASH: (properties.test_a_crash_after_any_action_comes_to_the_same_end, properties.CRASHING),
    TURN: (
        properties.test_a_crash_after_any_action_comes_to_the_same_end,
        {**properties.CRASHING, "finds": st.none(), "turn": st.sampled_from(["abort", "apply"])},
    ),
    CHECKED: (
        properties.test_a_crash_after_any_action_comes_to_the_same_end,
        {
            **STARTS,
            "rollout": st.sampled_from(specs.CHECKED),
            "crashes": st.lists(st.tuples(st.integers(1, 6), st.integers(0, 1)), min_size=4, max_size=12),
        },
    ),
    JUDGED: (
        properties.test_a_crash_after_any_action_comes_to_the_same_end,
        {**STARTS, "rollout": st.sampled_from(specs.JUDGED), "crashes": AT_EVERY_TURN},
    ),
    EVERY: (
        properties.test_a_crash_after_any_action_comes_to_the_same_end,
        {**properties.CRASHING, "starts": st.just(False), "crashes": AT_EVERY_TURN},
    ),
    HELD_UP: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        {**BY_STRATEGY, "story": held_up},
    ),
    HALF_WAY: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        {**BY_STRATEGY, "story": left_half_way},
    ),
    TESTED: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        {**BY_STRATEGY, "story": tested},
    ),
    COUNTED: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        {**BY_STRATEGY, "story": counted},
    ),
    KEPT: (
        by_strategy.test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks,
        {
            "first": specs.specs,
            "last": specs.specs,
            "router": routers,
            "starts": flags,
            "story": side_by_side,
        },
    ),
    BESIDE: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        BY_STRATEGY,
    ),
    ANEW: (
        by_strategy.test_nobody_gets_more_than_its_pods_carry_or_the_strategy_exposes_it_to,
        {**BY_STRATEGY, "story": started_anew},
    ),
    ENDS: (
        properties.test_every_rollout_ends_or_waits_for_what_the_spec_or_the_router_lacks,
        properties.ENDING,
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
