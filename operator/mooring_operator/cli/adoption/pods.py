"""What of a template of pods ``spec.serving`` can say."""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from mooring_operator.api.templates import refused_key
from mooring_operator.cli.adoption.adopted import Object
from mooring_operator.cli.adoption.durations import duration_text
from mooring_operator.cli.adoption.fields import Fields
from mooring_operator.cli.adoption.serving import serving_of, valid

VARIABLE = "STORAGE_URI"
SOURCE_ANNOTATION = "internal.serving.kserve.io/storage-initializer-sourceuri"
_DEFAULT_DEADLINE = 600
_RUNTIME = (
    "the serving runtime of the model's format says it; what differs goes into spec.serving.template.model"
)
_TEMPLATE = "write it in spec.serving.template"
REASONS = {
    **dict.fromkeys(("image", "ports", "command", "workingDir", "imagePullPolicy"), _RUNTIME),
    **dict.fromkeys(("readinessProbe", "livenessProbe", "startupProbe", "lifecycle"), _RUNTIME),
    **dict.fromkeys(
        ("volumes", "volumeMounts", "initContainers", "securityContext", "hostNetwork"), _TEMPLATE
    ),
    **dict.fromkeys(
        ("terminationGracePeriodSeconds", "hostAliases", "dnsPolicy", "schedulerName"), _TEMPLATE
    ),
}


def serving_of_template(template: Fields) -> Object:
    """Give the fields of ``spec.serving`` for pods, whose first container serves the model."""
    pod = template.part("spec")
    container = pod.first("containers")
    env = _variables(container)
    _check_resources(container)
    serving = valid(serving_of(_raw(pod), {**_raw(container), "env": env}))
    for fields in (pod, container):
        for name in serving:
            fields.any(name)
    container.any("name")
    if "gpu" in serving:
        container.any("resources")
    kept = {variable["name"] for variable in serving.get("env", [])}
    for name in (str(one.get("name") or "?") for one in env):
        if name not in kept:
            container.tell(f"env.{name}")
    return {**serving, **_metadata(template.part("metadata"))}


def template_of_target(target: Object, reasons: Mapping[str, str]) -> tuple[Fields, Iterator[str]]:
    """Give the template of a workload that others name, and what will be left out of it once it was read."""
    spec = Fields(target.get("spec"), f"{target.get('kind', 'the target')}.spec")
    template = spec.part("template")
    return template, template.left_out(reasons)


def deadline_of(spec: Fields) -> Object:
    """Give the fields of ``spec.rollout`` for ``progressDeadlineSeconds``, which has the default of 600 everywhere."""
    deadline = spec.whole("progressDeadlineSeconds")
    if deadline is None or deadline in (0, _DEFAULT_DEADLINE):
        return {}
    return {"progressDeadline": duration_text(timedelta(seconds=min(deadline, 10**8)))}


def uri_in(item: Object) -> str:
    """Give the address that KServe's initializer was told of, or a container in variable STORAGE_URI; else nothing."""
    template = Fields(item.get("spec"), "spec").part("template")
    if found := template.part("metadata").part("annotations").peek(SOURCE_ANNOTATION):
        return str(found)
    for container in template.part("spec").parts("containers"):
        for variable in container.parts("env"):
            if variable.peek("name") == VARIABLE and variable.peek("value"):
                return str(variable.peek("value"))
    return ""


def target_of(item: Object, find: Callable[[str, str], Object | None]) -> Object | None:
    """Give the Deployment whose pods a Rollout or a Canary is about, where it names one that can be found."""
    spec = Fields(item.get("spec"), "spec")
    reference = spec.part("workloadRef" if item.get("kind") == "Rollout" else "targetRef")
    kind, name = reference.text("kind"), reference.text("name")
    return find(kind, name) if kind == "Deployment" and name else None


def _raw(fields: Fields) -> Object:
    return {name: fields.peek(name) for name in fields.names}


def _variables(container: Fields) -> list[Object]:
    """Give the variables but for the model's address, which is for spec.model to say."""
    kept = []
    for index, one in enumerate(container.list("env")):
        if Fields(one, f"{container.place}.env[{index}]").text("name") != VARIABLE:
            kept.append(one)
    return kept


def _check_resources(container: Fields) -> None:
    """Have amounts be objects, and name what else stands beside them."""
    resources = Fields(container.peek("resources"), f"{container.place}.resources")
    for name in resources.names:
        if name in ("limits", "requests"):
            resources.part(name)
        else:
            container.tell(f"resources.{name}")


def _metadata(metadata: Fields) -> Object:
    """Give the labels and annotations of pods that are free, and name the others."""
    out: Object = {}
    for part in ("labels", "annotations"):
        said = _raw(metadata.only(part))
        for name, value in said.items():
            if refused_key(name):
                metadata.tell(f"{part}.{name}", "it is Mooring's, or KServe's, to write")
            elif part in valid({part: {**out.get(part, {}), name: value}}):
                out[part] = {**out.get(part, {}), name: value}
            else:
                metadata.tell(f"{part}.{name}", "its form is not one of spec.serving")
    return out
