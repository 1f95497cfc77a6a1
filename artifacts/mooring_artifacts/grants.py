"""Which addresses the operator may read itself, for whom: what an administrator grants.

The operator's credentials reach further than a tenant's. An address that a tenant wrote is opened with them only
where a grant names the tenant's namespace and the address:

    - namespaces: [team-a, team-a-*]
      addresses: ["s3://team-a/models/", "models:/team-a-"]
      aliases: ["models:/team-a-"]

Addresses in stores stand for what is at or below them, whole segments of the path only: `s3://team-a` does not reach
into `s3://team-ab`. Behind `models:/` stands the beginning of a registered model's name; `models:/iris/` and
`models:/iris@` are the versions and the aliases of one. `s3://` alone stands for every bucket. `aliases` are those
that it may move: of the models whose names begin so, of one (`models:/iris@`), or one (`models:/iris@champion`).
Nothing is granted by default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from mooring_artifacts.errors import InputError
from mooring_artifacts.uris import Address, parse, redact

_NAMESPACE = re.compile(r"[a-z0-9*]([-a-z0-9*]{0,61}[a-z0-9*])?")
_MODELS = "models:/"
_ALIASES = re.compile(r"models:/[^/:@*\s]*|models:/[^/:@*\s]+@[A-Za-z0-9_-]*")
_WHOLE_STORES = ("s3://", "gs://", "az://")
_FORM = '- {namespaces: [NAMESPACE], addresses: ["s3://BUCKET/FOLDER/", "models:/NAME"]}'


@dataclass(frozen=True, slots=True)
class Grant:
    """Addresses, each a prefix, for the namespaces that match one of some globs; and aliases that may be moved."""

    namespaces: tuple[str, ...]
    addresses: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    def covers(self, namespace: str, address: str) -> bool:
        """Whether it lets the operator read `address` for `namespace`."""
        return self._is_for(namespace) and any(_reaches(prefix, address) for prefix in self.addresses)

    def lets_move(self, namespace: str, alias: str) -> bool:
        """Whether it lets the operator move `alias`, models:/NAME@ALIAS, for `namespace`."""
        return self._is_for(namespace) and any(
            alias == granted if _is_one_alias(granted) else alias.startswith(granted)
            for granted in self.aliases
        )

    def _is_for(self, namespace: str) -> bool:
        return any(fnmatchcase(namespace, glob) for glob in self.namespaces)


@dataclass(frozen=True, slots=True)
class Grants:
    """All grants; `files` lets the operator read `file://` for everybody, which is for development only."""

    grants: tuple[Grant, ...] = ()
    files: bool = False

    def allows(self, namespace: str, address: str) -> bool:
        """Whether the operator may read `address` for `namespace`. What is no address is never allowed."""
        if address.startswith("file:"):
            return self.files
        return any(grant.covers(namespace, address) for grant in self.grants)

    def lets_move(self, namespace: str, name: str, alias: str) -> bool:
        """Whether the operator may move an alias of a registered model for `namespace`."""
        return any(grant.lets_move(namespace, f"{_MODELS}{name}@{alias}") for grant in self.grants)


def parse_grants(text: str, *, files: bool = False) -> Grants:
    """The grants in a YAML list of `{namespaces: [...], addresses: [...]}`; an empty text grants nothing.

    Raises:
        InputError: it is no such list; the message names the entry, what it holds and what is allowed.
    """
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"the grants are no YAML: {' '.join(str(error).split())[:200]}") from error
    if entries is None:
        return Grants(files=files)
    if not isinstance(entries, list):
        raise InputError(f"the grants are no list: write {_FORM}")
    return Grants(tuple(_grant(entry, f"grants[{index}]") for index, entry in enumerate(entries)), files)


def line_to_add(namespace: str, address: str) -> str:
    """The entry that grants just this address, or this registered model, to just this namespace."""
    # Without what ends a name, others that begin alike would be granted too.
    addresses = [f"{address}/", f"{address}@"] if address.startswith(_MODELS) else [address]
    # Quoted by rule: an address may hold quotes, and an administrator copies the line.
    return f"- {{namespaces: [{namespace}], addresses: {json.dumps(addresses, ensure_ascii=False)}}}"


def line_for_alias(namespace: str, name: str, alias: str) -> str:
    """The entry that lets the operator move just this alias for just this namespace."""
    granted = json.dumps([f"{_MODELS}{name}@{alias}"], ensure_ascii=False)
    return f"- {{namespaces: [{namespace}], aliases: {granted}}}"


def _is_one_alias(granted: str) -> bool:
    return "@" in granted and not granted.endswith("@")


def _reaches(prefix: str, address: str) -> bool:
    if prefix.startswith(_MODELS):
        return address.startswith(prefix)
    if prefix in _WHOLE_STORES and not address.startswith(prefix):
        return False
    try:
        wanted = parse(address, whole_bucket=True)
        granted = wanted if prefix in _WHOLE_STORES else parse(prefix, whole_bucket=True)
    except InputError:
        return False
    return _contains(granted, wanted)


def _contains(granted: Address, wanted: Address) -> bool:
    if (granted.scheme, granted.bucket) != (wanted.scheme, wanted.bucket):
        return False
    return granted.key in ("", wanted.key) or wanted.key.startswith(granted.key + "/")


def _grant(entry: Any, field: str) -> Grant:
    if not isinstance(entry, Mapping):
        raise InputError(f"{field} {entry!r:.80} is no grant: write {_FORM}")
    if extra := sorted(map(str, entry.keys() - {"namespaces", "addresses", "aliases"})):
        raise InputError(
            f"{field} has the unknown key {extra[0]!r:.80}; namespaces, addresses and aliases are allowed"
        )
    namespaces = _texts(entry, "namespaces", field)
    for namespace in namespaces:
        if not _NAMESPACE.fullmatch(namespace):
            raise InputError(
                f"{field}.namespaces: {namespace!r:.80} is no namespace: write its name, with * for any characters"
            )
    addresses = _texts(entry, "addresses", field) if "addresses" in entry or "aliases" not in entry else ()
    for address in addresses:
        _check_prefix(address, f"{field}.addresses")
    aliases = _texts(entry, "aliases", field) if "aliases" in entry else ()
    for alias in aliases:
        if not _ALIASES.fullmatch(alias):
            raise InputError(
                f"{field}.aliases: {alias!r:.80} is not allowed: write models:/ and the beginning of a name, "
                "models:/NAME@ or models:/NAME@ALIAS"
            )
    return Grant(namespaces, addresses, aliases)


def _texts(entry: Mapping[str, Any], key: str, field: str) -> tuple[str, ...]:
    values = entry.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise InputError(f"{field}.{key} {values!r:.80} is not allowed: write a list of texts")
    return tuple(values)


def _check_prefix(prefix: str, field: str) -> None:
    if prefix.startswith(_MODELS) or prefix in _WHOLE_STORES:
        if not prefix.isprintable() or re.search(r"[\s*]|@.", prefix):
            raise InputError(
                f"{field}: {redact(prefix)} is not allowed: write models:/ and the beginning of a name"
            )
        return
    if prefix.startswith("file:"):
        raise InputError(
            f"{field}: {redact(prefix)} is not allowed: files of the operator's pod cannot be granted; "
            "the setting MOORING_FILE_ADDRESSES is for development"
        )
    if "*" in prefix:
        raise InputError(
            f"{field}: {redact(prefix)} is not allowed: an address stands for all below it; no *"
        )
    parse(prefix, field, whole_bucket=True)
