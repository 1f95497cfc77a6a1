"""What a strategy demands of a router, by what the router says of itself."""

from collections.abc import Iterator
from typing import get_args

from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.names import AdoptedService
from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.api.serving import ServingSpec
from mooring_operator.api.strategies import ABTest, Shadow, StrategyName
from mooring_operator.planning.routes import Traits
from mooring_operator.planning.status.wording import because
from mooring_operator.planning.strategies.course import Exposure, course_of

_IN_EVERY_STRATEGY = frozenset({"steps", "maxSurge", "abTest.replicas"})
_OTHER_PODS = "give a revision other pods than its share of the traffic"


def why_unsupported(rollout: RolloutSpec, router: Traits, name: str = "") -> str:
    """Say which fields ask for what the router cannot carry out, and the way out; nothing where it can.

    name: of the router, as in ``spec.rollout.router``.
    """
    missing = shortfalls(rollout, router)
    if not missing:
        return ""
    named = dict.fromkeys(
        f"strategy {rollout.strategy}" if field == "strategy" else field for field, _ in missing
    )
    fields = ", ".join(f"spec.rollout.{field}" for field in named)
    lacks = ", nor ".join(dict.fromkeys(what for _, what in missing))
    others = [other for other in get_args(StrategyName) if other != rollout.strategy]
    # Another strategy has no use for what only its settings ask too much of.
    edited = all(field in _IN_EVERY_STRATEGY for field, _ in missing)
    able = [] if edited else [other for other in others if not list(_missing_of(other, router))]
    ways = f"write {'one of ' * (len(able) > 1)}{', '.join(able)}" if able else "change them"
    return (
        f"{fields}: router {name or 'of this deployment'} cannot {lacks}{because(router.lacking)}; {ways}, or make "
        "another ModelDeployment with a router that can"
    )


def why_not_beside(rollout: RolloutSpec, router: Traits, adopted: AdoptedService | None) -> str:
    """Say that what was taken over cannot share its traffic as the steps ask; nothing where it can."""
    parts = any(isinstance(stage, Exposure) and 0 < stage.weight < 100 for stage in course_of(rollout))
    if adopted is None or not router.weighs_by_pods or not parts:
        return ""
    return (
        f"spec.rollout: pods of {adopted.name}, which was taken over, get all requests or none by this router, and "
        f"{rollout.strategy} as it is asked for shares them: write steps: [{{setWeight: 100}}] for this rollout"
    )


def shortfalls(rollout: RolloutSpec, router: Traits) -> list[tuple[str, str]]:
    """Give the fields of ``spec.rollout`` that ask for more than the router can, each with what that is."""
    return list(dict.fromkeys(_missing(rollout, router)))


def unmet(spec: ModelDeploymentSpec, router: Traits) -> list[str]:
    """Give what a deployment asks for and the router does not do, in words that follow "it cannot"."""
    found = [what for _, what in shortfalls(spec.rollout, router)]
    if not router.splits_components and (spec.serving.transformer or spec.serving.explainer):
        found.append("split the requests of a transformer or an explainer")
    if why_unpinned(spec.serving, router):
        found.append("keep a revision on its runtime as it was (runtimePolicy Pinned)")
    return list(dict.fromkeys(found))


def why_otherwise(spec: ModelDeploymentSpec, router: Traits, name: str = "") -> str:
    """Say what the router may carry out in another way than it is asked for; nothing where it does as it is told.

    name: of the router, as in ``spec.rollout.router``.
    """
    whys = (
        why_unpinned(spec.serving, router),
        _why_all_copied(spec.rollout, router),
        why_unheard(spec.rollout, router, name),
    )
    return "; ".join(filter(None, whys))


def why_unheard(rollout: RolloutSpec, router: Traits, name: str = "") -> str:
    """Say that no request comes by the Gateway or the host name of the spec; nothing where it does.

    name: of the router, as in ``spec.rollout.router``.
    """
    asked = [field for field in ("gateway", "host") if getattr(rollout, field) is not None]
    if router.hears_hosts or not asked:
        return ""
    fields = " and ".join(f"spec.rollout.{field}" for field in asked)
    return (
        f"{fields}: no effect with router {name or 'of this deployment'}; leave out what has none, or make another "
        "ModelDeployment with router Gateway"
    )


def why_unpinned(serving: ServingSpec, router: Traits) -> str:
    """Say that pods follow an edited runtime at once, where they are to stay as they are; nothing where they stay."""
    if router.serves_each or serving.is_custom or serving.runtime_policy != "Pinned":
        return ""
    return (
        "spec.serving.runtimePolicy Pinned: revisions run on the serving runtime itself, and an edit of it reaches all "
        "pods at once; leave it out, or make another ModelDeployment with a router that serves each revision by itself"
    )


def what_pinning_does(serving: ServingSpec, router: Traits) -> str:
    """Say what becomes of edits of the runtime where they are to do nothing; nothing where they are followed."""
    if serving.is_custom or serving.runtime_policy != "Pinned":
        return ""
    return (
        why_unpinned(serving, router)
        or "spec.serving.runtimePolicy Pinned: edits of the runtime roll nothing out"
    )


def _why_all_copied(rollout: RolloutSpec, router: Traits) -> str:
    shadow = (rollout.shadow or Shadow()) if rollout.strategy == "Shadow" else None
    if shadow is None or shadow.percent == 100 or not router.mirrors or router.mirrors_part:
        return ""
    return (
        f"spec.rollout.shadow.percent {shadow.percent}: all requests may be copied, not {shadow.percent}%"
        f"{because(router.lacking)}; let it be 100, so that the new revision has pods for all, or count what it gets"
    )


def _missing(rollout: RolloutSpec, router: Traits) -> Iterator[tuple[str, str]]:
    yield from _missing_of(rollout.strategy, router)
    if rollout.strategy == "Canary" and not router.serves_each:
        if any(isinstance(stage, Exposure) and stage.weight == 0 for stage in course_of(rollout)):
            yield "steps", "run a revision without traffic (setWeight 0)"
        if any(step.set_replicas is not None for step in rollout.steps):
            yield "steps", "give a revision pods of its own (setReplicas)"
    if rollout.max_surge is not None and not router.serves_each:
        yield "maxSurge", "count the pods of each revision"
    if router.weighs_by_pods:
        yield from _missing_where_pods_are_the_share(rollout)
    test = rollout.ab_test
    if test is not None and test.matches and not router.matches:
        yield "abTest.matches", "send requests by a header or a cookie"
    if test is not None and test.sticky is not None and not router.sticks:
        yield "abTest.sticky", "keep a caller with a revision"
    if test is not None and test.variants and not router.splits_many:
        yield "abTest.variants", "split traffic between more than two revisions"


def _missing_where_pods_are_the_share(rollout: RolloutSpec) -> Iterator[tuple[str, str]]:
    shared = [stage for stage in course_of(rollout) if isinstance(stage, Exposure) and 0 < stage.weight < 100]
    if rollout.strategy == "Canary" and any(stage.replicas for stage in shared):
        yield "steps", f"{_OTHER_PODS} (setReplicas before a weight below 100)"
    test = rollout.ab_test
    # Every test has its default: pods are then what the weight says.
    if test is not None and test.weight and test.replicas != ABTest().replicas:
        yield "abTest.replicas", _OTHER_PODS
    if rollout.max_surge is not None:
        yield "maxSurge", "bound the pods beyond those of the stable revision"


def _missing_of(strategy: StrategyName, router: Traits) -> Iterator[tuple[str, str]]:
    if strategy != "Canary" and not router.serves_each:
        yield "strategy", "serve each revision by itself"
    if strategy == "BlueGreen" and not router.previews:
        yield "strategy", "give a revision an address of its own before it takes over"
    if strategy == "Shadow" and not router.mirrors:
        yield "strategy", "copy requests"
