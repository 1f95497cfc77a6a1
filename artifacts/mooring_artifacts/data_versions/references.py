"""What versions are called: `STORE/NAME@latest`, `STORE/NAME@3` or `STORE/NAME@sha256:HEX`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import Address, parse, redact

LATEST = "latest"
FORM = f"STORE/NAME@{LATEST}, STORE/NAME@NUMBER or STORE/NAME@sha256:HEX"

_SELECTOR = r"latest|[1-9][0-9]{0,5}|sha256:[0-9a-f]{8,64}"
_SELECTOR_FORM = re.compile(_SELECTOR)
_REFERENCE = re.compile(rf"(?P<dataset>.+/[^/@%]+)@(?P<selector>{_SELECTOR})")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_NAME_FORM = "lower-case letters, digits, dots, dashes and underscores, up to 63, the ends letters or digits"


@dataclass(frozen=True, slots=True)
class Dataset:
    """A name in a store."""

    store: Address
    name: str

    def __str__(self) -> str:
        return f"{str(self.store).rstrip('/')}/{self.name}"


@dataclass(frozen=True, slots=True)
class Reference:
    """One version of a dataset: the newest, one by its number, or one by its digest, of which the start is enough."""

    dataset: Dataset
    selector: str

    def __str__(self) -> str:
        return f"{self.dataset}@{self.selector}"


def is_reference(uri: str) -> bool:
    """Whether an address is that of a version. A file of such a name is meant where its `@` is written `%40`."""
    return _REFERENCE.fullmatch(uri) is not None


def parse_reference(uri: str, field: str = "uri") -> Reference:
    """The version that `uri` names; `field` is what an error calls it.

    Raises:
        InputError: it names none.
    """
    match = _REFERENCE.fullmatch(uri)
    if match is None:
        raise InputError(f"{field} {redact(uri)} names no version of a dataset: write {FORM}")
    return Reference(parse_dataset(match["dataset"], field), match["selector"])


def parse_dataset(uri: str, field: str = "uri") -> Dataset:
    """The dataset that `uri`, STORE/NAME, names.

    Raises:
        InputError: it is no address, or its last part cannot be a name.
    """
    address = parse(uri, field)
    folder, _, name = address.key.rpartition("/")
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{field} {redact(uri)}: {name!r:.80} cannot be a dataset's name: write {_NAME_FORM}"
        )
    return Dataset(Address(address.scheme, address.bucket, folder), name)


def check_selector(text: str, field: str) -> str:
    """A version of a dataset without the dataset: `latest`, a number or a digest, with or without `@` before it.

    Raises:
        InputError: it is none.
    """
    selector = text.removeprefix("@")
    if not _SELECTOR_FORM.fullmatch(selector):
        raise InputError(f"{field} {text!r:.80} is no version: write {LATEST}, NUMBER or sha256:HEX")
    return selector


def is_latest(uri: str) -> bool:
    """Whether an address is that of a dataset's newest version, whichever that is."""
    match = _REFERENCE.fullmatch(uri)
    return match is not None and match["selector"] == LATEST


def pin(uri: str, digest: str) -> str:
    """The address of just this version, where `uri` is that of a dataset's newest; any other address as it is."""
    return f"{uri.rpartition('@')[0]}@{digest}" if is_latest(uri) else uri
