"""Histories of a fleet: who applies, asks and fails what, with something under way when it happens."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.planning.routes import Traits

from tests.unit.operator.planning.fleet import MANY
from tests.unit.operator.planning.play import POINTS
from tests.unit.operator.planning.specs import (
    COUNTED,
    MODELS,
    SURGING,
    TESTS,
    WITH_VARIANTS,
    spec,
    specs,
    whole_specs,
)

routers = st.builds(
    lambda able, by_pods: Traits(
        "its controller",
        40,
        serves_each=True,
        weighs_by_pods=by_pods,
        mirrors=able[0],
        matches=able[1],
        sticks=able[2],
        previews=able[3],
        splits_many=able[4] and not by_pods,
    ),
    st.one_of(st.just((True,) * 5), st.tuples(*[st.booleans()] * 5)),
    st.sampled_from([False, False, True]),
)
flags = st.fixed_dictionaries({f"s3://m/{model}": st.sampled_from([True, True, False]) for model in MODELS})

commands = ["approve", "promote", "abort", "retry", "rollback", "pause"]


def events_with(specs: st.SearchStrategy[ModelDeploymentSpec]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.one_of(
        st.tuples(st.just("until"), st.sampled_from(sorted(POINTS))),
        st.tuples(st.just("apply"), specs),
        st.tuples(st.just("until"), st.sampled_from(sorted(POINTS))),
        st.tuples(
            st.just("kill"),
            st.tuples(st.sampled_from(["stable", "candidate", "leaving", "all"]), st.integers(1, 5)),
        ),
        st.tuples(st.just("command"), st.sampled_from(commands)),
        st.tuples(st.just("decide"), st.sampled_from(["stable", *MODELS])),
        st.tuples(st.just("release"), st.none()),
        st.tuples(st.just("wait"), st.integers(1, 90)),
        st.tuples(st.just("startable"), flags),
        st.tuples(st.just("room"), st.integers(1, 12)),
        st.tuples(st.just("crowd"), st.integers(0, 2)),
        st.tuples(st.just("load"), st.integers(0, 8)),
        st.tuples(st.just("away"), st.sampled_from(["", "a controller is away"])),
        st.tuples(st.just("takes_up"), st.booleans()),
        st.tuples(st.just("finds"), st.sampled_from([None, "Pass", "Fail", "Insufficient"])),
        st.tuples(st.just("lose_check"), st.none()),
        st.tuples(st.just("crash"), st.integers(0, 3)),
    )


events = events_with(specs)
# A rollout that stable has left pods for is given up half-way, where there is no room for them: what leaves keeps
# traffic, and then something happens to it.
left_half_way = st.builds(
    lambda asked, point, crowd, ends, later: [
        ("room", MANY),
        ("startable", {}),
        ("apply", asked),
        ("until", point),
        ("crowd", crowd),
        *ends,
        *later,
    ],
    st.builds(
        spec, st.sampled_from(MODELS), st.sampled_from(SURGING), st.integers(2, 4), st.just("1s"), st.just(1)
    ),
    st.sampled_from(["settled", "settled", "half", "all"]),
    st.integers(0, 1),
    st.sampled_from([[("command", "abort")], [("until", "half")], []]),
    st.lists(events, max_size=2),
)
# Revisions that were promoted before answer beside two others, and then something happens to one of them.
side_by_side = st.builds(
    lambda replicas, delay, limit, rollout, starts, later: [
        ("room", MANY),
        *(
            event
            for model in ("v1", "v2", "v3")
            for event in (("apply", spec(model, 0, replicas, "1s", 2)), ("until", "followed"))
        ),
        ("startable", starts),
        ("apply", spec("v4", rollout, replicas, delay, limit)),
        ("until", "some"),
        *later,
    ],
    st.integers(1, 4),
    st.sampled_from(["1s", "5s", "30s"]),
    st.integers(0, 2),
    st.sampled_from(WITH_VARIANTS),
    st.one_of(st.just({}), flags),
    st.lists(
        st.one_of(
            st.tuples(st.just("decide"), st.sampled_from(["stable", *MODELS])),
            st.tuples(st.just("kill"), st.tuples(st.sampled_from(["leaving", "stable"]), st.integers(1, 5))),
            events,
        ),
        max_size=4,
    ),
)
# Something outside is away while a candidate is not ready: whose fault the time is has to be told apart.
held_up = st.builds(
    lambda asked, early, pause, later, rest: [
        ("startable", {asked.model.uri: False}),
        ("apply", asked),
        ("until", "begun"),
        ("wait", early),
        ("away", "a controller is away"),
        ("wait", 1),
        ("wait", pause),
        ("away", ""),
        ("wait", later),
        ("wait", rest),
    ],
    specs,
    st.integers(1, 50),
    st.integers(1, 90),
    st.integers(1, 50),
    st.integers(1, 50),
)
# A person holds a rollout where it would go on by itself.
on_hold = st.builds(
    lambda asked, point, pauses, later: [
        ("startable", {}),
        ("apply", asked),
        ("until", point),
        ("command", "pause"),
        *(("wait", pause) for pause in pauses),
        *later,
    ],
    specs,
    st.sampled_from(["begun", "some", "held"]),
    st.lists(st.integers(10, 60), min_size=1, max_size=3),
    st.lists(events, max_size=3),
)
# A rollout is given up while its gateway does not answer: nobody knows who gets requests.
cut_off = st.builds(
    lambda asked, point, pauses: [
        ("startable", {}),
        ("apply", asked),
        ("until", point),
        ("takes_up", False),
        ("command", "abort"),
        *(("wait", pause) for pause in pauses),
    ],
    specs,
    st.sampled_from(["some", "half", "settled", "all"]),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
)
# The operator starts anew just when the stable revision has lost pods.
started_anew = st.builds(
    lambda asked, point, pods: [
        ("startable", {}),
        ("apply", asked),
        ("until", point),
        ("kill", ("stable", pods)),
        ("crash", 3),
        ("wait", 1),
    ],
    specs,
    st.sampled_from(["begun", "some", "half"]),
    st.integers(1, 3),
)


def to_the_end(rollouts: Sequence[int]) -> st.SearchStrategy[list[tuple[str, Any]]]:
    """One of these rollouts goes on to its end, and those who are asked approve."""
    asked = st.builds(
        spec, st.sampled_from(MODELS), st.sampled_from(rollouts), st.integers(1, 4), st.just("5s"), st.just(1)
    )
    points = ("some", "all", "over")
    return asked.map(
        lambda asked: [("startable", {}), ("apply", asked), *(("until", point) for point in points)]
    )


tested, counted = to_the_end(TESTS), to_the_end(COUNTED)
stories = st.one_of(
    st.lists(events, min_size=1, max_size=12),
    cut_off,
    started_anew,
    st.lists(left_half_way, min_size=2, max_size=3).map(
        lambda turns: [event for turn in turns for event in turn]
    ),
    held_up,
    on_hold,
    side_by_side,
)


# --- of the whole -------------------------------------------------------------------------------

shares = st.fixed_dictionaries({model: st.sampled_from([0.01, 0.01, 0.0, 0.5]) for model in MODELS})
slowness = st.fixed_dictionaries({model: st.sampled_from([1.0, 1.0, 4.0]) for model in MODELS})
whole_events = st.one_of(
    events_with(whole_specs),
    events_with(whole_specs),
    st.tuples(st.just("bad"), shares),
    st.tuples(st.just("slow"), slowness),
    st.tuples(st.just("per_second"), st.sampled_from([0.1, 5.0, 100.0, 100.0])),
    st.tuples(st.just("unavailable"), st.sampled_from(["", "it does not answer"])),
    st.tuples(st.just("elsewhere"), st.sampled_from([None, *MODELS])),
    st.tuples(st.just("queue"), st.integers(0, 2)),
    st.tuples(st.just("image"), st.sampled_from(["a", "b", "c", ""])),
    st.tuples(st.just("command"), st.sampled_from(commands)),
    st.tuples(st.just("command_of_step"), st.tuples(st.sampled_from(commands), st.integers(0, 3))),
    st.tuples(st.just("edit"), whole_specs),
    st.tuples(st.just("wait"), st.sampled_from([3600, 7 * 86400, -30, -3600])),
)
# Something happens in the middle of a rollout, whatever it is.
_under_way = st.builds(
    lambda asked, point, later: [("apply", asked), ("until", point), *later],
    whole_specs,
    st.sampled_from(sorted(POINTS)),
    st.lists(whole_events, min_size=1, max_size=3),
)
# Somebody asks for something there, and it goes on.
asked_stories = st.builds(
    lambda asked, point, name, then: [("apply", asked), ("until", point), ("command", name), ("until", then)],
    whole_specs,
    st.sampled_from(sorted(POINTS)),
    st.sampled_from([*commands, "abort", "rollback", "pause"]),
    st.sampled_from(sorted(POINTS)),
)
# And the runtime is edited, or another way to roll out the same is written.
edited_stories = st.builds(
    lambda asked, point, edit, then: [("apply", asked), ("until", point), edit, ("until", then)],
    whole_specs,
    st.sampled_from(sorted(POINTS)),
    st.one_of(
        st.tuples(st.just("edit"), whole_specs), st.tuples(st.just("image"), st.sampled_from(["b", "c"]))
    ),
    st.sampled_from(sorted(POINTS)),
)
whole_stories = st.one_of(
    asked_stories,
    edited_stories,
    st.lists(whole_events, min_size=1, max_size=12),
    st.lists(_under_way, min_size=1, max_size=3).map(
        lambda turns: [event for turn in turns for event in turn]
    ),
)
