"""Checks one document of a file: what the API server would say to `kubectl apply`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from mooring_artifacts.text import shortened
from pydantic import ValidationError

from mooring_operator.api import (
    API_VERSION,
    GROUP,
    AnalysisTemplateSpec,
    ClusterModelPolicySpec,
    ModelDeploymentSpec,
    crds,
    forms,
)
from mooring_operator.cli.validation.defaults import Schema, with_defaults
from mooring_operator.cli.validation.expressions import (
    POLICIES,
    unreadable_conditions,
    unreadable_expressions,
)
from mooring_operator.cli.validation.problem import Problem, kind_of, show
from mooring_operator.cli.validation.routing import routing_problems
from mooring_operator.cli.validation.rules import broken_rules, skipped_rules
from mooring_operator.cli.validation.source import Document, Path
from mooring_operator.cli.validation.structure import find_problems
from mooring_operator.planning import freezes
from mooring_operator.planning.analysis.templates import problems_of

_LONGEST_PREFIX = 58
_ADOPTABLE = ("InferenceService", "Rollout", "Canary")


@dataclass
class Report:
    """What was found in one document; `kind` and `name` are empty where it has none."""

    kind: str = ""
    name: str = ""
    problems: list[Problem] = field(default_factory=list)
    skipped: str = ""
    """Why the document was not checked, where it is none of ours."""
    not_checked: list[str] = field(default_factory=list)
    """Fields with rules that only an update can break."""
    warnings: list[Problem] = field(default_factory=list)
    """What the API server takes, but what cannot be meant."""

    @property
    def ok(self) -> bool:
        """Whether the API server would take it."""
        return not self.problems


@lru_cache(maxsize=1)
def schemas() -> dict[str, Schema]:
    """Give the OpenAPI schema of every kind that Mooring defines."""
    return {
        resource.kind: crds.custom_resource_definition(resource)["spec"]["versions"][0]["schema"][
            "openAPIV3Schema"
        ]
        for resource in crds.RESOURCES
    }


def check_document(document: Document) -> Report:
    """Say what is wrong with a document, or why it is not ours to judge."""
    value = document.value
    if not isinstance(value, dict):
        return Report(
            problems=[Problem((), f"must be a mapping with apiVersion and kind, got {show(value)}")]
        )
    report = Report(kind=_word(value.get("kind")), name=_name(value))
    report.problems = [Problem(path, "is given twice") for path in document.repeated]
    identity = list(_identity_problems(value))
    if identity or report.problems:
        report.problems += identity
        return report
    if report.kind == "List":
        # One with items is not judged as a whole.
        if value.get("items") == []:
            report.skipped = "the list is empty"
        else:
            report.problems = [
                Problem(("items",), f"must be a list of objects, got {kind_of(value.get('items'))}")
            ]
        return report
    if not str(value["apiVersion"]).startswith(f"{GROUP}/"):
        adopt = "; mooring adopt -f FILE writes a ModelDeployment for it" if report.kind in _ADOPTABLE else ""
        report.skipped = f"{report.kind} of {_word(value['apiVersion'])} is not Mooring's{adopt}"
        return report
    schema = schemas()[report.kind]
    report.problems = check_object(value)
    if report.ok and report.kind in POLICIES:
        report.warnings = list(unreadable_expressions(as_stored(value)))
    if report.ok and report.kind in ("AnalysisTemplate", "ClusterAnalysisTemplate"):
        report.warnings = list(unreadable_conditions(as_stored(value)))
    report.not_checked = list(skipped_rules(with_defaults(value, schema), schema))
    return report


def as_stored(value: Any) -> Any:
    """Give a valid object of ours as the API server keeps it: with defaults, and without nulls that mean nothing."""
    if not isinstance(value, dict) or not str(value.get("apiVersion")).startswith(f"{GROUP}/"):
        return value
    schema = schemas().get(_word(value.get("kind")))
    return value if schema is None else with_defaults(value, schema)


def check_object(value: dict[str, Any]) -> list[Problem]:
    """Give all that is wrong with an object of one of our kinds."""
    schema = schemas()[value["kind"]]
    # A status in a manifest is ignored: the API server drops it on create.
    filled = with_defaults({key: part for key, part in value.items() if key != "status"}, schema)
    _name_generated(filled.get("metadata"))
    problems = find_problems(filled, schema)
    if not any(problem.blocks for problem in problems):
        problems += broken_rules(filled, schema)
    return problems or list(_unreadable(filled))


def _unreadable(value: dict[str, Any]) -> Iterator[Problem]:
    """Yield what the operator would refuse of an object that the API server takes: a few limits are no rules there."""
    model = next(resource.spec for resource in crds.RESOURCES if resource.kind == value["kind"])
    try:
        spec = model.model_validate(value.get("spec", {}))
    except ValidationError as error:
        for found in error.errors(include_url=False):
            path = ("spec", *(part for part in found["loc"] if part != "[key]"))
            yield Problem(path, found["msg"].removeprefix("Value error, "))
    else:
        yield from _endless_freezes(spec)
        if isinstance(spec, AnalysisTemplateSpec):
            yield from (Problem(("spec", *path), why) for path, why in problems_of(spec))
        if isinstance(spec, ModelDeploymentSpec):
            yield from routing_problems(value["metadata"], spec)


def _endless_freezes(spec: object) -> Iterator[Problem]:
    """Yield a window of a freeze that the operator would hold everything for."""
    where: Path
    match spec:
        case ClusterModelPolicySpec():
            where, windows = ("spec", "freeze"), spec.freeze
        case ModelDeploymentSpec():
            where, windows = ("spec", "rollout", "freeze"), spec.rollout.freeze
        case _:
            return
    if problem := freezes.problem_of(windows, datetime.now(UTC)):
        yield Problem(where, problem)


def _name_generated(metadata: Any) -> None:
    """Give an object that asks for a name one like the API server's, which does so before it validates."""
    prefix = metadata.get("generateName") if isinstance(metadata, dict) else None
    if isinstance(prefix, str) and prefix and "name" not in metadata:
        metadata["name"] = prefix[:_LONGEST_PREFIX] + "x" * 5


def _identity_problems(value: dict[str, Any]) -> Iterator[Problem]:
    for key in ("apiVersion", "kind"):
        if not isinstance(value.get(key), str) or not value[key]:
            yield Problem((key,), "is required")
    version, kind = str(value.get("apiVersion")), value.get("kind")
    if not version.startswith(f"{GROUP}/") or not isinstance(kind, str):
        return
    if version != API_VERSION:
        yield Problem(("apiVersion",), f"{show(version)} is not served; use {API_VERSION}")
    if kind not in schemas():
        yield Problem(("kind",), f"{show(kind)} is not one of {', '.join(schemas())}")


def _name(value: dict[str, Any]) -> str:
    metadata = value.get("metadata")
    return _word(metadata.get("name")) if isinstance(metadata, dict) else ""


def _word(value: Any) -> str:
    """Give what should be a name for people to read: others' documents may hold anything there."""
    return shortened(str(value or ""), forms.OBJECT_NAME.longest)
