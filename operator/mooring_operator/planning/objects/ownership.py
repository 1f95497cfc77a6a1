"""Whose an object is: Mooring acts on what its own resource controls, and on nothing else.

Source: Kubernetes, "Owners and Dependents"; of several owners at most one is the controller.
"""

from collections.abc import Mapping
from typing import Any, Literal

from mooring_operator.api import API_VERSION
from mooring_operator.api.names import (
    ADOPT_ANNOTATION,
    DEPLOYMENT_LABEL,
    FIELD_MANAGER,
    MANAGED_BY,
    MANAGED_BY_VALUE,
)
from mooring_operator.planning.objects.difference import covers
from mooring_operator.planning.objects.owner import Manifest, Owner

Whose = Literal["ours", "leaving", "foreign"]
"""ours: controlled by the owner, or left without a controller and ours to take up again.
leaving: of an earlier resource of the same name; garbage collection removes it.
foreign: somebody else's."""


def owner_reference(owner: Owner, kind: str = "ModelDeployment") -> Manifest:
    """Give the reference that makes an object controlled by `owner`, and deleted with it."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def owned_labels(deployment: str) -> dict[str, str]:
    """Give the labels of everything that is made for a ModelDeployment of this name."""
    return {
        MANAGED_BY: MANAGED_BY_VALUE,
        "app.kubernetes.io/part-of": "mooring",
        DEPLOYMENT_LABEL: deployment,
    }


def whose(manifest: Mapping[str, Any], owner: Owner, kind: str = "ModelDeployment") -> Whose:
    """Say whose an object is that has the name of one that `owner` would make.

    An object without a controller is ours where Mooring applied it, which the API server records, or where somebody
    who may write it hands it over by annotation.
    """
    controller = controller_of(manifest)
    if controller is None:
        return "ours" if _applied_by_us(manifest) or _handed_over(manifest, owner) else "foreign"
    if controller.get("uid") == owner.uid:
        return "ours"
    named = controller.get("apiVersion"), controller.get("kind"), controller.get("name")
    return "leaving" if named == (API_VERSION, kind, owner.name) else "foreign"


def was_made_for(manifest: Mapping[str, Any], owner: Owner) -> bool:
    """Whether an object is there by the owner, or by one of its name before it, and was not handed over only."""
    return is_controlled_by(manifest, owner.uid) or _applied_by_us(manifest)


def made_for(manifest: Mapping[str, Any]) -> str:
    """Give the name of the ModelDeployment that an object's labels say it was made for; empty where none do."""
    labels = manifest["metadata"].get("labels") or {}
    return str(labels.get(DEPLOYMENT_LABEL) or "") if labels.get(MANAGED_BY) == MANAGED_BY_VALUE else ""


def controller_of(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give the owner reference of the object's controller; None where it has none."""
    references = manifest["metadata"].get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)


def is_controlled_by(manifest: Mapping[str, Any], uid: str) -> bool:
    """Whether the controller of an object is the one with this uid."""
    return bool((controller_of(manifest) or {}).get("uid") == uid)


def name_taken(manifest: Mapping[str, Any], owner: Owner) -> str:
    """Say that an object's name is taken, by whom, and how it can be handed over."""
    kind, name = manifest["kind"], manifest["metadata"]["name"]
    controller = controller_of(manifest)
    if controller is not None:
        return (
            f"{kind} {name} belongs to {controller.get('kind')} {controller.get('name')}; "
            "delete it, or give this resource another name"
        )
    resource = (
        f"{kind.lower()}.{manifest['apiVersion'].partition('/')[0]}"
        if "/" in manifest["apiVersion"]
        else kind
    )
    return (
        f"{kind} {name} exists and was not made for this resource; delete it, give this resource another name, or "
        f"hand it over: kubectl annotate {resource} {name} {ADOPT_ANNOTATION}={owner.name}"
    )


def name_leaving(manifest: Mapping[str, Any]) -> str:
    """Say that an object of an earlier resource of the same name is in the way for a moment."""
    return (
        f"{manifest['kind']} {manifest['metadata']['name']} belongs to an earlier resource of this name; "
        "waiting for Kubernetes to remove it"
    )


def already_says(seen: Mapping[str, Any], wanted: Manifest) -> bool:
    """Whether an object of ours was applied from this manifest, and nobody has changed our part since.

    Our part is the spec, and in the metadata the owner, the labels and the annotations.
    """
    metadata, ours = seen["metadata"], wanted["metadata"]
    owners = metadata.get("ownerReferences") or []
    return (
        all(covers(metadata.get(part) or {}, ours.get(part, {})) for part in ("labels", "annotations"))
        and all(any(covers(there, owner) for there in owners) for owner in ours.get("ownerReferences", []))
        and covers(seen.get("spec"), wanted["spec"])
    )


def _applied_by_us(manifest: Mapping[str, Any]) -> bool:
    entries = manifest["metadata"].get("managedFields") or []
    return any(
        entry.get("manager") == FIELD_MANAGER and "f:spec" in (entry.get("fieldsV1") or {})
        for entry in entries
    )


def _handed_over(manifest: Mapping[str, Any], owner: Owner) -> bool:
    annotations = manifest["metadata"].get("annotations") or {}
    return bool(annotations.get(ADOPT_ANNOTATION) == owner.name)
