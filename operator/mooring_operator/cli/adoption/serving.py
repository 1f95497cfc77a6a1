"""What of a pod and its model container ``spec.serving`` can say, whoever wrote them.

A field that has the same name there is carried over as it is; the others each have their line here.
"""

from typing import Any

from mooring_operator.adapters.routers.inference_services import manifest as manifests
from mooring_operator.adapters.routers.inference_services.running import means_the_same, plain_text
from mooring_operator.api.rollout_status import Revision
from mooring_operator.api.serving import ServingSpec
from mooring_operator.cli.adoption.forms import takes

_FIELDS = frozenset(field.alias or name for name, field in ServingSpec.model_fields.items())
_OWN_MEANING = frozenset(
    {"mode", "runtime", "minReplicas", "maxReplicas", "autoscaling", "resources", "gpu", "env", "batching"}
)


def serving_of(pod: dict[str, Any], container: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of ``spec.serving`` for what runs the model; what they cannot say is missing."""
    same = [*pod.items(), *container.items()]
    said = {name: value for name, value in same if name in _FIELDS - _OWN_MEANING and value}
    said |= _resources(container.get("resources") or {})
    if env := [variable for one in container.get("env") or [] if (variable := _variable(one))]:
        said["env"] = env
    return said


def valid(proposed: dict[str, Any]) -> dict[str, Any]:
    """Give the fields of those proposed that ``spec.serving`` takes."""
    kept: dict[str, Any] = {}
    for name, value in proposed.items():
        if takes(ServingSpec, {**kept, name: value}):
            kept[name] = value
    return kept


def revision_of(serving: dict[str, Any], model: dict[str, Any]) -> Revision:
    """Give a revision that serves a model so, for the builder of manifests."""
    return Revision(
        revision="adopted",
        model_uri=model["uri"],
        storage_uri=model["uri"],
        format=model["format"],
        format_version=model.get("formatVersion"),
        serving=serving,
    )


def _resources(resources: dict[str, Any]) -> dict[str, Any]:
    """Extended resources, which have a domain, are GPUs: one kind of them at most."""
    limits = {name: str(value) for name, value in (resources.get("limits") or {}).items()}
    requests = {name: str(value) for name, value in (resources.get("requests") or {}).items()}
    said: dict[str, Any] = {}
    extended = [name for name in limits if "/" in name]
    if len(extended) == 1 and limits[extended[0]].isdecimal() and int(limits[extended[0]]) > 0:
        name = extended[0]
        said["gpu"] = {"count": int(limits.pop(name)), "resourceName": name}
        requests.pop(name, None)
    if wanted := {kind: amounts for kind, amounts in (("requests", requests), ("limits", limits)) if amounts}:
        said["resources"] = wanted
    return said


def _variable(variable: dict[str, Any]) -> dict[str, Any] | None:
    """Give an environment variable that reaches the container with the value that it has now."""
    name, value = variable.get("name"), variable.get("value", "")
    if set(variable) - {"name", "value"} or not isinstance(value, str):
        return variable if takes(ServingSpec, {"env": [variable]}) else None
    for said in (value, plain_text(value)):
        proposed = {"name": name, "value": said}
        if valid({"env": [proposed]}) and means_the_same(value, _built(proposed)):
            return proposed
    return None


def _built(variable: dict[str, Any]) -> str:
    revision = revision_of({"env": [variable]}, {"uri": "s3://m/x", "format": "x"})
    value: str = manifests.predictor(revision)["model"]["env"][0].get("value", "")
    return value
