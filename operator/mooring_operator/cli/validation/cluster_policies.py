"""Says what ClusterModelPolicies of a file demand of a ModelDeployment that it does not meet."""

from collections.abc import Mapping
from dataclasses import replace

from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.cli.errors import CliError
from mooring_operator.cli.files import read_manifests
from mooring_operator.cli.validation.check import Report, as_stored, check_document
from mooring_operator.cli.validation.problem import Problem
from mooring_operator.cli.validation.source import Document, SourceError, read_objects
from mooring_operator.planning.policies.demands import unmet_demands


def read_policies(path: str) -> dict[str, ClusterModelPolicySpec]:
    """Read the ClusterModelPolicies of a file or folder.

    Raises:
        CliError: there is none, or one is not valid.
    """
    found = {}
    for manifest in read_manifests([path]):
        try:
            documents = list(read_objects(manifest.text))
        except SourceError as error:
            raise CliError(f"{manifest.label}:{error.line}: not YAML: {error.message}") from error
        for document in documents:
            report = check_document(document)
            if report.kind == "ClusterModelPolicy":
                if not report.ok:
                    raise CliError(
                        f"{manifest.label}:{document.line}: ClusterModelPolicy {report.name} is not valid"
                    )
                found[report.name] = ClusterModelPolicySpec.model_validate(as_stored(document.value)["spec"])
    if not found:
        raise CliError(f"{path}: there is no ClusterModelPolicy in it")
    return found


def check_policies(
    document: Document, report: Report, policies: Mapping[str, ClusterModelPolicySpec]
) -> Report:
    """Add what a valid ModelDeployment does not meet, were its namespace bound by all of `policies`.

    A registered model may lie in an allowed source once it is resolved: that it may not is a warning.
    """
    if report.kind != "ModelDeployment" or report.skipped:
        return report
    spec = ModelDeploymentSpec.model_validate(document.value["spec"])
    uri = spec.model.uri
    revision = Revision(revision="", model_uri=uri, storage_uri=uri, format=spec.model.format)
    problems, warnings = [*report.problems], [*report.warnings]
    for name, policy in policies.items():
        for unmet in unmet_demands(policy, spec, revision):
            field, _, what = unmet.partition(" ")
            problem = Problem(tuple(field.split(".")), f"{what} (ClusterModelPolicy {name})")
            resolvable = field == "spec.model.uri" and uri.startswith("models:/")
            (warnings if resolvable else problems).append(problem)
    return replace(report, problems=problems, warnings=warnings)
