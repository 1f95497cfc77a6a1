"""Calls of the API, and what may become of them."""

from dataclasses import dataclass, field

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
"""The verbs that write, by HTTP's method."""
CLOSE = "close"
"""The connection is closed, and nothing has happened."""
LOSE_ANSWER = "lose the answer"
"""The connection is closed, and what was asked for has happened."""
EXPIRE = "expire"
"""The watch ends with 410 Gone: its resourceVersion is too old."""


@dataclass(frozen=True)
class Call:
    """One request, in Kubernetes' words; `who` is the token's owner."""

    verb: str
    resource: str
    namespace: str | None = None
    name: str | None = None
    who: str = ""

    @property
    def writes(self) -> bool:
        return self.verb in VERBS.values()


@dataclass
class Fault:
    """What becomes of the next `times` calls that match, after the first `after` of them."""

    how: int | str | float
    """A status code; CLOSE; LOSE_ANSWER; or seconds, as a float, that the answer takes longer."""
    verb: str = "*"
    resource: str = "*"
    times: int = 1
    after: int = 0
    message: str = "injected"
    headers: dict[str, str] = field(default_factory=dict)
    hits: list[Call] = field(default_factory=list)

    def takes(self, call: Call) -> bool:
        if self.verb not in ("*", call.verb) or self.resource not in ("*", call.resource):
            return False
        if self.after > 0 or len(self.hits) == self.times:
            self.after = max(0, self.after - 1)
            return False
        self.hits.append(call)
        return True
