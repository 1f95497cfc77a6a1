"""Routes by header and for copies of a canary of Argo Rollouts, as strategies ABTest and Shadow."""

from datetime import timedelta

from mooring_operator.api.strategies import ABTest, Match
from mooring_operator.cli.adoption.adopted import Object
from mooring_operator.cli.adoption.argo_steps import length_of_pause, scale_of
from mooring_operator.cli.adoption.durations import duration_text
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.forms import takes

_EVERYTHING = ({"path": {"prefix": "/"}}, {"path": {"regex": ".*"}})


def ab_test_of(steps: list[Fields]) -> Object | None:
    """Give ``abTest`` where requests with a header are the new revision's, beside one weight, for a time.

    None, and nothing is read, where the steps say something else.
    """
    kinds = [_kind(step) for step in steps]
    if "setHeaderRoute" not in kinds:
        return None
    first = kinds.index("setHeaderRoute")
    held = next((index for index, kind in enumerate(kinds) if index > first and kind == "pause"), None)
    weights = {
        index: step.peek("setWeight") for index, step in enumerate(steps) if kinds[index] == "setWeight"
    }
    partial = [index for index, weight in weights.items() if weight not in (0, 100)]
    if any(type(weight) is not int for weight in weights.values()):
        return None
    if held is None or len(partial) > 1 or any(index > held for index in partial):
        return None
    test = {
        "weight": weights[partial[0]] if partial else 0,
        "matches": [match for step in steps if (match := _match(step)) is not None],
    }
    return {**test, **_for_a_time(steps, first)} if test["matches"] and takes(ABTest, test) else None


def shadow_of(steps: list[Fields]) -> tuple[Object | None, list[Fields]]:
    """Give ``shadow`` where requests are copied for a time before the first of them is answered, and the steps after.

    None, and all steps, where they say something else.
    """
    kinds = [_kind(step) for step in steps]
    begun = next((index for index, step in enumerate(steps) if _percentage(step) is not None), None)
    if begun is None or any(step.peek("setWeight") for step in steps[:begun]):
        return None, steps
    end = begun + 1
    while end < len(steps) and kinds[end] == "pause":
        end += 1
    if end == begun + 1:
        return None, steps
    for step in steps[:begun]:
        step.tell(_kind(step), "strategy Shadow begins with the copies")
    shadow: Object = {"percent": _percentage(steps[begun])}
    steps[begun].any("setMirrorRoute")
    if (total := _total(steps[begun + 1 : end])) is not None:
        shadow["duration"] = duration_text(total)
    if end < len(steps) and kinds[end] == "setMirrorRoute" and _percentage(steps[end]) is None:
        steps[end].any("setMirrorRoute")
        end += 1
    elif any(step.peek("setWeight") != 100 for step in steps[end:] if "setWeight" in step.names):
        steps[begun].tell("setMirrorRoute", "copies end when the new revision gets its first weight")
    return shadow, steps[end:]


def _for_a_time(steps: list[Fields], first: int) -> Object:
    """Give how many pods a test has and how long it lasts; what else the steps say is told."""
    out: Object = {}
    pauses = []
    for index, step in enumerate(steps):
        kind = _kind(step)
        if kind == "setWeight":
            step.any(kind)
        elif kind == "setHeaderRoute":
            _answer_for(step)
        elif kind == "setCanaryScale":
            out |= {"replicas": said} if (said := scale_of(step)) else {}
        elif kind == "pause" and index > first:
            pauses.append(step)
        else:
            step.tell(kind, "strategy ABTest, which step setHeaderRoute asks for, has no steps")
    if (total := _total(pauses)) is not None:
        out |= {"duration": duration_text(total), "then": "Promote"}
    return out


def _total(pauses: list[Fields]) -> timedelta | None:
    """Give how long pauses take together; None where one of them waits for a person."""
    lengths = [length_of_pause(step) for step in pauses]
    known = [length for length in lengths if length is not None]
    return sum(known, timedelta()) if len(known) == len(lengths) else None


def _kind(step: Fields) -> str:
    return step.names[0] if len(step.names) == 1 else ""


def _match(step: Fields) -> Object | None:
    """Give a match for a route by one header with one value; None for any other step."""
    if _kind(step) != "setHeaderRoute":
        return None
    found = Fields(step.peek("setHeaderRoute"), f"{step.place}.setHeaderRoute").parts("match")
    # Of several, routers of Argo's take one or demand all.
    if len(found) != 1:
        return None
    value = found[0].part("headerValue")
    match = {"header": found[0].text("headerName"), "value": value.text("exact")}
    return match if value.names == ["exact"] and takes(Match, match) else None


def _answer_for(step: Fields) -> None:
    """Say why a route by header is not carried over, where it is not."""
    route = Fields(step.any("setHeaderRoute"), f"{step.place}.setHeaderRoute")
    if "match" in route and _match(step) is None:
        step.tell("setHeaderRoute", "a match of spec.rollout.abTest is one header with one value, exactly")


def _percentage(step: Fields) -> int | None:
    """Give the share of requests that a step has copied; None where it copies some that match, or is another step."""
    if _kind(step) != "setMirrorRoute":
        return None
    route = Fields(step.peek("setMirrorRoute"), f"{step.place}.setMirrorRoute")
    percentage, matches = route.whole("percentage"), route.list("match")
    if (percentage is None and not matches) or any(match not in _EVERYTHING for match in matches):
        return None
    share = 100 if percentage is None else percentage
    return share if 1 <= share <= 100 else None
