"""Says why one Service cannot send requests to several revisions."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mooring_operator.adapters.routers.inference_services.revision_manifest import is_as_adopted
from mooring_operator.adapters.routers.inference_services.revisions import RevisionsSeen
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects.owner import Manifest

_AT_ONCE = (
    "; have the new one take over at once, by spec.rollout.strategy BlueGreen or a single step setWeight 100"
)


def why_not_one_service(entries: Mapping[str, str], ports: Mapping[str, list[Manifest]]) -> str:
    """Say why one Service cannot send requests to all revisions; nothing where it can."""
    known = {name: found for name, found in ports.items() if found}
    names = sorted(known)
    if len({entries[name] for name in names}) > 1:
        said = "; ".join(f"{name} at its {entries[name]}" for name in names)
        return f"revisions take requests at different components, which one Service cannot select: {said}{_AT_ONCE}"
    if all(known[name] == known[names[0]] for name in names):
        return ""
    said = "; ".join(f"{name} on {_listed(known[name])}" for name in names)
    return f"revisions listen on different ports, which one Service cannot send requests to: {said}{_AT_ONCE}"


def why_not_selected_together(revisions: Sequence[Revision], seen: RevisionsSeen) -> str:
    """Say that pods which were taken over share no label with others; nothing where they are alone, or gone."""
    for revision in revisions if len(seen.services) > 1 else ():
        adopted, variant = revision.adopted_service, seen.variants.get(revision.revision)
        service = seen.services.get(adopted.name) if adopted is not None else None
        if service is not None and is_as_adopted(service, revision) and variant is not None and variant.pods:
            return (
                f"pods of InferenceService {service['metadata']['name']}, which was taken over, have no label of "
                f"Mooring's, by which one Service could send requests to them and to others{_AT_ONCE}"
            )
    return ""


def _listed(ports: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(str(port.get("targetPort", port.get("port"))) for port in ports)
