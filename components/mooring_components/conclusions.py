"""The verdict on a model, from what the steps before it gave: the same for every step that asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mooring_artifacts.judging import Findings
from mooring_artifacts.run_documents import Registration, Verdict

from mooring_components.energy import METRIC, NO_METER
from mooring_components.evidence import Evidence
from mooring_components.gpu_memory import GPU_MEMORY, NO_GPU
from mooring_components.inspection import inspected
from mooring_components.quality import Quality
from mooring_components.rates import BATCH_P95, ELSEWHERE, GROWTH, ONE_BY_ONE, PEAK, RATE
from mooring_components.verdicts import Subject, make_verdict

# Why what is measured beside latency may have no value.
_WITHOUT = {
    METRIC: NO_METER,
    GPU_MEMORY: NO_GPU,
    GROWTH: ELSEWHERE,
    PEAK: ELSEWHERE,
    RATE: ONE_BY_ONE,
    BATCH_P95: ONE_BY_ONE,
}


@dataclass(frozen=True)
class Conclusion:
    """A verdict, and what it was made of."""

    verdict: Verdict
    found: Findings
    hint: str


def conclude(
    run_id: str,
    model_uri: str,
    model_facts: Mapping[str, Any],
    quality: Mapping[str, Any],
    latency: Mapping[str, float],
    gates: Sequence[Mapping[str, Any]],
    champion_digest: str,
    evidence: Path,
    registration: Mapping[str, Any] | None = None,
) -> Conclusion:
    """Judge what was measured.

    Args:
        run_id: the run.
        model_uri, model_facts: the model's address, and its digest and size, which may be unknown, and what was
            looked up because policies demand it.
        quality: what `Quality.to_json` gave, with the digest of the test data.
        latency: metrics in milliseconds.
        gates: in their JSON form.
        champion_digest: of what the model was compared with; empty for nothing.
        evidence: a file with the `Evidence`.
        registration: what became of registering it, in its JSON form; None or empty where that was not asked for.

    Raises:
        InputError: a malformed gate.
    """
    measured = Quality.from_json(quality)
    seen = Evidence.model_validate_json(evidence.read_bytes())
    size = {name: value for name, value in model_facts.items() if name == "modelSizeMB"}
    missing = {name: why for name, why in _WITHOUT.items() if name not in latency}
    measured = replace(measured, evidence=seen, unmeasured={**measured.unmeasured, **missing})
    found = measured.findings({**size, **latency})
    subject = Subject(
        model_uri, model_facts["digest"] or None, quality["testDataDigest"], champion_digest or None
    )
    verdict = make_verdict(
        run_id, subject, found, gates, measured.hint, seen.slices, seen.groups, seen.stability
    )
    verdict = verdict.model_copy(update={**inspected(model_facts), "importances": seen.importances})
    if registration:
        told = Registration.model_validate(dict(registration))
        verdict = verdict.model_copy(update={"registration": told})
    return Conclusion(verdict, found, measured.hint)
