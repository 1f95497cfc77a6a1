"""The pipeline `register-model`: looks at what a training left, and has it registered as a version.

What is not tested yet passes for nothing: its card and its tags say that it was trained. Whoever follows the alias
tests it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from mooring_artifacts.digests import manifest_digest
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import SCHEMA_VERSION, Verdict
from mooring_artifacts.storage import list_files, locate, read_entry
from pydantic import Field

from mooring_components.registration.card import LONGEST_CARD
from mooring_components.registration.registering import ALIAS, Entry
from mooring_components.registration.step import Wanted, describe_rows, register_patiently

_MOST_DATASETS = 4
_LONGEST_WORDS = 1000


class WantedOfTraining(Wanted):
    """The run's parameter `registration` where a model was trained.

    alias: points to the version.
    reason: why it was trained, in a sentence.
    rows: the addresses of what it was trained on.
    """

    alias: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=63)] = ALIAS
    reason: Annotated[str, Field(max_length=_LONGEST_WORDS)] = ""
    rows: Annotated[tuple[str, ...], Field(max_length=_MOST_DATASETS, strict=False)] = ()


def register_trained(
    model_uri: str,
    registration: Mapping[str, Any],
    run_id: str,
    environment: Mapping[str, str] = os.environ,
) -> Verdict:
    """Give the digest and size of the files at `model_uri`, and what became of registering them.

    Without a name in `registration` they are not registered.

    Raises:
        InputError: there are no files, or `registration` has another form.
        StoreUnavailable: the store does not answer.
    """
    wanted = WantedOfTraining.parse(registration) if registration.get("name") else None
    location = locate(model_uri, "model_uri")
    entries = [read_entry(location, file) for file in list_files(location, "model_uri", may_be_none=True)]
    if not entries:
        raise InputError(f"the training left no file at {model_uri!r}")
    digest = manifest_digest(entries)
    found = None
    if wanted is not None:
        found = register_patiently(wanted, _entry(wanted, model_uri, digest, run_id), environment)
    return Verdict(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        model_uri=model_uri,
        model_digest=digest,
        passed=True,
        metrics={"modelSizeMB": sum(entry.size for entry in entries) / 1e6},
        violations=[],
        registration=found,
    )


def _entry(wanted: WantedOfTraining, model_uri: str, digest: str, run_id: str) -> Entry:
    return Entry(
        name=wanted.name,
        version="",
        source=model_uri,
        digest=digest,
        run_id=run_id,
        # It is meant to be registered; whether it is any good its test says.
        passed=True,
        metrics={},
        params={"model_uri": model_uri, "model_digest": digest},
        datasets=[describe_rows(uri, "") for uri in wanted.rows],
        card=_card(wanted, model_uri, digest, run_id),
        now_ms=int(time.time() * 1000),
        tags={"mooring.verdict": "untested"},
        alias=wanted.alias,
        purpose="training",
    )


def _card(wanted: WantedOfTraining, model_uri: str, digest: str, run_id: str) -> str:
    facts: Sequence[tuple[str, str]] = [
        ("model", model_uri),
        ("digest", digest),
        *(("trained on", uri) for uri in wanted.rows),
        ("run", run_id),
    ]
    told = [f"- {label}: `{value.replace('`', chr(39))}`" for label, value in facts]
    reason = f"Trained because {wanted.reason}" if wanted.reason else "Trained"
    text = "\n".join([f"# {wanted.name}", "", f"{' '.join(reason.split())}. Not tested yet.", "", *told, ""])
    return text[:LONGEST_CARD]
