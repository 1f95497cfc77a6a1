"""The strategies of ``spec.rollout`` beside Canary, whose steps are in `rollout`."""

from itertools import groupby
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from mooring_operator.api import forms
from mooring_operator.api.types import Duration, Model, Moment, Share

StrategyName = Literal["Canary", "BlueGreen", "Shadow", "ABTest", "Recreate"]


class BlueGreen(Model):
    """The new revision has all its pods and a preview address before it takes over at once."""

    promote_after: Annotated[
        Duration | None,
        Field(description="How long it is previewed before it takes over; until approved when left out."),
    ] = None


class Shadow(Model):
    """The new revision gets copies of requests, and nobody gets its answers, before the steps begin."""

    percent: Annotated[int, Field(ge=1, le=100, description="Percent of the requests that are copied.")] = 100
    duration: Annotated[
        Duration | None, Field(description="How long requests are copied; until approved when left out.")
    ] = None


class Match(Model):
    """Requests with this value of a header or of a cookie, whatever the weights."""

    header: Annotated[
        str | None, forms.HEADER.field, Field(description="Name of the header; case is of no matter.")
    ] = None
    cookie: Annotated[str | None, forms.HEADER.field, Field(description="Name of the cookie.")] = None
    value: Annotated[str, forms.HEADER_VALUE.field, Field(description="Its value, exactly.")]
    to: Annotated[
        Literal["New", "Stable"],
        Field(description="Which revision answers them: the new one or the stable one."),
    ] = "New"

    @property
    def key(self) -> tuple[str, str, str]:
        """What requests it takes."""
        return ((self.header or "").lower(), self.cookie or "", self.value)

    @model_validator(mode="after")
    def _one_kind(self) -> "Match":
        if (self.header is None) == (self.cookie is None):
            raise ValueError(_ONE_KIND)
        return self


_MOST_MATCHES = 8
_ONE_KIND = "a match of spec.rollout.abTest has exactly one of header, cookie"
_NEEDS_ONE = "spec.rollout.abTest: needs a weight above 0 or a match that goes to New"
_OWN_COOKIE = "spec.rollout.abTest: sticky is the cookie of a match too; give it a name of its own"
# An HTTPRoute has 16 rules, each path has its own, and callers are kept by one for each of three revisions.
_TURNS, _TURNS_STICKY = 7, 4
_TOO_MANY_TURNS = (
    f"spec.rollout.abTest: matches go to and fro between New and Stable, and a route has room for {_TURNS} turns, with "
    f"sticky for {_TURNS_STICKY}; put those beside each other that go to one revision"
)
_ONE_END = "spec.rollout.abTest: has at most one of duration, until"

Match.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [{"rule": "has(self.header) != has(self.cookie)", "message": _ONE_KIND}]
}


class ABTest(Model):
    """Two revisions answer side by side until somebody decides, or until a time."""

    weight: Annotated[
        int,
        Field(ge=0, le=99, description="Percent of the requests that no match takes which the new one gets."),
    ] = 50
    matches: Annotated[
        list[Match],
        Field(
            description="Requests that one of the two gets, whatever the weight; the first match decides.",
            max_length=_MOST_MATCHES,
        ),
    ] = []
    sticky: Annotated[
        str | None,
        forms.HEADER.field,
        Field(description="Name of the cookie that keeps a caller with the revision that answered first."),
    ] = None
    replicas: Annotated[
        Share,
        Field(
            description="Pods that the new revision has at least, as a number or a percentage of those of the stable "
            "one: who matches says nothing about how many there are."
        ),
    ] = "100%"
    duration: Annotated[Duration | None, Field(description="How long the test lasts.")] = None
    until: Annotated[Moment | None, Field(description="When the test ends.")] = None
    then: Annotated[
        Literal["RollBack", "Promote"],
        Field(description="What becomes of the new revision where nobody has decided by then."),
    ] = "RollBack"

    @model_validator(mode="after")
    def _makes_sense(self) -> "ABTest":
        if self.weight == 0 and all(match.to == "Stable" for match in self.matches):
            raise ValueError(_NEEDS_ONE.partition(": ")[2])
        if self.duration is not None and self.until is not None:
            raise ValueError(_ONE_END.partition(": ")[2])
        if any(match.cookie == self.sticky for match in self.matches if match.cookie is not None):
            raise ValueError(_OWN_COOKIE.partition(": ")[2])
        turns, most = (
            len(list(groupby(match.to for match in self.matches))),
            _TURNS_STICKY if self.sticky else _TURNS,
        )
        if turns > most:
            raise ValueError(_TOO_MANY_TURNS.partition(": ")[2])
        seen: dict[tuple[str, str, str], int] = {}
        for index, match in enumerate(self.matches):
            if (before := seen.setdefault(match.key, index)) != index:
                raise ValueError(
                    f"matches[{index}]: matches[{before}] takes all of its requests; remove one of them"
                )
        return self


_SHADOWED = (
    "!has(self.matches) || self.matches.all(match, self.matches.exists_one(other, other.value == match.value && "
    "has(other.header) == has(match.header) && (!has(match.header) || other.header.lowerAscii() == "
    "match.header.lowerAscii()) && (has(match.header) || other.cookie == match.cookie)))"
)
_AB_RULES: list[JsonValue] = [
    {
        "rule": "self.weight > 0 || (has(self.matches) && self.matches.exists(match, match.to == 'New'))",
        "message": _NEEDS_ONE,
    },
    {"rule": "!has(self.duration) || !has(self.until)", "message": _ONE_END},
    {
        "rule": "!has(self.sticky) || !has(self.matches) || self.matches.all(match, !has(match.cookie) || "
        "match.cookie != self.sticky)",
        "message": _OWN_COOKIE,
    },
    {
        "rule": f"!has(self.matches) || {[*range(1, _MOST_MATCHES)]}.filter(i, i < size(self.matches) && "
        f"self.matches[i].to != self.matches[i - 1].to).size() < (has(self.sticky) ? {_TURNS_STICKY} : {_TURNS})",
        "message": _TOO_MANY_TURNS,
    },
    {
        "rule": _SHADOWED,
        "message": "spec.rollout.abTest.matches: two matches take the same requests; remove one of them",
    },
]
ABTest.model_config["json_schema_extra"] = {"x-kubernetes-validations": _AB_RULES}
