"""What routers are asked for: which revisions run, and who gets which requests.

Routers, strategies and rehearsals share these words; what routers answer is in `routes`.
"""

from dataclasses import dataclass

from mooring_operator.api.rollout_status import Revision


@dataclass(frozen=True)
class Arm:
    """A revision that runs, with its part of the traffic.

    weight: percent of the requests that no rule takes; 0 for a revision that runs unexposed.
    pods: how many pods it has at least; None where its own scaling decides alone.
    exact: whether it has no more than those either, whatever its own scaling says.
    """

    revision: Revision
    weight: int = 0
    pods: int | None = None
    exact: bool = False


@dataclass(frozen=True)
class Rule:
    """Requests that go to one arm whatever the weights: those with this value of a header or a cookie."""

    revision: str
    value: str
    header: str = ""
    cookie: str = ""


@dataclass(frozen=True)
class Mirror:
    """A copy of `percent` of all requests goes to this arm, whose answers nobody gets."""

    revision: str
    percent: int


@dataclass(frozen=True)
class Routing:
    """All that a router carries out for one deployment.

    arms: the revisions that run; the first is the stable one, and the weights add up to 100.
    rules: in order; the first that matches a request takes it.
    sticky: name of the cookie that keeps a caller on the arm that answered first; empty for none.
    preview: revision behind the preview address; empty for none.
    kept: revisions that stay without pods, to go back to.
    rejected: revision that was just taken from traffic, for routers that hold it.
    ended: whether a rollout has just ended, so that what it left behind is looked for and removed.
    """

    arms: tuple[Arm, ...]
    rules: tuple[Rule, ...] = ()
    mirror: Mirror | None = None
    sticky: str = ""
    preview: str = ""
    kept: tuple[Revision, ...] = ()
    rejected: Revision | None = None
    ended: bool = False

    @property
    def stable(self) -> Revision:
        """The revision that traffic belongs to."""
        return self.arms[0].revision
