"""Says what somebody has changed of an InferenceService since, as a merge patch that undoes it.

Its pods run as they did before anybody changed it: where nobody has, there is nothing to write, and no pod moves.
Source: KServe 0.21, serving.kserve.io/v1beta1.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services import running
from mooring_operator.adapters.routers.inference_services.comparison import differences
from mooring_operator.adapters.routers.inference_services.revision_manifest import STOP_ANNOTATION
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects.difference import merge_patch
from mooring_operator.planning.objects.owner import Manifest

Object = dict[str, Any]

_OTHERS_ADD = ("labels", "annotations")
_HALTS = (STOP_ANNOTATION, "serving.kserve.io/disable-auto-update")
_PARTS = ("canary", "transformer", "explainer")
_SPLIT = "canaryTrafficPercent"


def intruded(item: Mapping[str, Any], wanted: Manifest) -> Object:
    """Give the patch that takes out of an InferenceService what others have put in and what decides over what runs.

    That is what has KServe end its pods, or follow it no more, and whatever answers beside the revision that is
    `wanted`. Other additions are left alone; empty where there is none of these.
    """
    said, there = wanted["metadata"].get("annotations") or {}, item["metadata"].get("annotations") or {}
    halts = {name: None for name in _HALTS if there.get(name) == "true" and name not in said}
    spec: Object = {name: None for name in _PARTS if item["spec"].get(name) and name not in wanted["spec"]}
    if _SPLIT in item["spec"]["predictor"] and _SPLIT not in wanted["spec"]["predictor"]:
        spec["predictor"] = {_SPLIT: None}
    return {
        **({"metadata": {"annotations": halts}} if halts else {}),
        **({"spec": spec} if spec else {}),
    }


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
            maps = isinstance(there, dict) and isinstance(wanted, dict)
            yield name, merge_patch(there or {}, wanted) if maps else wanted
