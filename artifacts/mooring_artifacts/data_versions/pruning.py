"""Versions that nobody goes by any more are pruned: their records, and the files that no other version has."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from mooring_artifacts.data_versions.documents import Manifest, Record, select
from mooring_artifacts.data_versions.objects import Found
from mooring_artifacts.data_versions.references import Dataset
from mooring_artifacts.data_versions.store import DataStore
from mooring_artifacts.data_versions.under_way import pruning, pushes_under_way
from mooring_artifacts.errors import InputError

_HEX = re.compile(r"[0-9a-f]{64}")
_MANIFEST = re.compile(r"([0-9a-f]{64})\.json")


@dataclass(frozen=True)
class Rule:
    """Which versions of a dataset stay.

    last: the newest so many, at least one.
    superseded_for: those that were the newest until less than this ago, so that whoever reads one reads it to its end.
    named: those that these selectors name, a number or a digest.
    """

    last: int
    superseded_for: timedelta
    named: Sequence[str] = ()


@dataclass(frozen=True)
class Pruned:
    """What was pruned, or would be: versions, and how many files of how many bytes."""

    versions: Sequence[tuple[Dataset, Record]]
    files: int
    size: int


def find_outdated(records: Sequence[Record], rule: Rule, now: datetime) -> list[Record]:
    """The versions of one dataset, given by number, that its rule does not keep. The newest is always kept.

    Raises:
        InputError: a selector names no version, or several.
    """
    kept = set()
    for selector in rule.named:
        if (found := select(selector, records)) is None:
            raise InputError(f"there is no version {selector} to keep")
        kept.add(found.number)
    old = records[: -max(rule.last, 1)]
    # Clocks of those who push differ: a version is superseded when its next, or any before it, says it was pushed.
    superseded = list(accumulate((record.pushed_at for record in records), max))[1:]
    return [
        record
        for record, when in zip(old, superseded, strict=False)
        if record.number not in kept and when <= now - rule.superseded_for
    ]


def prune(
    store: DataStore, names: Collection[str], rule: Rule, now: datetime, *, dry_run: bool = False
) -> Pruned:
    """Prune these datasets, and delete all files of the store that no version of any dataset has.

    What a push under way is about to name is kept, and a push that begins meanwhile waits. Nothing is deleted
    where a record, a manifest or a note cannot be read.

    Raises:
        InputError: something is damaged, or a selector names no version.
        StoreUnavailable: the store does not answer.
    """
    if dry_run:
        return _plan(store, names, rule, now, pushes_under_way(store.objects)).result
    with pruning(store.objects) as (note, under_way):
        plan = _plan(store, names, rule, now, under_way, note.renew)
        # Records first, files last: what is cut off leaves files that the next prune deletes.
        for dataset, record in plan.result.versions:
            store.forget(dataset.name, record, now)
            note.renew()
        for keys in (plan.manifests, plan.blobs):
            store.objects.delete(keys, note.renew)
        return plan.result


@dataclass(frozen=True)
class _Plan:
    """What goes: the versions, and the keys of their manifests and files."""

    result: Pruned
    manifests: Sequence[str]
    blobs: Sequence[str]


def _plan(
    store: DataStore,
    names: Collection[str],
    rule: Rule,
    now: datetime,
    under_way: Sequence[Manifest],
    renew: Callable[[], None] = lambda: None,
) -> _Plan:
    """What goes by the records that there are, and by what pushes are about to name."""
    named = {manifest.version: manifest for manifest in under_way}
    contents = {manifest.content for manifest in under_way}
    old, kept = list[tuple[Dataset, Record]](), set[str]()
    for name in store.names():
        records = store.records(name)
        renew()
        found = find_outdated(records, rule, now) if name in names else []
        gone = {record.number for record in found if record.content not in contents}
        old += [(Dataset(store.address, name), record) for record in records if record.number in gone]
        kept |= {record.version for record in records if record.number not in gone}
    needed = _files_of(named.values())
    for version in kept - named.keys():
        needed |= _files_of([store.manifest(version)])
        renew()
    objects, all_kept = store.objects, kept | named.keys()
    manifests = [
        objects.key("manifests", found.name)
        for found in objects.listed("manifests")
        if (match := _MANIFEST.fullmatch(found.name)) and f"sha256:{match[1]}" not in all_kept
    ]
    blobs = [each for each in objects.listed("blobs", "sha256") if _is_free(each, needed)]
    result = Pruned(old, len(blobs), sum(each.size for each in blobs))
    return _Plan(result, manifests, [objects.key("blobs", "sha256", each.name) for each in blobs])


def _is_free(blob: Found, needed: Collection[str]) -> bool:
    return _HEX.fullmatch(blob.name) is not None and blob.name not in needed


def _files_of(manifests: Iterable[Manifest]) -> set[str]:
    return {file.sha256 for manifest in manifests for file in manifest.files}
