"""Pods that compare what two revisions answered to the same requests: a program of ours, in the namespace."""

import json
from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Any

from mooring_artifacts.measuring import QUESTION

from mooring_operator.api.agreements import Agreement
from mooring_operator.api.types import format_time
from mooring_operator.planning.analysis.agreements import AgreementQuery, PairCounts
from mooring_operator.planning.analysis.in_namespace import Due
from mooring_operator.planning.analysis.measuring import Reading
from mooring_operator.planning.analysis.results import Result
from mooring_operator.planning.manifests import check_pods
from mooring_operator.planning.manifests.pods import TMP
from mooring_operator.planning.manifests.run_jobs import RunPods

_COUNTS = ("pairs", "disagreements", "failed", "repeated", "stable", "candidate")
_MOST = 10**9
_NO_COUNTS = "what it counted cannot be read"


def agreement_of(due: Due) -> Agreement:
    """Give the agreement that is measured."""
    query = due.query.query
    assert isinstance(query, AgreementQuery)
    return query.agreement


def compare(pod: dict[str, Any], due: Due, pods: RunPods) -> None:
    """Have a pod count the pairs of a look.

    Raises:
        ValueError: there are none; the message says why.
    """
    agreement, copies = agreement_of(due), due.request.copies
    if copies.problem:
        raise ValueError(copies.problem)
    stretch = due.stretch
    assert stretch is not None
    question = {
        "provider": "agreement",
        "candidate": copies.candidate,
        "stable": copies.stable,
        "since": format_time(stretch[0]),
        "until": format_time(stretch[1]),
        "output": agreement.output or "",
        "tolerance": agreement.tolerance,
    }
    [container] = pod["containers"]
    container |= {
        "image": pods.image,
        # Isolated: neither the working directory nor the environment brings code in.
        "command": ["python", "-I", "-m", "mooring_components.agreement"],
        "workingDir": TMP,
        "env": check_pods.variables({QUESTION: json.dumps(question), "HOME": TMP}),
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    }
    if agreement.credentials_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": agreement.credentials_secret}}]
    if agreement.service_account_name is not None:
        pod["serviceAccountName"] = agreement.service_account_name


def counted(due: Due, begun: datetime | None, result: Result) -> Reading:
    """Give what a pod has counted; no pair at all is no number, while copies are sent."""
    counts = _counts(result.value)
    until = _until(result.value)
    request = due.request
    began = request.began or request.since
    joined = int((until - began).total_seconds()) if until is not None else 0
    latest = ceil((request.until - began).total_seconds())
    if counts is None or not request.joined.get(due.query.name, 0) < joined <= latest:
        return due.found(begun, problem=result.problem or _NO_COUNTS)
    pairs = PairCounts(counts["pairs"], counts["disagreements"], joined)
    if not pairs.pairs and request.copies.until is None:
        return due.found(begun, problem=_no_pairs(counts), pairs=pairs)
    return due.found(begun, f"{pairs.disagreements} of {pairs.pairs} differ", pairs=pairs)


def _counts(value: Any) -> Mapping[str, int] | None:
    """Read counts; they were a pod's of the namespace."""
    if not isinstance(value, dict):
        return None
    counts: dict[str, int] = {}
    for name in _COUNTS:
        number = value.get(name)
        if not (isinstance(number, float) and number.is_integer() and 0 <= number <= _MOST):
            return None
        counts[name] = int(number)
    return counts if counts["disagreements"] <= counts["pairs"] else None


def _until(value: Any) -> datetime | None:
    try:
        until = datetime.fromisoformat(value["until"])
    except (KeyError, TypeError, ValueError):
        return None
    return until if until.tzinfo is not None else None


def _no_pairs(counts: Mapping[str, int]) -> str:
    said = (
        f"no request was answered by both revisions: stable kept {counts['stable']}, the new one "
        f"{counts['candidate']}"
    )
    if counts["failed"]:
        return f"{said}, and one of both failed at each of {counts['failed']}"
    if counts["repeated"]:
        return (
            f"{said}, and {counts['repeated']} ids stand for several requests; send each its own x-request-id"
        )
    if counts["stable"] and counts["candidate"]:
        return (
            f"{said}, without an id in common: does the gateway send x-request-id, and, with a sample, do both have "
            "one MOORING_CAPTURE_KEY?"
        )
    return said
