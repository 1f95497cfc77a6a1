"""Names that follow from content: revisions, runs, steps, workloads."""

import hashlib
import json
import uuid
from datetime import datetime
from typing import Any

from mooring_operator.api.model_deployment import CISpec, ModelSpec
from mooring_operator.api.rollout import RolloutSpec
from mooring_operator.api.serving import ServingSpec
from mooring_operator.api.types import format_time

_RUNS = uuid.UUID("6d6f6f72-696e-4067-8000-6d6f6f72696e")


def fingerprint(value: Any, length: int = 10) -> str:
    """Give `length` hexadecimal digits that stand for a JSON value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:length]


def serving_snapshot(serving: ServingSpec) -> dict[str, Any]:
    """Give what `serving` says beyond the defaults, as status keeps it."""
    return serving.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def revision_of(model: ModelSpec, content: str, serving: ServingSpec) -> str:
    """Give the revision: what the model resolves to and how it is served, not how it is called.

    An alias that moves gives a new revision; another name for the same content does not.
    """
    return fingerprint(
        {
            "content": content,
            "format": [model.format, model.format_version],
            "serving": serving_snapshot(serving),
        }
    )


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


def evaluation_id_of(monitor_uid: str, generation: int, due: datetime) -> str:
    """Give the run that evaluates drift for this spec at the time that it was due."""
    return str(uuid.uuid5(_RUNS, f"{monitor_uid}/drift/{generation}/{format_time(due)}"))


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
