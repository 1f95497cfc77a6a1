"""Who runs and gets which traffic, as it follows from a status and from the pods that are there."""

from dataclasses import dataclass, replace

from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.rollout import retained, serving, variants
from mooring_operator.planning.rollout.draft import Draft
from mooring_operator.planning.rollout.variants import Side
from mooring_operator.planning.routes import Variant
from mooring_operator.planning.routing import Arm, Mirror, Routing, Rule
from mooring_operator.planning.strategies import capacity


def routing_of(draft: Draft) -> Routing | None:
    """Give what the router is to carry out; None where nothing is to be served."""
    stable, candidate = draft.stable, draft.candidate
    running = candidate if candidate is not None and candidate.runs else None
    if stable is None:
        return None if running is None else Routing((Arm(running, 100),))
    if draft.observed.router.serves_each:
        return _each(draft, stable, running)
    if running is not None:
        return Routing((Arm(stable, 100 - running.weight), Arm(running, running.weight)))
    return Routing((Arm(stable, 100),), rejected=draft.status.rejected, ended=_has_just_ended(draft))


def seen_of(draft: Draft, candidate: Candidate) -> capacity.Seen:
    """Give the pods of both sides; a router that tells none is taken at its word that all are ready."""
    whole = candidate.stable_pods or 1
    ready = _pods(variant_of(draft, candidate), whole)
    stable = _pods(variant_of(draft, draft.stable), whole) if draft.stable is not None else 0
    return capacity.Seen(whole, ready, stable, candidate.settled, capacity.count(candidate.replicas, whole))


def share_of(draft: Draft, candidate: Candidate) -> capacity.Share:
    """Give what the candidate gets now, and the pods that both sides should have."""
    seen = seen_of(draft, candidate)
    # One that is held at less, by a freeze for example, was begun by another strategy: so far both have pods.
    if draft.spec.rollout.strategy == "Recreate" and candidate.weight == 100:
        return capacity.share_in_place(seen)
    if draft.observed.router.weighs_by_pods:
        return capacity.share_by_pods(candidate.weight, seen)
    return capacity.share(candidate.weight, seen, surge=_surge(draft, seen.whole))


@dataclass(frozen=True)
class SideSeen:
    """What a variant of a test gets now, and the pods that it should have and has."""

    weight: int
    pods: int
    ready: int

    @property
    def is_ready(self) -> bool:
        """Whether it has the pods for all that it should get."""
        return self.ready >= self.pods


def seen_of_side(draft: Draft, candidate: Candidate, side: Side) -> SideSeen:
    """Give how a variant does beside the candidate of its test: like that, it gets what its pods carry."""
    whole = candidate.stable_pods or 1
    ready = _pods(variant_of(draft, side.revision), whole)
    least = capacity.count(candidate.replicas, whole)
    pods = max(capacity.needed(side.asked.weight, whole), least)
    return SideSeen(min(side.asked.weight, capacity.carried(ready, whole)), pods, ready)


def variant_of(draft: Draft, revision: Revision | None) -> Variant | None:
    """Give how a revision does, as the router tells it."""
    service = draft.observed.service
    return service.variants.get(revision.revision) if service is not None and revision is not None else None


def _each(draft: Draft, stable: Revision, running: Candidate | None) -> Routing:
    sides = variants.running(draft)
    shared = [side.revision for side in sides]
    leaving = [
        known for known in draft.status.retained if known not in shared and retained.is_leaving(draft, known)
    ]
    share = share_of(draft, running) if running is not None else None
    # An autoscaler would bring pods that there is no room for, and give back none that the other side waits for.
    bounded = draft.spec.rollout.max_surge is not None
    arms: list[Arm] = []
    if running is not None and share is not None:
        beside = [(side.revision, seen_of_side(draft, running, side)) for side in sides]
        arms = [
            Arm(running, share.weight, share.pods, exact=bounded),
            *(Arm(one, seen.weight, seen.pods) for one, seen in beside),
        ]
    keeps = [retained.keeps(draft, known) for known in leaving]
    # What stable lacks the pods for is one part of the traffic, however many are leaving.
    room = min(max(keeps, default=0), 100 - sum(arm.weight for arm in arms))
    for known, weight in zip(leaving, keeps, strict=True):
        arms.append(Arm(known, min(weight, room), known.pods, exact=bounded))
        room -= arms[-1].weight
    floor = max((known.stable_pods for known in leaving), default=None)
    if share is not None:
        floor = share.stable_pods
    main = Arm(stable, 100 - sum(arm.weight for arm in arms), floor, exact=bounded and share is not None)
    kept = tuple(known for known in draft.status.retained if known not in [*shared, *leaving])
    routing = Routing((main, *arms), kept=kept, ended=_has_just_ended(draft))
    return routing if running is None else _exposed(draft, routing, running)


def _exposed(draft: Draft, routing: Routing, running: Candidate) -> Routing:
    """Add what the candidate gets beside its weight; nothing that it is not ready for."""
    router, rollout, seen = draft.observed.router, draft.spec.rollout, seen_of(draft, running)
    if rollout.strategy == "BlueGreen" and router.previews:
        routing = replace(routing, preview=running.revision)
    if running.mirror and router.mirrors and seen.pods:
        routing = replace(routing, mirror=Mirror(running.revision, running.mirror))
    test = rollout.ab_test
    if test is None or not running.matched:
        return routing
    to = {
        side.asked.name: side.revision.revision
        for side in variants.running(draft)
        if seen_of_side(draft, running, side).is_ready
    }
    if seen.pods >= share_of(draft, running).pods:
        to["New"] = running.revision
    if not to:
        return routing
    # Who is to go where there are no pods yet gets the stable revision, and no other match has a say.
    stable = routing.stable.revision
    rules = tuple(
        Rule(to.get(match.to, stable), match.value, match.header or "", match.cookie or "")
        for match in test.matches
        if router.matches
    )
    return replace(routing, rules=rules, sticky=(test.sticky or "") if router.sticks else "")


def _pods(variant: Variant | None, whole: int) -> int:
    if variant is None:
        return 0
    if variant.pods is None:
        return whole if variant.ready else 0
    return variant.pods


def _surge(draft: Draft, whole: int) -> int | None:
    surge = draft.spec.rollout.max_surge
    if surge is None:
        return None
    return capacity.count(surge, whole)


def _has_just_ended(draft: Draft) -> bool:
    """Whether a rollout may have left something behind."""
    before, status = draft.before, draft.status
    service = draft.observed.service
    beside = service is not None and service.shared
    ended = before.phase != status.phase or status.phase == "Promoting" or before.retained != status.retained
    ended, shared = ended or beside, status.previous is not None or before.candidate is not None
    if draft.candidate is None and serving.has_just_been_recovered(draft):
        return True
    return before.stable is not None and draft.candidate is None and ended and shared
