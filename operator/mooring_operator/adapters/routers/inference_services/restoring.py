"""Says what of an InferenceService that was taken over somebody has changed since, as a merge patch that undoes it.

Its pods run as they did before anybody changed it: where nobody has, there is nothing to write, and no pod moves.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services import running
from mooring_operator.adapters.routers.inference_services.comparison import differences
from mooring_operator.api.rollout_status import Revision

Object = dict[str, Any]

_OTHERS_ADD = ("labels", "annotations")


def undone(item: Mapping[str, Any], revision: Revision) -> Object:
    """Give the patch of the spec by which the fields that `revision` says mean what it says; empty where they do.

    What others add to fields that it does not say is left alone, as in what Mooring makes. How many pods there are is
    said elsewhere.
    """
    now, made = running.predictors(item, revision)
    model = made.pop("model", None)
    for name in manifests.scaling(revision.serving_spec):
        del made[name]
    predictor = dict(_changed(now, made))
    if model is not None:
        if not running.runtime_of(item) and "runtime" not in now["model"]:
            # Which one it runs on, KServe does not say yet.
            model.pop("runtime", None)
        if changed := dict(_changed(now["model"], model)):
            predictor["model"] = changed
    spec: Object = {"predictor": predictor} if predictor else {}
    for name, (there, wanted) in running.components(item, revision).items():
        wanted.pop("minReplicas", None)
        if changed := dict(_changed(there, wanted)):
            spec[name] = changed
    return spec


def _changed(now: Object, made: Object) -> Iterator[tuple[str, Any]]:
    for name, wanted in made.items():
        there = now.get(name)
        if name in _OTHERS_ADD:
            there = {key: value for key, value in (there or {}).items() if key in wanted}
        if any(differences({name: there} if there is not None else {}, {name: wanted}, "")):
            yield name, _patch(there, wanted)


def _patch(now: Any, wanted: Any) -> Any:
    """Give the merge patch that makes one value of another: null takes a field away."""
    if not isinstance(now, dict) or not isinstance(wanted, dict):
        return wanted
    gone = {name: None for name in now if name not in wanted}
    return gone | {name: _patch(now.get(name), value) for name, value in wanted.items()}
