"""What routers say: of themselves, and of how the revisions behind them do.

A router decides who gets how much traffic; plans know nothing of it but this.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mooring_operator.api import forms
from mooring_operator.api.routers import RouterName
from mooring_operator.api.serving import ServingSpec

_TRANSFORMER = len("transformer") - len("predictor")


@dataclass(frozen=True)
class Traits:
    """What a router says of itself.

    controller: who carries out what the router writes, as messages call it.
    longest_names: how many characters the name and the namespace of a deployment may have together.
    names_workloads: whether each revision's workload has the name that the plan gives it, and no other; where not,
        the controller makes the names, and what is observed tells them.
    renames_for_files_only: whether a workload's name can only change together with the model's files.
    holds_rejected: whether a rejected revision stays where it is, without traffic, until another one comes.
    splits_components: whether what runs before the model, or beside it, has its revision's share of the requests too.
    serves_each: whether each revision is served by an object of its own: it can run unexposed, and be kept to go back
        to.
    scales_in_place: whether another number of replicas, or other bounds of their scaling, start no pod anew.
    weighs_by_pods: whether a revision's share is that of its pods, so that only some weights can be had.
    adopts: whether it can take over a service that runs, with its pods as they are.
    mirrors, matches, sticks, previews: whether it mirrors requests, sends them by header or cookie, keeps callers on
        their arm, gives the candidate an address of its own.
    splits_many: whether more than two revisions have parts of the traffic of their own.
    hears_hosts: whether requests come by the Gateway, and the host name, that the spec names.
    mirrors_part: whether a mirror gets the percent that it should, and not all requests.
    lacking: why it can do less in this cluster than elsewhere, or nobody knows; empty where it can do all of it.
    """

    controller: str
    longest_names: int
    names_workloads: bool = True
    renames_for_files_only: bool = False
    holds_rejected: bool = False
    splits_components: bool = True
    serves_each: bool = False
    scales_in_place: bool = True
    weighs_by_pods: bool = False
    adopts: bool = False
    mirrors: bool = False
    matches: bool = False
    sticks: bool = False
    previews: bool = False
    splits_many: bool = False
    hears_hosts: bool = False
    mirrors_part: bool = True
    lacking: str = ""


def why_too_long(name: str, namespace: str, router: Traits, serving: ServingSpec) -> str:
    """Say that the router's controller would make names of these that are too long; nothing where they fit.

    A transformer is the entry of its revision, and its host names are longer than the model's.
    """
    more = _TRANSFORMER if serving.transformer is not None else 0
    together, alone = router.longest_names - more, forms.DEPLOYMENT_NAME.longest - more // _TRANSFORMER
    length = len(name) + len(namespace)
    if length <= together and len(name) <= alone:
        return ""
    before = " before a transformer" if more else ""
    # Where the namespace is not known, it is the name alone.
    both = f"metadata.name {name!r} and namespace {namespace!r} have {length} characters together"
    return (
        f"{both if namespace else f'metadata.name {name!r} has {length} characters'}; {router.controller}'s host names "
        f"allow {together}{before}, and {alone} for the name alone: choose a shorter name"
    )


@dataclass(frozen=True)
class RouterChoice:
    """Which router a deployment has, and why.

    held: why it is not the one that the spec asks for; empty where it is.
    """

    name: RouterName
    why: str
    held: str = ""


@dataclass(frozen=True)
class Beside:
    """What requests a revision really gets beside its weight.

    mirrored: percent of the requests that it gets a copy of.
    matched: whether a header or a cookie leads to it.
    previewed: whether the preview address does; None where there is none.
    unpreviewed: why there can be none.
    """

    mirrored: int = 0
    matched: bool = False
    previewed: bool | None = None
    unpreviewed: str = ""


@dataclass(frozen=True)
class Adoption:
    """What was found of the service that runs and is to become the first revision.

    service: that very service, as `Revision.adopted` keeps it.
    refusal: why it cannot be taken over, and the way out; empty where it can.
    temporary: whether waiting may help.
    """

    service: str
    refusal: str = ""
    temporary: bool = False


@dataclass(frozen=True)
class CollectorState:
    """How the collector does that keeps a revision's requests, where its own server keeps none.

    `taken` says where else requests are sent, in a place where there is room for one receiver.
    `problem` says why it does not run, `starting` that it does not yet; it runs where all are empty.
    `blocked` says that an object of somebody else's has its name, and nothing is to be written.
    """

    taken: str = ""
    problem: str = ""
    starting: str = ""
    blocked: bool = False


@dataclass(frozen=True)
class Variant:
    """One side of the traffic split as the router reports it.

    `weight` is the percent that it really gets; None where that is not known.
    `pods` are the ready ones; None where they are not told.
    `beside` is what it gets without a weight; None where that is not told.
    `waiting` names what it waits for that is not its own doing (a controller that is away): its clock stands.
    `blocked` says why waiting will not help.
    `address` is where it alone answers inside of the cluster; empty where that is not told.
    `collector` is how the collector of its requests does; None where it has none.
    """

    ready: bool
    weight: int | None = None
    workload: str | None = None
    message: str = ""
    blocked: str | None = None
    pods: int | None = None
    waiting: str = ""
    beside: Beside | None = None
    address: str = ""
    collector: CollectorState | None = None


@dataclass(frozen=True)
class Running:
    """A revision that gets requests, as what is there tells without any status.

    revision: empty where that is not told; `workload` is its name as `Revision.workload` keeps it.
    weight: percent of the requests.
    place: the object that runs it, and the address of its model, for messages.
    """

    revision: str
    weight: int
    place: str
    workload: str | None = None

    def __str__(self) -> str:
        """Give it as messages name it."""
        return f"revision {self.revision or 'of no known name'} ({self.place}) gets {self.weight}%"


@dataclass(frozen=True)
class UnderTest:
    """How a revision does that runs for its test alone.

    blocked: why it will not become ready by itself.
    address, model_name: where it answers, and what it calls the model.
    """

    ready: bool
    message: str = ""
    blocked: str | None = None
    address: str = ""
    model_name: str = ""


@dataclass(frozen=True)
class Service:
    """What is served, in words that hold for every router; `manifest` is for the router alone.

    variants: by revision, those that were asked about and that the router has taken up.
    shared: whether a revision beside the first that was asked about still has a part in the traffic, or a place in it.
    problem: why the router cannot give a candidate its weight, or cannot tell whether it has it.
    unsettled: whether requests may still go as an earlier routing says, whatever the weights are.
    lagging: whether the problem is one that comes with every change and ends in a moment: what decides about requests
        does as it was told before, and has yet to say that it knows more.
    """

    url: str
    variants: Mapping[str, Variant]
    shared: bool = False
    problem: str = ""
    unsettled: bool = False
    lagging: bool = False
    manifest: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
