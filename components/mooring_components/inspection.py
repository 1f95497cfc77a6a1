"""What is looked up about a model's files before it is tested: what is in them, who signed them, and its documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mooring_artifacts.demands import Demands, Wanted, is_on_the_web
from mooring_artifacts.digests import ManifestEntry
from mooring_artifacts.errors import InputError
from mooring_artifacts.run_documents import LONGEST_PROBLEM, Brought, DocumentFound, SignatureFound
from mooring_artifacts.scans import Scan
from mooring_artifacts.storage import list_files, locate, read_entry
from mooring_artifacts.text import in_a_line

from mooring_components.fetching import FetchedModel
from mooring_components.signatures.step import verify_files
from mooring_components.web_documents import read_web_document

LARGEST_DOCUMENT = 64 << 20


def inspect_model(uri: str, fetched: FetchedModel | None, demands: Demands) -> dict[str, Any]:
    """Look at what is demanded, say so in the log, and give it in the form that it has in a verdict.

    fetched: the model's files; None where a run cannot read them, of which nothing is verified.
    """
    found: dict[str, Any] = {}
    if demands.signers:
        signature = _signature(uri, fetched, demands)
        print(f"signature: {signature.in_words()}")
        found["signature"] = signature.model_dump(mode="json", by_alias=True, exclude_none=True)
    if demands.documents:
        entries = fetched.entries if fetched is not None else ()
        documents = [_document(wanted, entries) for wanted in demands.documents]
        for each in documents:
            print(f"document {each.name}: {each.digest or each.problem}")
        found["documents"] = [
            each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in documents
        ]
    return found


def inspected(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a verdict from what `inspect_model` gave, as far as it did, `scan` and `brought`."""
    found: dict[str, Any] = {}
    if "brought" in facts:
        found["brought"] = Brought.model_validate(facts["brought"], by_alias=True)
    if "scan" in facts:
        found["scan"] = _scan(facts["scan"])
    if "signature" in facts:
        found["signature"] = SignatureFound.model_validate(facts["signature"], by_alias=True)
    if "documents" in facts:
        found["documents"] = [
            DocumentFound.model_validate(each, by_alias=True) for each in facts["documents"]
        ]
    return found


def _scan(told: Mapping[str, Any]) -> Scan:
    # Between steps Kubeflow Pipelines makes floats of all numbers.
    counts = {name: int(told.get(name, 0)) for name in ("files", "leftOut")}
    return Scan.model_validate({**told, **counts}, by_alias=True)


def _signature(uri: str, fetched: FetchedModel | None, demands: Demands) -> SignatureFound:
    if fetched is None:
        return SignatureFound(verified=False, problem="the model's files are none that a run can read")
    return verify_files(uri, fetched.entries, demands.signers, demands.signature, is_file=fetched.is_file)


def _document(wanted: Wanted, entries: Sequence[ManifestEntry]) -> DocumentFound:
    """A document with the digest of its bytes; a document of no bytes says nothing, and counts as missing."""
    try:
        entry = _beside(wanted, entries) if wanted.is_beside else _elsewhere(wanted)
        if not entry.size:
            raise InputError("it is empty")
    except InputError as error:
        return DocumentFound(
            name=wanted.name, address=wanted.address, problem=in_a_line(error, LONGEST_PROBLEM)
        )
    return DocumentFound(name=wanted.name, address=wanted.address, digest=f"sha256:{entry.sha256}")


def _beside(wanted: Wanted, entries: Sequence[ManifestEntry]) -> ManifestEntry:
    found = next((entry for entry in entries if entry.path == wanted.address), None)
    if found is None:
        raise InputError(f"not in the model's folder: {wanted.address}")
    return found


def _elsewhere(wanted: Wanted) -> ManifestEntry:
    if is_on_the_web(wanted.address):
        return read_web_document(wanted.address, LARGEST_DOCUMENT)
    return _stored(wanted)


def _stored(wanted: Wanted) -> ManifestEntry:
    location = locate(wanted.address, "document")
    files = list_files(location, "document", most=1, may_be_none=True)
    if not files:
        raise InputError(f"not there: {wanted.address}")
    if not location.is_file(files):
        raise InputError(f"a folder, where a document is a file: {wanted.address}")
    if files[0].size > LARGEST_DOCUMENT:
        raise InputError(f"it has {files[0].size} bytes; {LARGEST_DOCUMENT} are allowed")
    return read_entry(location, files[0])
