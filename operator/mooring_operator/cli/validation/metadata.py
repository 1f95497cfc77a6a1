"""Checks ``metadata``, which a CRD's schema leaves to the API server.

Source: apimachinery, pkg/api/validation and pkg/util/validation.
"""

from collections.abc import Iterator
from typing import Any

from mooring_operator.api import forms
from mooring_operator.cli.validation.defaults import Schema
from mooring_operator.cli.validation.problem import Problem, kind_of, show

# Fields of metav1.ObjectMeta.
_FIELDS = (
    *("name", "generateName", "namespace", "labels", "annotations", "ownerReferences", "finalizers"),
    *("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "selfLink"),
    *("deletionGracePeriodSeconds", "managedFields"),
)
METADATA_SCHEMA: Schema = {
    "properties": {name: {"x-kubernetes-preserve-unknown-fields": True} for name in _FIELDS}
}


def metadata_problems(metadata: Any) -> Iterator[Problem]:
    """Yield what is wrong with an object's name, labels and annotations."""
    if not isinstance(metadata, dict):
        yield Problem(("metadata",), "is required: give the object a name in metadata.name", blocks=True)
        return
    yield from _name(metadata)
    for field in ("labels", "annotations"):
        yield from _entries(field, metadata.get(field) or {})


def _name(metadata: dict[str, Any]) -> Iterator[Problem]:
    name = metadata.get("name")
    if not isinstance(name, str) or not name:
        yield Problem(("metadata", "name"), "is required", blocks=True)
    elif not forms.OBJECT_NAME.fits(name):
        yield Problem(
            ("metadata", "name"),
            f"{show(name)} must be lower case letters, digits, - and ., at most {forms.OBJECT_NAME.longest}",
            # Rules on the name quote it.
            blocks=len(name) > forms.OBJECT_NAME.longest,
        )


def _entries(field: str, entries: Any) -> Iterator[Problem]:
    if not isinstance(entries, dict):
        yield Problem(("metadata", field), f"must be a mapping, got {kind_of(entries)}", blocks=True)
        return
    for key, entry in entries.items():
        path = ("metadata", field, key)
        if not isinstance(entry, str):
            yield Problem(path, f"must be a string, got {kind_of(entry)}; quote it", blocks=True)
        elif field == "labels" and not forms.LABEL_VALUE.fits(entry):
            yield Problem(path, f"{show(entry)} must be letters, digits, -, _ and ., at most 63")
        if not _is_qualified(key if field == "labels" else key.lower()):
            yield Problem(path, f"{show(key)} is no key: write NAME or DOMAIN/NAME, at most 63 for NAME")


def _is_qualified(key: str) -> bool:
    domain, slash, name = key.rpartition("/")
    return bool(name) and forms.LABEL_VALUE.fits(name) and (not slash or forms.OBJECT_NAME.fits(domain))
