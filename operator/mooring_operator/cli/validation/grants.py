"""Says which addresses of a ModelDeployment the operator could not look up with the grants of a cluster."""

from dataclasses import replace

from mooring_artifacts.grants import Grants

from mooring_operator.api import ModelDeploymentSpec
from mooring_operator.cli.validation.check import Report
from mooring_operator.cli.validation.problem import Problem
from mooring_operator.cli.validation.source import Document
from mooring_operator.planning import addresses

_URI = ("spec", "model", "uri")
_ALIAS = ("spec", "model", "promoteAlias")


def check_grants(document: Document, report: Report, grants: Grants) -> Report:
    """Add what the operator would say of a valid document's addresses."""
    if report.kind != "ModelDeployment" or report.skipped:
        return report
    value = document.value
    namespace = (value.get("metadata") or {}).get("namespace") or "default"
    spec = ModelDeploymentSpec.model_validate(value["spec"])
    model = spec.model
    if (refusal := addresses.refuse_lookup(model.uri, namespace, grants)) is not None:
        return replace(report, problems=[Problem(_URI, refusal)])
    advice = (
        (_URI, addresses.advise_grant(model.uri, model.digest, namespace, grants)),
        (_ALIAS, _refuse_alias(spec, namespace, grants)),
    )
    warnings = [Problem(path, told) for path, told in advice if told is not None]
    return replace(report, warnings=[*report.warnings, *warnings]) if warnings else report


def _refuse_alias(spec: ModelDeploymentSpec, namespace: str, grants: Grants) -> str | None:
    """Say that the alias that follows what is promoted could not be moved."""
    alias, name = spec.model.promote_alias, addresses.registered_name(spec)
    if alias is None or name is None:
        return None
    refusal = addresses.refuse_alias(name, alias, namespace, grants)
    return refusal and f"spec.model.promoteAlias {alias}: {refusal}"
