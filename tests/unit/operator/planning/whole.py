"""A world with everything: revisions that answer, runtimes that are edited, evidence elsewhere, others' turns."""

from dataclasses import dataclass, field, replace

from mooring_operator.api import reasons
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning.analysis.counting import Request
from mooring_operator.planning.rollout.actions import Action, AskForRuntime, ForgetRuntime
from mooring_operator.planning.rollout.neighbours import Turn
from mooring_operator.planning.rollout.runtimes import Chosen, Followed, NoRuntime
from mooring_operator.planning.rollout.situation import Observed, runtime_sought
from mooring_operator.planning.routes import Traits

from tests.unit.operator.planning.fleet import EACH
from tests.unit.operator.planning.judged import AnsweringFleet
from tests.unit.operator.planning.world import digest

NO_RUNTIME = NoRuntime(reasons.RUNTIME_NOT_FOUND, "there is no such runtime")


@dataclass
class Whole(AnsweringFleet):
    """`image` is what the one runtime of the cluster runs, nothing where it is gone."""

    router: Traits = EACH
    image: str = "a"
    asked_for: set[str] = field(default_factory=set)
    """The revisions for which it was asked which runtime would be chosen."""

    def observe(self) -> Observed:
        observed = super().observe()
        sought = runtime_sought(self.spec, self.status, observed)
        if sought is None:
            return observed
        if isinstance(sought, PinnedRuntime):
            return replace(observed, runtime=sought)
        latest = pinned(self.image) if self.image else None
        if isinstance(sought, Followed):
            return replace(observed, runtime=latest or sought.runtime)
        if isinstance(sought, Chosen) and sought.revision.revision not in self.asked_for:
            choosing = NoRuntime(reasons.CHOOSING_RUNTIME, "it is asked", temporary=True, ask=sought.revision)
            return replace(observed, runtime=choosing)
        asked = isinstance(sought, Chosen) and latest is not None
        return replace(observed, runtime=latest or NO_RUNTIME, runtime_asked=asked)

    def share(self, request: Request) -> float:
        """Give what the router really sends to the candidate, copies too."""
        weight = self.routed.get(request.candidate, 0)
        mirror = self.effective.mirror if self.effective is not None else None
        copied = mirror.percent if mirror is not None and mirror.revision == request.candidate else 0
        return max(weight, copied) / 100

    def promote_elsewhere(self, model: str | None) -> None:
        """Have the deployment that others wait for promote a model, or none."""
        self.evidence = {("ns", "staging"): digest(f"s3://m/{model}")} if model is not None else {}

    def queue(self, others: int) -> None:
        """Have so many others of the namespace roll out."""
        self.others = tuple(Turn(f"other-{number}", rolls=True) for number in range(others))

    def _do(self, action: Action) -> None:
        match action:
            case AskForRuntime(revision):
                self.asked_for.add(revision.revision)
            case ForgetRuntime():
                self.asked_for.clear()
        super()._do(action)


def pinned(image: str) -> PinnedRuntime:
    spec = {"containers": [{"name": "kserve-container", "image": f"registry.example.com/onnx:{image}"}]}
    return PinnedRuntime(kind="ServingRuntime", name="onnx", spec=spec)
