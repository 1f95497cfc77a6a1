"""A world whose router serves each revision by itself: pods come one at a time, and go at once."""

from dataclasses import dataclass, field, replace

from mooring_operator.planning.rollout.actions import Action, RemoveService, Route
from mooring_operator.planning.rollout.decision import Decision
from mooring_operator.planning.routes import Beside, CollectorState, Service, Traits, Variant
from mooring_operator.planning.routing import Routing

from tests.unit.operator.planning.world import World, spec_of

EACH = Traits("Flows", 40, serves_each=True)
MANY = 1000


@dataclass
class Fleet(World):
    """`room` is how many pods there may be altogether; `load` how many the stable revision's autoscaler wants."""

    router: Traits = EACH
    room: int = MANY
    autoscaled: bool = False
    """Whether an autoscaler has every revision have its own least number of pods, unless it is told otherwise."""
    load: int = 0
    routing: Routing | None = None
    pods: dict[str, int] = field(default_factory=dict)
    routed: dict[str, int] = field(default_factory=dict)  # type: ignore[assignment]
    takes_up: bool = True
    effective: Routing | None = None
    """The routing that was taken up last."""
    away: str = ""
    collector: CollectorState | None = None
    """How the collector does of every revision, where its server keeps no requests."""
    carried_out: list[tuple[Routing, dict[str, int]]] = field(default_factory=list)
    """Every routing that was asked for, with the pods that were ready then."""

    def step(self, *, crash_after: int | None = None) -> Decision:
        self._scale()
        return super().step(crash_after=crash_after)

    def weights(self) -> dict[str, int]:
        """Who gets how much, by the model."""
        return {self.model_of(revision): weight for revision, weight in self.routed.items() if weight}

    def running(self) -> dict[str, int]:
        """How many pods each model has."""
        return {self.model_of(revision): pods for revision, pods in self.pods.items()}

    def model_of(self, revision: str) -> str:
        known = [
            self.status.stable,
            self.status.candidate,
            *self.status.retained,
            *(arm.revision for routing, _ in self.carried_out for arm in routing.arms),
        ]
        return next(
            r.storage_uri.removeprefix("s3://m/") for r in known if r is not None and r.revision == revision
        )

    def kill(self, role: str, pods: int) -> None:
        """Take pods of the stable revision, of the candidate, of those that are left, or of all."""
        status = self.status
        one = {"stable": status.stable, "candidate": status.candidate}
        hit = {
            "leaving": [known.revision for known in status.retained],
            "all": list(self.pods),
        }.get(role) or [known.revision for known in (one.get(role),) if known is not None]
        self.pods |= {name: max(0, self.pods[name] - pods) for name in hit if name in self.pods}

    def _service(self) -> Service | None:
        if self.routing is None:
            return None
        revisions = [arm.revision for arm in self.routing.arms] + list(self.routing.kept)
        variants = {}
        unsettled = self.effective != self.routing
        for revision in revisions:
            ready, pods = self.pods.get(revision.revision, 0) > 0, self.pods.get(revision.revision, 0)
            why = "" if ready else "CrashLoopBackOff"
            # Nobody can tell what a gateway does that has not answered; who counts pods sees what is.
            told = self.router.weighs_by_pods or not unsettled
            weight = self.routed.get(revision.revision, 0) if told else 0
            variants[revision.revision] = Variant(
                ready,
                weight,
                revision.workload,
                why,
                pods=pods,
                waiting=self.away,
                beside=self._beside(revision.revision),
                collector=self.collector,
            )
        shared = sum(1 for weight in self.routed.values() if weight) > 1
        return Service("http://digits.ns", variants, shared, unsettled=unsettled)

    def _beside(self, revision: str) -> Beside:
        routing = self.effective
        if routing is None:
            return Beside()
        copies = routing.mirror is not None and routing.mirror.revision == revision
        return Beside(
            routing.mirror.percent if routing.mirror is not None and copies else 0,
            any(rule.revision == revision for rule in routing.rules),
            routing.preview == revision,
        )

    def _do(self, action: Action) -> None:
        if isinstance(action, Route):
            self.actions.append(action)
            self._route(action.routing)
            return
        if isinstance(action, RemoveService):
            self.routing, self.effective, self.pods, self.routed = None, None, {}, {}
        super()._do(action)

    def _route(self, routing: Routing) -> None:
        self.carried_out.append((routing, dict(self.pods)))
        self.routing = replace(routing, arms=tuple(routing.arms))
        named = {arm.revision.revision for arm in routing.arms} | {r.revision for r in routing.kept}
        self.pods = {name: pods for name, pods in self.pods.items() if name in named}
        self.pods |= {r.revision: 0 for r in routing.kept if r.revision in self.pods}
        if self.takes_up:
            self.routed = {arm.revision.revision: arm.weight for arm in routing.arms}
            self.effective = routing
        for arm in routing.arms:
            self.pods[arm.revision.revision] = min(
                self.pods.get(arm.revision.revision, 0), self._target(arm.revision.revision)
            )

    def _target(self, revision: str) -> int:
        assert self.routing is not None
        arm = next(arm for arm in self.routing.arms if arm.revision.revision == revision)
        if not self.startable.get(arm.revision.storage_uri, True):
            return 0
        own = int(arm.revision.serving.get("minReplicas", 1))
        is_stable = revision == self.routing.stable.revision
        floor = own if arm.pods is None else arm.pods
        if self.autoscaled and floor and not arm.exact:
            floor = max(floor, own)
        # No autoscaler starts what was scaled to zero.
        return max(floor, self.load if is_stable and floor and not arm.exact else 0)

    def _scale(self) -> None:
        """Start one pod of each revision that lacks some, as long as there is room."""
        if self.routing is None or self.away:
            return
        for arm in self.routing.arms:
            name, target = arm.revision.revision, self._target(arm.revision.revision)
            self.pods[name] = min(self.pods.get(name, 0), target)
            if self.pods[name] < target and sum(self.pods.values()) < self.room:
                self.pods[name] += 1


def promoted(model: str = "v1", **fields: object) -> Fleet:
    """A fleet in which a first revision is promoted and has all its pods."""
    fleet = Fleet(spec_of(model, **fields))
    fleet.settle()
    for _ in range(20):
        fleet.step()
    assert fleet.status.phase == "Promoted"
    fleet.phases.clear()
    fleet.carried_out.clear()
    return fleet
