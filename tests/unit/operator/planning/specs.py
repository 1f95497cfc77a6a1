"""Specs of rollouts: every strategy, with all that may hold it, judge it, or ask somebody about it."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st
from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.planning import identity

from tests.unit.operator.planning.world import START, digest, spec_of

MODELS = ("v1", "v2", "v3", "v4")
JOB = {"job": {"image": "smoke", "timeout": "20s"}}
HOOK = {"webhook": {"url": "https://gates.example.com/", "timeout": "30s", "onFailure": "Pause"}}
ALL = {"setWeight": 100}


def revision_of(model: str) -> str:
    """The revision of a model, however many replicas it has."""
    asked = spec_of(model)
    return identity.revision_of(asked.model, digest(asked.model.uri), asked.serving)


PLAIN: list[dict[str, Any]] = [
    {"steps": [ALL]},
    {"steps": [{"setWeight": 0}, {"setWeight": 20}, {"pause": {"duration": "20s"}}, ALL]},
    {"steps": [{"setReplicas": "50%"}, {"setWeight": 50}, {"approve": {}}, ALL]},
    {"steps": [{"setWeight": 50}, {"setWeight": 75}, {"approve": {}}, ALL], "maxSurge": 1},
    {"steps": [{"setWeight": 50}, {"pause": {"duration": "40s"}}, ALL], "maxSurge": "25%"},
    {"strategy": "BlueGreen"},
    {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "30s"}},
    {"strategy": "Shadow", "shadow": {"percent": 30, "duration": "20s"}, "steps": [{"setWeight": 40}, ALL]},
    {"strategy": "ABTest", "abTest": {"weight": 30, "duration": "40s", "then": "Promote", "sticky": "arm"}},
    {
        "strategy": "ABTest",
        "abTest": {"weight": 0, "matches": [{"header": "x", "value": "1"}], "duration": "30s"},
    },
    {"strategy": "ABTest", "abTest": {"weight": 50, "replicas": "2"}},
    {"strategy": "Recreate"},
    {"steps": [{"setWeight": 25}, {"pause": {}}, {"approve": {}}, ALL]},
    {"steps": [{"setWeight": 0}, JOB, {"setWeight": 40}, HOOK, ALL]},
    {"steps": [HOOK, {"setWeight": 30}, {"job": {"image": "load", "onFailure": "Pause"}}, ALL]},
    {"strategy": "Shadow", "shadow": {"percent": 10, "duration": "5s"}, "steps": [JOB, ALL]},
    {"strategy": "BlueGreen", "steps": [JOB, ALL, HOOK]},
    {"strategy": "BlueGreen", "blueGreen": {"promoteAfter": "1s"}, "steps": [JOB, {"approve": {}}, ALL]},
    {"strategy": "ABTest", "abTest": {"weight": 30, "duration": "10s"}, "steps": [HOOK, ALL]},
    {"strategy": "Recreate", "steps": [{"approve": {}}, ALL, JOB]},
]
_OLDER = [
    {"name": "b", "revision": revision_of("v1"), "weight": 30},
    {"name": "c", "revision": revision_of("v2"), "weight": 10},
]
ROLLOUTS = [
    *PLAIN,
    {"strategy": "ABTest", "abTest": {"weight": 20, "variants": _OLDER, "sticky": "arm", "duration": "40s"}},
    {
        "strategy": "ABTest",
        "abTest": {
            "weight": 40,
            "replicas": "50%",
            "variants": [{"name": "b", "revision": revision_of("v1")}, _OLDER[1]],
            "matches": [
                {"header": "x", "value": "1", "to": "b"},
                {"header": "x", "value": "2", "to": "Stable"},
            ],
        },
    },
]
WITH_VARIANTS = range(len(PLAIN), len(ROLLOUTS))
"""Of revisions that have to be kept: elsewhere they are no more than refused."""
TESTS = [number for number, rollout in enumerate(ROLLOUTS) if rollout.get("strategy") == "ABTest"]
COUNTED = [
    number
    for number, rollout in enumerate(ROLLOUTS)
    if any("setReplicas" in step for step in rollout.get("steps", []))
]
CHECKED = [
    rollout for rollout in ROLLOUTS if JOB in rollout.get("steps", []) or HOOK in rollout.get("steps", [])
]
SURGING = [number for number, rollout in enumerate(ROLLOUTS) if "maxSurge" in rollout]
RATE = {"metrics": [{"metric": "errorRate"}]}
BOTH = {"metrics": [{"metric": "errorRate"}, {"metric": "latency"}]}
JUDGED: list[dict[str, Any]] = [
    {"steps": [{"setWeight": 20}, {"analyse": {"duration": "2m"}}, ALL], "analysis": RATE},
    {
        "steps": [{"setWeight": 30}, {"analyse": {"duration": "90s", "onInsufficient": "Pass"}}, JOB, ALL],
        "analysis": BOTH,
    },
    {
        "steps": [{"setWeight": 50}, {"analyse": {"duration": "90s", "onInsufficient": "Fail"}}, ALL],
        "analysis": {**RATE, "afterPromotion": "2m"},
        "maxSurge": 1,
    },
    {
        "steps": [{"setWeight": 10}, {"pause": {"duration": "2m"}}, {"setWeight": 50}, HOOK, ALL],
        "analysis": {**RATE, "earlyPromotion": True},
    },
    {
        "steps": [{"setWeight": 5}, {"pause": {}}, {"setWeight": 60}, {"analyse": {"duration": "1m"}}, ALL],
        "analysis": {**BOTH, "afterPromotion": "3m"},
    },
    {
        "strategy": "Shadow",
        "shadow": {"percent": 50, "duration": "2m"},
        "steps": [{"analyse": {"duration": "1m"}}, {"setWeight": 40}, ALL],
        "analysis": {**RATE, "earlyPromotion": True},
    },
    {
        "strategy": "ABTest",
        "abTest": {"weight": 50, "duration": "3m"},
        "analysis": {**RATE, "earlyPromotion": True, "afterPromotion": "1m"},
    },
    {"strategy": "BlueGreen", "analysis": {**RATE, "afterPromotion": "2m"}},
    {"strategy": "Recreate", "analysis": {**RATE, "afterPromotion": "2m"}},
]
BESIDE = JUDGED[:7]
"""Those that last while both revisions answer."""

Windows = tuple[tuple[tuple[str, str], ...], ...]
"""Windows of a freeze, as pairs of their fields' names and values."""
Holds = tuple[tuple[str, Any], ...]
"""Fields of spec.rollout that hold a revision before it begins."""


@cache
def spec(
    model: str, rollout: int, replicas: int, delay: str, limit: int, freeze: Windows = ()
) -> ModelDeploymentSpec:
    windows = [dict(window) for window in freeze]
    return spec_of(
        model,
        rollout={"progressDeadline": "1m", "scaleDownDelay": delay, "freeze": windows, **ROLLOUTS[rollout]},
        serving={"minReplicas": replicas, "maxReplicas": 9},
        revisionHistoryLimit=limit,
    )


def specs_with(windows: st.SearchStrategy[Windows]) -> st.SearchStrategy[ModelDeploymentSpec]:
    return st.builds(
        spec,
        st.sampled_from(MODELS),
        st.integers(0, len(ROLLOUTS) - 1),
        st.integers(1, 4),
        st.sampled_from(["1s", "5s", "30s"]),
        st.integers(0, 2),
        windows,
    )


specs = specs_with(st.just(()))


def whole_spec(
    model: str,
    rollout: dict[str, Any],
    replicas: int,
    delay: str,
    limit: int,
    runtime: tuple[str | None, str],
    windows: list[dict[str, str]],
    holds: Holds,
) -> ModelDeploymentSpec:
    """A spec with everything that a history of the whole can ask for."""
    name, policy = runtime
    serving = {"minReplicas": replicas, "maxReplicas": 9, "runtimePolicy": policy}
    return spec_of(
        model,
        rollout={
            "progressDeadline": "1m",
            "scaleDownDelay": delay,
            "freeze": windows,
            **dict(holds),
            **rollout,
        },
        serving={**serving, **({"runtime": name} if name else {})},
        revisionHistoryLimit=limit,
    )


def _window(starts: int, minutes: int) -> dict[str, str]:
    begins = START + timedelta(minutes=starts)
    return {"start": _clock(begins), "end": _clock(begins + timedelta(minutes=minutes)), "timeZone": "UTC"}


def _clock(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


def _seldom(value: st.SearchStrategy[Any], otherwise: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(otherwise), st.just(otherwise), value)


windows = _seldom(
    st.lists(st.builds(_window, st.integers(0, 12), st.integers(1, 5)), min_size=1, max_size=2), []
)
holds = _seldom(
    st.sampled_from(
        [
            (("requires", [{"name": "staging"}]),),
            (("notBefore", f"{START + timedelta(minutes=4):%Y-%m-%dT%H:%M:%SZ}"),),
            (("maxConcurrent", 1),),
        ]
    ),
    (),
)
runtimes = st.sampled_from(
    [("onnx", "Follow"), ("onnx", "Follow"), ("onnx", "Pinned"), (None, "Follow"), (None, "Pinned")]
)
whole_specs = st.builds(
    whole_spec,
    st.sampled_from(MODELS),
    st.sampled_from([*PLAIN, *JUDGED, *JUDGED]),
    st.integers(1, 4),
    st.sampled_from(["1s", "5s", "30s"]),
    st.integers(0, 2),
    runtimes,
    windows,
    holds,
)
