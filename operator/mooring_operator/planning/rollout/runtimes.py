"""What a revision is to run on: which serving runtime has to be looked up, and what may come of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.runtimes import PinnedRuntime


@dataclass(frozen=True)
class Named:
    """The runtime of this name: the namespace's own, else the cluster's. `field` is where the name stands."""

    name: str
    field: str = "spec.serving.runtime"


@dataclass(frozen=True)
class Followed:
    """What a revision runs on, as it is now: by its name where the spec has one, else the very same object."""

    runtime: PinnedRuntime
    name: str | None = None


@dataclass(frozen=True)
class Chosen:
    """The runtime that would be chosen for this revision, where nobody names one."""

    revision: Revision


Sought = Named | Followed | Chosen


@dataclass(frozen=True)
class NoRuntime:
    """Why it is not known what the revision is to run on; `temporary` when waiting may help.

    ask: the revision that it has to be found out about, or found out anew.
    overdue: whether it was asked, and should have been answered by now.
    """

    reason: str
    message: str
    temporary: bool = False
    ask: Revision | None = None
    overdue: bool = False


def sought(
    spec: ModelDeploymentSpec,
    wanted: Callable[[], Revision],
    like: Sequence[Revision],
    candidate: Revision | None,
    defaults: Mapping[str, str],
) -> Sought | PinnedRuntime | None:
    """Say what to look up for the revision that the spec asks for; a runtime that needs no looking up; or None.

    Args:
        spec: of a deployment whose router serves each revision by itself.
        wanted: makes the revision, but for its runtime.
        like: the revisions of the status that are the same but for their runtimes, the stable one first.
        candidate: the one on its way.
        defaults: the administrator's runtimes, by format.
    """
    serving = spec.serving
    if serving.is_custom:
        return None
    if like:
        # A revision keeps the default that it began with, or what was chosen: others are for those that come later.
        runtime = like[0].runtime
        if runtime is None or serving.runtime_policy == "Pinned":
            return runtime
        # Where what it follows is gone, what is on its way goes on.
        latest = candidate.runtime if candidate in like and candidate is not None else None
        return Followed(latest or runtime, serving.runtime)
    if serving.runtime is not None:
        return Named(serving.runtime)
    if (default := defaults.get(spec.model.format)) is not None:
        return Named(default, f"MOORING_DEFAULT_RUNTIMES, for format {spec.model.format}")
    return Chosen(wanted())
