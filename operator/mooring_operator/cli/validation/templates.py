"""Says whether deployments fit the AnalysisTemplates that stand in the same files."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from mooring_operator.api.analysis_template import AnalysisTemplateSpec, ClusterAnalysisTemplateSpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.cli.validation.check import Report
from mooring_operator.cli.validation.problem import Problem
from mooring_operator.cli.validation.source import Document, Path
from mooring_operator.planning.analysis.templates import Found, problems_of, resolve

TEMPLATES: Mapping[str, type[AnalysisTemplateSpec]] = {
    "AnalysisTemplate": AnalysisTemplateSpec,
    "ClusterAnalysisTemplate": ClusterAnalysisTemplateSpec,
}


def templates_in(objects: Iterable[Any]) -> dict[tuple[str, str], Found]:
    """Give the valid templates among objects, by kind and name."""
    found = {}
    for value in objects:
        if not isinstance(value, Mapping) or value.get("kind") not in TEMPLATES:
            continue
        try:
            spec = TEMPLATES[value["kind"]].model_validate(value["spec"])
            metadata = value["metadata"]
            found[(value["kind"], str(metadata["name"]))] = Found(spec, int(metadata.get("generation", 0)))
        except (ValidationError, KeyError, TypeError, ValueError):
            continue
    return {key: template for key, template in found.items() if not list(problems_of(_spec(template)))}


def check_templates(document: Document, report: Report, templates: Mapping[tuple[str, str], Found]) -> Report:
    """Add what is wrong with how a valid ModelDeployment uses those of its templates that are known here."""
    if report.kind != "ModelDeployment" or report.skipped or not report.ok:
        return report
    analysis = ModelDeploymentSpec.model_validate(document.value["spec"]).rollout.analysis
    if analysis is None or not analysis.templates:
        return report
    unknown = [
        f"spec.rollout.analysis.templates[{index}]"
        for index, used in enumerate(analysis.templates)
        if used.key not in templates
    ]
    _, standards = resolve(analysis, templates, "", only_found=True)
    field, _, why = standards.problem.partition(": ")
    problems = [Problem(_path(field), why)] if standards.problem else []
    return replace(
        report, problems=[*report.problems, *problems], not_checked=[*report.not_checked, *unknown]
    )


def _spec(template: Found) -> AnalysisTemplateSpec:
    assert template.spec is not None
    return template.spec


def _path(field: str) -> Path:
    """Read a field like spec.rollout.analysis.templates[0].arguments."""
    parts: list[str | int] = []
    for part in field.split("."):
        name, _, index = part.partition("[")
        parts += [name, int(index.rstrip("]"))] if index else [name]
    return tuple(parts)
