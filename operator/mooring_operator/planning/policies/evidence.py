"""Ready-made rules of policies, about what a run looked up: each with a score and a reason."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mooring_artifacts.demands import MOST_DOCUMENTS, MOST_SIGNERS
from mooring_artifacts.public_keys import key_id
from mooring_artifacts.run_documents import DocumentFound, Verdict

from mooring_operator.api.demands import DemandsOnFiles, RequiredDocument, Signer
from mooring_operator.api.names import SIGNERS_CONFIG_MAP
from mooring_operator.planning.identity import fingerprint
from mooring_operator.planning.status.wording import one_line

_LONGEST_PROBLEM = 60
_NOT_ASKED = "the run that tested it was not asked for it"
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class ReadyMade:
    """How a model does by a ready-made rule: the share of what it demands that is there, and what is not.

    It is met where nothing is missing.
    """

    name: str
    score: float
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def demands_of(policies: Iterable[DemandsOnFiles], signature: str | None = None) -> dict[str, Any]:
    """Give what a run has to look up for all of the policies: its parameter `demands`; empty where that is nothing.

    signature: where it is, if not beside the model.

    What goes beyond the limits of a run is not looked up, and so not met.
    """
    asked = [*policies]
    keys: dict[str, Any] = {}
    documents: dict[tuple[str, str], Any] = {}
    for policy in asked:
        for signer in policy.signed_by:
            if signer.public_key is not None:
                keys.setdefault(key_id(signer.public_key), {"name": signer.name, "key": signer.public_key})
        for one in policy.required_documents:
            documents[one.name, one.address] = {"name": one.name, "address": one.address}
    # Policies come in any order, and the same demands are the same question.
    signers: list[Any] = [keys[known] for known in sorted(keys)][:MOST_SIGNERS]
    wanted: list[Any] = [documents[known] for known in sorted(documents)][:MOST_DOCUMENTS]
    found: dict[str, Any] = {}
    if signers:
        found["signers"] = signers
        if signature is not None:
            found["signature"] = signature
    if wanted:
        found["documents"] = wanted
    return found


def facts_in(verdict: Verdict) -> dict[str, Any]:
    """Give what rules see of a verdict beside its metrics, as a status keeps it."""
    found: dict[str, Any] = {}
    if (signature := verdict.signature) is not None:
        found["signature"] = {
            "verified": signature.verified,
            "signer": signature.signer,
            "key": signature.key or "",
            "problem": one_line(signature.problem, 2 * _LONGEST_PROBLEM),
        }
    if (scan := verdict.scan) is not None:
        found["scan"] = {"findings": scan.count, "kinds": scan.kinds}
    if verdict.documents:
        found["documents"] = [
            {"name": one.name, "at": fingerprint(one.address), **_found(one)} for one in verdict.documents
        ]
    return found


def rule_facts(facts: Facts) -> dict[str, Any]:
    """Give those facts as rules see them: documents by their names, those alone that are there."""
    documents = {one["name"]: one for one in facts.get("documents", ()) if one.get("digest")}
    return {
        "signature": dict(facts.get("signature", {})),
        "documents": documents,
        "scan": dict(facts.get("scan", {})),
    }


def judge_files(policy: DemandsOnFiles, facts: Facts) -> list[ReadyMade]:
    """Give how a model does by the demands of a policy; what no run looked up is not there."""
    found = []
    if policy.signed_by:
        reason = _unsigned(policy.signed_by, facts.get("signature"))
        found.append(ReadyMade("signature", 0.0 if reason else 1.0, reason))
    if policy.required_documents:
        missing = [*_missing(policy.required_documents, facts.get("documents", ()))]
        count = len(policy.required_documents)
        there = count - len(missing)
        reason = f"{there} of {count} are there; {'; '.join(missing)}" if missing else ""
        found.append(ReadyMade("documentation", there / count, reason))
    return found


def as_if_met(policies: Iterable[DemandsOnFiles]) -> dict[str, Any]:
    """Give the facts of a model that has all that is demanded, signed by whom most of the policies name, and nothing in
    its files to tell of.
    """
    asked = [*policies]
    keys = [[*_keys_of(policy.signed_by)] for policy in asked]
    every = [key for known in keys for key in known]
    facts: dict[str, Any] = {"scan": {"findings": 0, "kinds": []}}
    if every:
        facts["signature"] = {
            "verified": True,
            "key": max(every, key=every.count),
            "signer": "",
            "problem": "",
        }
    documents = [one for policy in asked for one in policy.required_documents]
    if documents:
        facts["documents"] = [
            {"name": one.name, "at": fingerprint(one.address), "digest": f"sha256:{'0' * 64}"}
            for one in documents
        ]
    return facts


def _found(one: DocumentFound) -> dict[str, str]:
    # A status has little room.
    if one.digest is not None:
        return {"digest": one.digest}
    return {"problem": one_line(one.problem, _LONGEST_PROBLEM)}


def _keys_of(signers: Sequence[Signer]) -> Iterator[str]:
    return (key_id(signer.public_key) for signer in signers if signer.public_key is not None)


def without_keys(signers: Sequence[Signer]) -> str:
    """Say that nobody of those who may sign has a key; empty where somebody has, or nobody has to sign."""
    if not signers or any(signer.public_key is not None for signer in signers):
        return ""
    return f"ConfigMap {SIGNERS_CONFIG_MAP} has no key of {', '.join(signer.name for signer in signers)}"


def _unsigned(signers: Sequence[Signer], signature: Mapping[str, Any] | None) -> str:
    if unknown := without_keys(signers):
        return unknown
    names, keys = ", ".join(signer.name for signer in signers), {*_keys_of(signers)}
    if not signature:
        return _NOT_ASKED
    if not signature.get("verified"):
        return str(signature.get("problem") or "there is none")
    if signature.get("key") not in keys:
        return f"signed by {signature.get('signer')}, which is none of {names}"
    return ""


def _missing(wanted: Sequence[RequiredDocument], found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = {(one.get("name"), one.get("at")): one for one in found}
    for one in wanted:
        seen = known.get((one.name, fingerprint(one.address)))
        if seen is None:
            yield f"{one.name}: {_NOT_ASKED}"
        elif not seen.get("digest"):
            yield f"{one.name}: {seen.get('problem') or 'it is not there'}"
