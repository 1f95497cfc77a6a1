"""Says which action the evidence supports; nothing here is ever done unless the spec lists it."""

from mooring_artifacts.drift_pointers import Moved, Performance, Pointer, point

from mooring_operator.api.drift_findings import FeatureDrift
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_status import DriftMonitorStatus
from mooring_operator.api.drift_suggestions import Suggestion
from mooring_operator.planning.drift import causes, evidence, performance
from mooring_operator.planning.drift.evaluations import Target
from mooring_operator.planning.status import conditions

_PERFORMANCE: dict[str, Performance] = {"True": "Dropped", "False": "Holds"}


def suggest(spec: DriftMonitorSpec, status: DriftMonitorStatus, target: Target | None) -> DriftMonitorStatus:
    """Give the status with what its conditions and its last evaluation support, of the revision that serves."""
    if spec.suspend:
        return status
    if target is None:
        return status.model_copy(update={"suggestions": []})
    evaluation = status.evaluation
    drifted = (
        evaluation is not None
        and evaluation.revision == (target.stable or "")
        and causes.is_there(status, "Drift")
    )
    pointers = point(_moved(status) if drifted else [], _predictions(spec, status), drifted=drifted)
    suggestions = [_suggestion(spec, status, pointer) for pointer in pointers]
    return status.model_copy(update={"suggestions": suggestions})


def _predictions(spec: DriftMonitorSpec, status: DriftMonitorStatus) -> Performance:
    """Say whether predictions got worse, which only of a ModelDeployment can be asked."""
    if spec.deployment is None:
        return "Unmeasurable"
    judged = conditions.find(status.conditions, performance.CONDITION)
    return _PERFORMANCE.get(judged.status, "Unknown") if judged is not None else "Unknown"


def _moved(status: DriftMonitorStatus) -> list[Moved]:
    """Give the features that drifted: in the last window, or by the evidence of all."""
    if status.evaluation is None:
        return []
    alarming = set(evidence.names(status.evidence)) if status.evidence is not None else set()
    return [_as_moved(each) for each in status.evaluation.features if each.drifted or each.title in alarming]


def _as_moved(feature: FeatureDrift) -> Moved:
    distances = [test.statistic for test in (feature.ks, feature.variation) if test is not None]
    sizes = feature.jensen_shannon, feature.unseen, feature.out_of_range
    return Moved.found(feature.title, feature.test, distances, *sizes)


def _suggestion(spec: DriftMonitorSpec, status: DriftMonitorStatus, pointer: Pointer) -> Suggestion:
    trained_on = spec.retrain.causes if spec.retrain is not None else ()
    listed = pointer.action == "Retrain" and any(causes.is_there(status, cause) for cause in trained_on)
    return Suggestion(points_at=pointer.at, action=pointer.action, listed=listed, message=pointer.message)
