"""How a Canary of Flagger's takes over, as ``spec.rollout``."""

import re
from datetime import timedelta

from mooring_operator.api.strategies import ABTest
from mooring_operator.cli.adoption.adopted import Object
from mooring_operator.cli.adoption.durations import duration_text, seconds_of
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.flagger_hooks import PROMOTE, RAISE, START, Hooks, hooks_of
from mooring_operator.cli.adoption.forms import takes
from mooring_operator.cli.adoption.steps import ALL_AT_ONCE, MOST_STEPS, ended

_MOST_ITERATIONS = 10**5
_DEFAULT, _SHORTEST = timedelta(minutes=1), timedelta(seconds=10)
# As their documentation writes it.
_COOKIE = re.compile(
    r"\^?\(\.\*\??;\)\?(?:\\s\*)?"
    r"\(([A-Za-z0-9][-A-Za-z0-9_]*)=([-A-Za-z0-9_~=]+)\)"
    r"(?:\\s\*)?\(;\.\*\)\?\$?"
)
_LITERAL = re.compile(r"\^?([-A-Za-z0-9_~=]+)\$?")


def rollout_of(analysis: Fields) -> Object:
    """Give strategy and steps for the analysis that a Canary goes through.

    Iterations are for who matches (ABTest), for copies (Shadow), or for nobody: then it is BlueGreen, or a canary
    without a weight where something is asked meanwhile. Without iterations it is weights, perhaps after copies.
    """
    interval = _interval(analysis)
    hooks = hooks_of(analysis, interval)
    iterations = min(analysis.whole("iterations") or 0, _MOST_ITERATIONS)
    shadow = _shadow(analysis, interval * max(iterations, 1))
    if iterations <= 0:
        if "match" in analysis:
            analysis.tell("match", "weights are of all requests; strategy ABTest sends by headers")
        return {**_by_weights(analysis, hooks, interval), **shadow}
    matches = _matches(analysis)
    if matches:
        return _ab_test(analysis, hooks, matches, interval * iterations)
    if not shadow and not hooks.before and not hooks.during:
        return _blue_green(hooks, interval * iterations)
    return {"steps": _unexposed(hooks, interval * iterations, waits=not shadow), **shadow}


def _interval(analysis: Fields) -> timedelta:
    said = analysis.any("interval")
    found = _DEFAULT if said in (None, "") else seconds_of(said)
    if found is None:
        analysis.tell("interval", f"{said!r:.40} is not a duration; Flagger takes 1m")
        found = _DEFAULT
    return max(found, _SHORTEST)


def _shadow(analysis: Fields, duration: timedelta) -> Object:
    """Give the fields for copies of requests; none where there are no copies, or the canary has no part in them."""
    if not analysis.flag("mirror"):
        return {}
    weight = analysis.whole("mirrorWeight")
    percent = 100 if weight is None or not 1 <= weight <= 100 else weight
    return {"strategy": "Shadow", "shadow": {"percent": percent, "duration": duration_text(duration)}}


def _blue_green(hooks: Hooks, duration: timedelta) -> Object:
    """The canary has its pods and nobody asks it, until it takes over at once."""
    waits = PROMOTE in hooks.gates
    hooks.open_gates("strategy BlueGreen, which iterations ask for, has no steps", START, RAISE)
    return {
        "strategy": "BlueGreen",
        **({} if waits else {"blueGreen": {"promoteAfter": duration_text(duration)}}),
    }


def _unexposed(hooks: Hooks, duration: timedelta, *, waits: bool) -> list[Object]:
    hooks.keep_few(1)
    hooks.open_gates("iterations raise no weight", RAISE)
    steps: list[Object] = [*_confirmed(hooks, START, "start the rollout"), {"setWeight": 0}]
    steps += hooks.steps_of(hooks.before)
    if waits:
        steps.append({"pause": {"duration": duration_text(duration)}})
    steps += hooks.steps_of(hooks.during)
    return [*steps, *_confirmed(hooks, PROMOTE, "promote"), ALL_AT_ONCE]


def _by_weights(analysis: Fields, hooks: Hooks, interval: timedelta) -> Object:
    weights = _weights(analysis)
    asked = hooks.keep_few(len(weights))
    raised = RAISE in hooks.gates
    beside = 5 + len(hooks.before) + len(hooks.during)
    each = 2 + raised + (len(hooks.during) if asked > 1 else 0)
    every = max(-(-each * len(weights) // (MOST_STEPS - beside)), 1)
    if every > 1:
        analysis.tell(
            "",
            f"{len(weights)} weights would be more than {MOST_STEPS} steps; one in {every} is kept, and pauses are "
            f"{every} times as long",
        )
    kept = weights[::-1][::every][::-1]
    steps: list[Object] = _confirmed(hooks, START, "start the rollout")
    if hooks.before:
        steps += [{"setWeight": 0}, *hooks.steps_of(hooks.before)]
    for index, weight in enumerate(kept):
        if raised:
            steps.append({"approve": {"message": f"raise the traffic to {weight}%"}})
        steps += [{"setWeight": weight}, {"pause": {"duration": duration_text(interval * every)}}]
        if asked > 1 or index == len(kept) - 1:
            steps += hooks.steps_of(hooks.during)
    steps += _confirmed(hooks, PROMOTE, "promote")
    return {"steps": ended(steps)[0]}


def _confirmed(hooks: Hooks, gate: str, message: str) -> list[Object]:
    return [{"approve": {"message": message}}] if gate in hooks.gates else []


def _weights(analysis: Fields) -> list[int]:
    """Give the weights below 100 that Flagger goes through, which ascend."""
    most, step = analysis.whole("maxWeight") or 100, analysis.whole("stepWeight") or 0
    given = analysis.list("stepWeights")
    if not given:
        return list(range(step, min(most, 99) + 1, step)) if step > 0 else []
    kept: list[int] = []
    dropped = []
    for weight in given:
        if type(weight) is int and max(kept, default=0) < weight < 100:
            kept.append(weight)
        elif weight != 100:
            dropped.append(weight)
    if dropped:
        analysis.tell(
            "stepWeights", f"{str(dropped)[:60]} are left out: weights are from 1 to 100, and ascend"
        )
    return kept


# --- matches ------------------------------------------------------------------------------------


def _ab_test(analysis: Fields, hooks: Hooks, matches: list[Object], duration: timedelta) -> Object:
    decided, no_steps = PROMOTE in hooks.gates, "strategy ABTest, which match asks for, has no steps"
    hooks.leave_out(no_steps)
    hooks.open_gates(no_steps, START, RAISE)
    if analysis.peek("mirror"):
        analysis.tell("mirror", "strategy ABTest, which match asks for, copies nothing")
    ends: Object = {} if decided else {"duration": duration_text(duration), "then": "Promote"}
    return {"strategy": "ABTest", "abTest": {"weight": 0, "matches": matches, **ends}}


def _matches(analysis: Fields) -> list[Object]:
    kept: list[Object] = []
    for match in analysis.parts("match"):
        said = _match(match)
        if said is not None and takes(ABTest, {"weight": 0, "matches": [*kept, said]}):
            kept.append(said)
        else:
            match.tell(
                "",
                "a match of spec.rollout.abTest is one header or cookie with one value, exactly; 8 at most",
            )
            match.answer_for_all()
    return kept


def _match(match: Fields) -> Object | None:
    headers = match.only("headers") if match.names == ["headers"] else Fields({}, match.place)
    if len(headers.names) != 1:
        return None
    name = headers.names[0]
    value = headers.part(name)
    if len(value.names) != 1:
        return None
    how, text = value.names[0], value.text(value.names[0])
    if name.lower() == "cookie":
        found = _COOKIE.fullmatch(text) if how == "regex" else None
        return {"cookie": found[1], "value": found[2]} if found else None
    if how == "exact":
        return {"header": name, "value": text}
    # The whole value has to match.
    literal = _LITERAL.fullmatch(text) if how == "regex" else None
    return {"header": name, "value": literal[1]} if literal else None
