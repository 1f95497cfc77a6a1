"""Names that follow from content: revisions, runs, steps, workloads."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from mooring_operator.api.checks import Check
from mooring_operator.api.ci import CISpec
from mooring_operator.api.model_deployment import ModelSpec
from mooring_operator.api.quantities import parse_quantity
from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.api.serving import ServingSpec
from mooring_operator.api.types import format_time

_SCALING = frozenset({"minReplicas", "maxReplicas", "autoscaling"})
"""What says how many pods there are, and nothing about any of them."""
_QUANTITIES = frozenset({"requests", "limits"})
_UNORDERED = frozenset({"env", "tolerations", "features"})
"""Lists whose order means nothing: no variable here refers to another, and what is kept of requests is a set."""
_CHOICE = frozenset({"supportedModelFormats", "disabled"})
"""What of a runtime says for which models it may be chosen, and nothing about their pods."""
_RUNS = uuid.UUID("6d6f6f72-696e-4067-8000-6d6f6f72696e")


def fingerprint(value: Any, length: int = 10) -> str:
    """Give `length` hexadecimal digits that stand for a JSON value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


def fingerprint_of(part: BaseModel) -> str:
    """Give the fingerprint of a part of a spec, by all that it says."""
    return fingerprint(part.model_dump(mode="json", by_alias=True, exclude_none=True))


def serving_snapshot(serving: ServingSpec) -> dict[str, Any]:
    """Give what `serving` says beyond the defaults, as status keeps it."""
    return serving.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def revision_of(
    model: ModelSpec,
    content: str,
    serving: ServingSpec,
    *,
    runtime: PinnedRuntime | None = None,
    scales_in_place: bool = True,
) -> str:
    """Give the revision: what the model resolves to, how it is served and on what, by meaning and not by letter.

    An alias that moves gives a new revision; another name for the same content does not. Neither does another way to
    write a quantity, a default or the order of what has none, nor how many replicas there are, where pods go on.
    """
    meaning = _meaning(serving_snapshot(serving), scales_in_place=scales_in_place)
    return _revision(model.format, model.format_version, content, meaning, runtime)


def revisions_like(
    model: ModelSpec,
    content: str,
    serving: ServingSpec,
    known: Iterable[Revision],
    *,
    scales_in_place: bool = True,
) -> list[Revision]:
    """Give those of the known revisions that serve this model in this way, whatever their runtimes.

    Before revisions were told apart by meaning they had other names: what is served under one is not rolled out anew.
    """
    wanted = revision_of(model, content, serving, scales_in_place=scales_in_place)
    # A revision keeps the default runtime that it began with: its own name is what tells.
    names = (wanted, _letter(model, content, serving))
    return [
        revision
        for revision in known
        if revision.revision in names or wanted == _content_of(revision, scales_in_place=scales_in_place)
    ]


def known_as(
    model: ModelSpec,
    content: str,
    serving: ServingSpec,
    like: Sequence[Revision],
    failed: str | None,
    *,
    runtime: PinnedRuntime | None = None,
    scales_in_place: bool = True,
) -> str:
    """Give the revision under the name that it has in a status, where it has one there.

    Args:
        model, content, serving: what the revision is.
        like: the revisions of the status that are the same but for their runtimes. Of one without a runtime nobody
            knows what it began with: it counts as the same.
        failed: the name in the status of the revision that was rejected.
        runtime: what the revision runs on; None where that makes no difference.
        scales_in_place: whether another number of replicas starts no pod anew.
    """
    wanted = revision_of(model, content, serving, runtime=runtime, scales_in_place=scales_in_place)
    same = [revision.revision for revision in like if _runs_on(revision, runtime)]
    known = {*same, failed}
    if wanted in known:
        return wanted
    before = revision_of(model, content, serving, scales_in_place=scales_in_place)
    for name in (before, _letter(model, content, serving)):
        if name in known:
            return name
    return same[0] if same else wanted


def _letter(model: ModelSpec, content: str, serving: ServingSpec) -> str:
    return _revision(model.format, model.format_version, content, serving_snapshot(serving))


def _content_of(revision: Revision, *, scales_in_place: bool) -> str:
    """Give the name that a revision would have if its runtime were none of it."""
    stored = revision.digest or revision.storage_uri
    meaning = _meaning(revision.serving, scales_in_place=scales_in_place)
    return _revision(revision.format, revision.format_version, stored, meaning)


def _runs_on(revision: Revision, runtime: PinnedRuntime | None) -> bool:
    return revision.runtime is None or runtime is None or same_runtime(revision.runtime, runtime)


def same_runtime(one: PinnedRuntime, other: PinnedRuntime) -> bool:
    """Whether pods of both are the same."""
    return one == other or runtime_meaning(one) == runtime_meaning(other)


def runtime_meaning(runtime: PinnedRuntime) -> dict[str, Any]:
    """Give what of a runtime makes pods differ, in one form; its name does not."""
    spec = {name: value for name, value in runtime.spec.items() if name not in _CHOICE}
    return {"server": runtime.server_type, "spec": _without_nothing(_in_one_form("", spec, ordered=True))}


def _without_nothing(value: Any) -> Any:
    """Drop what is there and says nothing; an empty object may say something: emptyDir does."""
    if isinstance(value, dict):
        kept = {key: _without_nothing(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [])}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


def scaled_as(revision: Revision, serving: ServingSpec) -> dict[str, Any]:
    """Give how `revision` is served with the replicas of `serving`: they change in place."""
    asked = serving_snapshot(serving)
    kept = {name: value for name, value in revision.serving.items() if name not in _SCALING}
    return {**kept, **{name: value for name, value in asked.items() if name in _SCALING}}


def _revision(
    format: str, version: str | None, content: str, serving: Any, runtime: PinnedRuntime | None = None
) -> str:
    on = {} if runtime is None else {"runtime": runtime_meaning(runtime)}
    return fingerprint({"content": content, "format": [format, version], "serving": serving, **on})


def _meaning(serving: Mapping[str, Any], *, scales_in_place: bool) -> dict[str, Any]:
    """Give what makes pods differ, in one form."""
    meant = {name: _in_one_form(name, value) for name, value in serving.items()}
    if not scales_in_place:
        return meant
    scaler = (meant.get("autoscaling") or {}).get("scaler") or "HPA"
    kept = {name: value for name, value in meant.items() if name not in _SCALING}
    # Another scaler starts all pods anew.
    return kept if scaler == "HPA" else {**kept, "autoscaling": {"scaler": scaler}}


def _in_one_form(name: str, value: Any, *, ordered: bool = False) -> Any:
    if name in _QUANTITIES and isinstance(value, dict):
        return {resource: _amount(amount) for resource, amount in value.items()}
    if isinstance(value, dict):
        return {key: _in_one_form(key, item, ordered=ordered) for key, item in value.items()}
    if ordered and isinstance(value, list):
        # Variables of a runtime may refer to those before them.
        return [_in_one_form("", item, ordered=True) for item in value]
    if name in _UNORDERED and isinstance(value, list):
        return sorted(value, key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _amount(written: Any) -> str:
    try:
        return str(parse_quantity(str(written)).normalize())
    except ValueError:
        return str(written)


def instance_name(deployment: str, owner_uid: str, revision: str) -> str:
    """Give the name of what runs for a revision's test: as long as that of a revision that serves, and never it."""
    return f"{deployment}-t{fingerprint([owner_uid, revision], 8)}"


def run_id_of(
    owner_uid: str, content: str, address: str, model: ModelSpec, ci: CISpec, attempt: int, round_: int = 0
) -> str:
    """Give the run that tests this content at this address with these gates, in this attempt and round.

    A digest in a spec is a claim until a run has read the files at the address: what was found of the same content
    elsewhere is no answer.

    The same question gets the same id, so that it is asked once: after a crash, by a second
    replica, and for a revision that serves the same model in another way.
    """
    question = fingerprint(
        {
            "content": content,
            "address": address,
            "format": model.format,
            "ci": ci.model_dump(mode="json", by_alias=True),
        },
        length=64,
    )
    again = f"/{round_}" if round_ else ""
    return str(uuid.uuid5(_RUNS, f"{owner_uid}/ci/{question}/{attempt}{again}"))


def copy_id_of(owner_uid: str, candidate: Candidate, place: str, round_: int = 0) -> str:
    """Give the run that copies the files of this candidate below `place`, in this round."""
    asked = (candidate.revision, candidate.attempt, candidate.storage_uri, format_time(candidate.started_at))
    return str(uuid.uuid5(_RUNS, "/".join(map(str, (owner_uid, "copy", *asked, place, round_)))))


def evaluation_id_of(monitor_uid: str, generation: int, due: datetime) -> str:
    """Give the run that evaluates drift for this spec at the time that it was due."""
    return str(uuid.uuid5(_RUNS, f"{monitor_uid}/drift/{generation}/{format_time(due)}"))


def captured_evaluation_id_of(
    monitor_uid: str, generation: int, revision: str, until: datetime, attempt: int
) -> str:
    """Give the run that evaluates, in this attempt, the window of a revision's requests that ends then."""
    place = (monitor_uid, "captured", generation, revision, format_time(until), attempt)
    return str(uuid.uuid5(_RUNS, "/".join(map(str, place))))


def training_id_of(monitor_uid: str, generation: int, alarm: datetime) -> str:
    """Give the run that trains, as this spec says, because of the drift that began then."""
    return str(uuid.uuid5(_RUNS, f"{monitor_uid}/training/{generation}/{format_time(alarm)}"))


def registration_id_of(training_id: str) -> str:
    """Give the run that looks at what a training made, and registers it."""
    return str(uuid.uuid5(_RUNS, f"{training_id}/registration"))


def notice_id_of(monitor_uid: str, receiver: str, told: str, at: datetime) -> str:
    """Give the id of what a receiver is told at a time."""
    return str(uuid.uuid5(_RUNS, f"{monitor_uid}/notice/{receiver}/{told}/{format_time(at)}"))


def measurement_id_of(
    owner_uid: str, candidate: str, began: datetime, query: str, asks: str, settled: int
) -> str:
    """Give the measurement of a query that follows those until `settled` seconds after the analysis began."""
    place = (owner_uid, "measurement", candidate, format_time(began), query, asks, settled)
    return str(uuid.uuid5(_RUNS, "/".join(map(str, place))))


def check_id_of(owner_uid: str, candidate: Candidate, check: Check, round_: int = 0) -> str:
    """Give the check that is asked for when this candidate comes to its step, in this round."""
    asks = fingerprint({check.kind: check.model_dump(mode="json", by_alias=True)}, length=64)
    place = (candidate.revision, candidate.attempt, candidate.step, format_time(candidate.step_started_at))
    return str(uuid.uuid5(_RUNS, "/".join(map(str, (owner_uid, "check", *place, asks, round_)))))


def steps_hash(rollout: RolloutSpec) -> str:
    """Give a hash of the course, to notice that it was edited during a rollout."""
    course = {"strategy", "blue_green", "shadow", "ab_test", "steps"}
    return fingerprint(rollout.model_dump(mode="json", by_alias=True, exclude_none=True, include=course))


def workload_name(revision: str) -> str:
    """Give the name of the workload that runs `revision`: 9 characters, a letter first."""
    return f"r{revision[:8]}"


def is_alias(uri: str) -> bool:
    """Whether a model's address may point to something else tomorrow, by its registry's own rules."""
    return uri.startswith("models:/") and "@" in uri
