"""What a ClusterModelPolicy demands besides rules, and what of it a deployment does not meet."""

from collections.abc import Iterator, Sequence

from mooring_operator.api.analysis import NamedTemplate
from mooring_operator.api.ci import Gate
from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec, RequiredGate
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.model_policy import ModelPolicySpec
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.policies.sources import covers


def unmet_demands(
    policy: ClusterModelPolicySpec, spec: ModelDeploymentSpec, revision: Revision
) -> Iterator[str]:
    """Yield what `revision` of the deployment does not meet: the field, what it holds and what is allowed."""
    if spec.ci is None and (policy.require_ci or policy.required_gates) and not policy.looks_at_files:
        yield "spec.ci is missing: models have to be tested"
    if policy.allowed_formats and revision.format not in policy.allowed_formats:
        yield f"spec.model.format {revision.format!r} is not one of {', '.join(policy.allowed_formats)}"
    if policy.allowed_sources and not _is_allowed(policy.allowed_sources, revision):
        yield f"spec.model.uri {revision.model_uri!r} does not lie in {', '.join(policy.allowed_sources)}"
    yield from unmet_by_spec(policy, spec)
    if spec.ci is not None:
        for gate in policy.required_gates:
            yield from _missing_bounds(gate, spec.ci.gates)


def unmet_by_spec(
    policy: ModelPolicySpec | ClusterModelPolicySpec, spec: ModelDeploymentSpec
) -> Iterator[str]:
    """Yield what a deployment does not meet of what policies of a namespace and of the cluster demand alike."""
    if spec.ci is None and policy.looks_at_files:
        yield "spec.ci is missing: a run verifies signatures and reads documents"
    yield from missing_templates(policy.required_templates, spec)


def missing_templates(required: Sequence[NamedTemplate], spec: ModelDeploymentSpec) -> Iterator[str]:
    """Yield which of the templates the deployment is not judged by."""
    analysis = spec.rollout.analysis
    named = {template.key for template in analysis.templates} if analysis is not None else set()
    for template in required:
        if template.key not in named:
            yield f"spec.rollout.analysis.templates needs {template.kind} {template.name}"


def _is_allowed(sources: Sequence[str], revision: Revision) -> bool:
    addresses = (revision.model_uri, revision.storage_uri)
    return any(covers(source, address) for source in sources for address in addresses)


def _missing_bounds(required: RequiredGate, gates: Sequence[Gate]) -> Iterator[str]:
    # What holds for parts of the rows is another gate.
    given = [gate for gate in gates if gate.metric == required.metric and gate.slice is None]
    least = max((gate.min for gate in given if gate.min is not None), default=None)
    most = min((gate.max for gate in given if gate.max is not None), default=None)
    name = f"spec.ci.gates needs {required.metric} with"
    if required.min is not None and (least is None or least < required.min):
        yield f"{name} min {required.min:g} or more{_has(least)}"
    if required.max is not None and (most is None or most > required.max):
        yield f"{name} max {required.max:g} or less{_has(most)}"


def _has(bound: float | None) -> str:
    return f", has {bound:g}" if bound is not None else ""
