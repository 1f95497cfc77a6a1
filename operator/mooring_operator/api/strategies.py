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
    to: Annotated[str, forms.ARM.field, Field(description="Who answers: New, Stable, or a variant.")] = "New"

    @property
    def key(self) -> tuple[str, str, str]:
        """What requests it takes."""
        return ((self.header or "").lower(), self.cookie or "", self.value)

    @model_validator(mode="after")
    def _one_kind(self) -> "Match":
        if (self.header is None) == (self.cookie is None):
            raise ValueError(_ONE_KIND)
        if (self.header or "").lower() == "host":
            raise ValueError(_NOT_HOST)
        return self


class ABVariant(Model):
    """A revision of status.retained."""

    name: Annotated[str, forms.VARIANT.field, Field(description="What matches call it.")]
    revision: Annotated[str, forms.REVISION.field, Field(description="Which one.")]
    weight: Annotated[int, Field(ge=0, le=98, description="Percent that it gets, like weight.")] = 0


_MOST_MATCHES = 8
_MOST_VARIANTS = 3
_ONE_KIND = "a match of spec.rollout.abTest has exactly one of header, cookie"
_NOT_HOST = "a match of spec.rollout.abTest is not of the host, by which requests come here at all"
_NEEDS_ONE = "spec.rollout.abTest: needs a weight above 0 or a match that goes to New"
_OWN_COOKIE = "spec.rollout.abTest: sticky is the cookie of a match too; give it a name of its own"
# An HTTPRoute has 16 rules, each path has its own, and callers are kept by one for each of three revisions, and more
# for each variant.
_TURNS, _TURNS_STICKY = 7, 4
_TOO_MANY_TURNS = (
    f"spec.rollout.abTest: matches go to and fro, and a route has room for {_TURNS} turns, with sticky for "
    f"{_TURNS_STICKY} less the variants; put those beside each other that go to one revision"
)
_VARIANTS = (
    "spec.rollout.abTest.variants: each has a name (not new or stable) and a revision of its own, and a weight above 0 "
    "or a match"
)
_TAKEN = {"new", "stable"}
_UNKNOWN_ARM = "spec.rollout.abTest.matches: to is New, Stable, or the name of a variant"
_NO_STABLE = "spec.rollout.abTest: the weights are 99 at most together, the rest is the stable revision's"
_ONE_END = "spec.rollout.abTest: has at most one of duration, until"
_NO_END = "spec.rollout.abTest: then Promote needs an end: a duration, or until"

Match.model_config["json_schema_extra"] = {
    "x-kubernetes-validations": [
        {"rule": "has(self.header) != has(self.cookie)", "message": _ONE_KIND},
        {"rule": "!has(self.header) || self.header.lowerAscii() != 'host'", "message": _NOT_HOST},
    ]
}


class ABTest(Model):
    """Revisions answer side by side until somebody decides, or until a time."""

    weight: Annotated[
        int,
        Field(ge=0, le=99, description="Percent of the requests that no match takes which the new one gets."),
    ] = 50
    matches: Annotated[
        list[Match],
        Field(
            description="Requests that one of them gets, whatever the weight; the first match decides.",
            max_length=_MOST_MATCHES,
        ),
    ] = []
    variants: Annotated[
        list[ABVariant],
        Field(description="Kept revisions beside the two.", max_length=_MOST_VARIANTS),
    ] = []
    sticky: Annotated[
        str | None,
        forms.HEADER.field,
        Field(description="Name of the cookie that keeps a caller with the revision that answered first."),
    ] = None
    replicas: Annotated[
        Share,
        Field(
            description="Fewest pods of the new one, and of each variant, as a number or a percentage of the stable "
            "one's."
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
        if self.then == "Promote" and self.duration is None and self.until is None:
            raise ValueError(_NO_END.partition(": ")[2])
        if any(match.cookie == self.sticky for match in self.matches if match.cookie is not None):
            raise ValueError(_OWN_COOKIE.partition(": ")[2])
        turns = len(list(groupby(match.to for match in self.matches)))
        if turns > (_TURNS_STICKY - len(self.variants) if self.sticky else _TURNS):
            raise ValueError(_TOO_MANY_TURNS.partition(": ")[2])
        seen: dict[tuple[str, str, str], int] = {}
        for index, match in enumerate(self.matches):
            if (before := seen.setdefault(match.key, index)) != index:
                raise ValueError(
                    f"matches[{index}]: matches[{before}] takes all of its requests; remove one of them"
                )
        return self

    @model_validator(mode="after")
    def _variants_make_sense(self) -> "ABTest":
        names, to = [variant.name for variant in self.variants], {match.to for match in self.matches}
        revisions = {variant.revision for variant in self.variants}
        idle = any(not variant.weight and variant.name not in to for variant in self.variants)
        if idle or _TAKEN & set(names) or not len(set(names)) == len(revisions) == len(names):
            raise ValueError(_VARIANTS.partition(".abTest.")[2])
        if unknown := to - {"New", "Stable", *names}:
            raise ValueError(f"{_UNKNOWN_ARM.partition('.abTest.')[2]}, got {', '.join(sorted(unknown))}")
        if self.weight + sum(variant.weight for variant in self.variants) > 99:
            raise ValueError(_NO_STABLE.partition(": ")[2])
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
    {"rule": "self.then != 'Promote' || has(self.duration) || has(self.until)", "message": _NO_END},
    {
        "rule": "!has(self.sticky) || !has(self.matches) || self.matches.all(match, !has(match.cookie) || "
        "match.cookie != self.sticky)",
        "message": _OWN_COOKIE,
    },
    {
        "rule": f"!has(self.matches) || {[*range(1, _MOST_MATCHES)]}.filter(i, i < size(self.matches) && "
        f"self.matches[i].to != self.matches[i - 1].to).size() < (has(self.sticky) ? {_TURNS_STICKY} - "
        f"(has(self.variants) ? size(self.variants) : 0) : {_TURNS})",
        "message": _TOO_MANY_TURNS,
    },
    {
        "rule": "!has(self.variants) || self.variants.all(v, !(v.name in ['new', 'stable']) && "
        "self.variants.filter(o, o.name == v.name || o.revision == v.revision).size() == 1 && "
        "(v.weight > 0 || (has(self.matches) && self.matches.exists(m, m.to == v.name))))",
        "message": _VARIANTS,
    },
    {
        "rule": "!has(self.variants) || self.weight + self.variants.map(v, v.weight).sum() < 100",
        "message": _NO_STABLE,
    },
    {
        "rule": "!has(self.matches) || self.matches.all(m, m.to in ['New', 'Stable'] || (has(self.variants) && "
        "self.variants.exists(v, v.name == m.to)))",
        "message": _UNKNOWN_ARM,
    },
    {
        "rule": _SHADOWED,
        "message": "spec.rollout.abTest.matches: two matches take the same requests; remove one of them",
    },
]
ABTest.model_config["json_schema_extra"] = {"x-kubernetes-validations": _AB_RULES}
