"""Looks at an InferenceService that a deployment is to take over, and says what is in the way."""

from collections.abc import Iterator, Mapping
from typing import Any

from mooring_operator.adapters.cluster import Cluster, Ref
from mooring_operator.adapters.routers.inference_services import running
from mooring_operator.adapters.routers.inference_services.objects import INFERENCE_SERVICE
from mooring_operator.api.names import ADOPT_ANNOTATION, AdoptedService
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.routes import Adoption
from mooring_operator.planning.status.wording import one_line

_PLACE = f"metadata.annotations.{ADOPT_ANNOTATION}"
_LONGEST = 900
_MARKS = {
    "argocd": ("argocd.argoproj.io/tracking-id", "argocd.argoproj.io/installation-id"),
    "flux": ("kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name"),
    "helm": ("meta.helm.sh/release-name",),
}
_WRITERS = {
    "argocd-controller": "argocd",
    "argocd-application-controller": "argocd",
    "kustomize-controller": "flux",
    "helm-controller": "flux",
    "helm": "helm",
}
_LETS_GO = {
    "argocd": "take it out of the Application without pruning it",
    "flux": "suspend it there and take it out without pruning it",
    "helm": "take it out of the release with helm.sh/resource-policy: keep",
}


async def look(cluster: Cluster, owner: Owner, revision: Revision) -> Adoption:
    """Say whether what the deployment's annotation names can become `revision`, as it runs."""
    try:
        asked = AdoptedService.parse(owner.adopts)
    except ValueError as error:
        said = f"{_PLACE} {owner.adopts!r:.80} {error}; mooring adopt isvc/NAME writes it"
        return Adoption("", said)
    found = await cluster.get(Ref(INFERENCE_SERVICE, owner.namespace, asked.name))
    if found is None:
        return Adoption(
            str(asked),
            f"{_PLACE}: there is no InferenceService {asked.name} in namespace {owner.namespace}; "
            "take the annotation away to start pods from the spec",
        )
    if "deletionTimestamp" in found["metadata"]:
        return Adoption(
            str(asked), f"{_PLACE}: InferenceService {asked.name} is being deleted", temporary=True
        )
    if running.mode_of(found) is None:
        said = (
            f"KServe has not taken up InferenceService {asked.name} yet: it does not say its deployment mode"
        )
        return Adoption(str(asked), said, temporary=True)
    problem = _not_ours(found, owner, asked) or _other(found, revision)
    return Adoption(str(asked), problem)


def _not_ours(found: Mapping[str, Any], owner: Owner, asked: AdoptedService) -> str:
    """Say whose the InferenceService is; nothing where nothing keeps it."""
    what, uid = f"InferenceService {asked.name}", found["metadata"]["uid"]
    if uid != asked.uid:
        return (
            f"{_PLACE}: {what} has uid {uid}, not {asked.uid}: it was made anew; "
            f"write {asked.name}/{uid} where this one is meant"
        )
    controller = ownership.controller_of(found)
    if controller is not None and controller.get("uid") != owner.uid:
        return (
            f"{_PLACE}: {what} belongs to {controller.get('kind')} {controller.get('name')}, which decides about it; "
            "have that let it go, or take the annotation away to start pods from the spec"
        )
    maker = ownership.made_for(found)
    if controller is None and maker:
        return (
            f"{_PLACE}: {what} was made for ModelDeployment {maker}; take the annotation away, and apply a "
            f"ModelDeployment {maker}: it takes up what it finds of its own"
        )
    keeper = next((keeper for keeper in _keepers(found) if keeper != asked.released), None)
    if keeper is None:
        return ""
    return (
        f"{_PLACE}: {what} is kept by {keeper}, which would undo what is done here: {_LETS_GO[keeper]}, "
        f"then write {asked}/{keeper}"
    )


def _keepers(found: Mapping[str, Any]) -> Iterator[str]:
    metadata = found["metadata"]
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    for keeper, names in _MARKS.items():
        if any(name in marks for name in names):
            yield keeper
    for entry in metadata.get("managedFields") or []:
        writer = _WRITERS.get(entry.get("manager", ""))
        if writer is not None and not entry.get("subresource"):
            yield writer


def _other(found: Mapping[str, Any], revision: Revision) -> str:
    """Say in which fields the spec asks for something else than what runs; nothing where it asks for the same."""
    name, mode = found["metadata"]["name"], running.mode_of(found)
    if mode != "Standard":
        return (
            f"InferenceService {name} runs in mode {mode}, and only those of mode Standard can be taken over; "
            "take the annotation away to start pods from the spec"
        )
    lines = running.left_out(found, revision)
    if not lines:
        return ""
    told = f"the spec asks for something else than InferenceService {name} as it runs: {'; '.join(lines)}"
    return f"{one_line(told, _LONGEST)}; change the spec, or the InferenceService"
