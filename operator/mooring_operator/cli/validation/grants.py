"""Says which addresses of a ModelDeployment the operator could not look up with the grants of a cluster."""

from dataclasses import replace

from mooring_artifacts.grants import Grants

from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.validation.check import Report
from mooring_operator.cli.validation.problem import Problem
from mooring_operator.cli.validation.source import Document
from mooring_operator.planning import addresses

_URI = ("spec", "model", "uri")


def check_grants(document: Document, report: Report, grants: Grants) -> Report:
    """Add what the operator would say of a valid document's addresses."""
    if report.kind != "ModelDeployment" or report.skipped:
        return report
    value = document.value
    namespace = (value.get("metadata") or {}).get("namespace") or "default"
    model = ModelDeploymentSpec.model_validate(value["spec"]).model
    if (refusal := addresses.refuse_lookup(model.uri, namespace, grants)) is not None:
        return replace(report, problems=[Problem(_URI, refusal)])
    advice = addresses.advise_grant(model.uri, model.digest, namespace, grants)
    return (
        replace(report, warnings=[*report.warnings, Problem(_URI, advice)]) if advice is not None else report
    )
