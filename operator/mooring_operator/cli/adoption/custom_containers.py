"""What a container of one's own, which serves a model in the place of a serving runtime, becomes."""

from mooring_operator.adapters.routers.inference_services.running import refers
from mooring_operator.api.templates import CUSTOM_CONTAINER
from mooring_operator.cli.adoption.adopted import Object
from mooring_operator.cli.adoption.pods import VARIABLE
from mooring_operator.cli.adoption.serving import valid
from mooring_operator.cli.errors import RefusedError


def model_of(name: str, container: Object, uri: str, model_format: str) -> Object:
    """Give ``spec.model``: the address that KServe loads for the container, and a format that somebody says.

    Raises:
        RefusedError: nobody says one of the two.
    """
    address = uri_of(container) or uri
    if address and model_format:
        return {"uri": address, "format": model_format}
    missing = " and ".join(
        option for option, value in (("--uri", address), ("--format", model_format)) if not value
    )
    without = "" if address else f"it has no variable {VARIABLE}, by which KServe loads one; "
    raise RefusedError(
        f"InferenceService {name} serves by a container of its own, which does not say which model that is: {without}"
        f"say it by {missing}"
    )


def uri_of(container: Object) -> str:
    """Give the address of the model that KServe loads for a container; empty where it loads none."""
    values = [one.get("value") for one in container.get("env") or [] if one.get("name") == VARIABLE]
    return str(values[0] or "") if values else ""


def plain(container: Object) -> Object:
    """Give a container whose texts are those that reach it: a spec's are passed as they are written."""
    out = dict(container)
    for field in ("command", "args"):
        if field in out:
            out[field] = [_plain(text) for text in out[field]]
    if "env" in out:
        out["env"] = [{**one, "value": _plain(one["value"])} if "value" in one else one for one in out["env"]]
    return out


def _plain(text: str) -> str:
    # A reference cannot be said: it stays, and is told as a difference.
    return text if refers(text) else text.replace("$$", "$")


def variables_of(container: Object) -> list[Object]:
    """Give the variables that reach a container as they do now; its model's address is for spec.model to say."""
    # KServe executes no template in it.
    env = [one for one in container.get("env") or [] if not refers(str(one.get("value", "")))]
    said = [one for one in plain({"env": env})["env"] if "env" in valid({"env": [one]})]
    return [one for one in said if one["name"] != VARIABLE]


def with_containers(serving: Object, containers: list[Object], own: Object) -> Object:
    """Give ``spec.serving``, in which fields of `own` are already, with a template of the containers."""
    said = {"name", *serving, *(("resources",) if "gpu" in serving else ()), "env"}
    kept: Object = {"name": CUSTOM_CONTAINER}
    for name, value in own.items():
        proposed = {**kept, name: value}
        if name not in said and value and "template" in valid({"template": {"containers": [proposed]}}):
            kept = proposed
    template = {"containers": [kept]}
    for other in containers:
        wider = {"containers": [*template["containers"], plain(other)]}
        if other.get("name") != own.get("name") and "template" in valid({"template": wider}):
            template = wider
    return {**serving, "template": template}
