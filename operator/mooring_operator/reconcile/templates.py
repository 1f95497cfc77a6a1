"""Looks up the templates that deployments are judged by."""

from collections.abc import Mapping

from pydantic import ValidationError

from mooring_operator.adapters.cluster import Cluster, Forbidden, Kind, Ref
from mooring_operator.api.analysis import UsedTemplate
from mooring_operator.api.analysis_template import AnalysisTemplateSpec, ClusterAnalysisTemplateSpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.planning.analysis.templates import Found, Standards, resolve
from mooring_operator.planning.status import spec_errors
from mooring_operator.reconcile.kinds import ANALYSIS_TEMPLATE, CLUSTER_ANALYSIS_TEMPLATE

_MODELS: Mapping[Kind, type[AnalysisTemplateSpec]] = {
    ANALYSIS_TEMPLATE: AnalysisTemplateSpec,
    CLUSTER_ANALYSIS_TEMPLATE: ClusterAnalysisTemplateSpec,
}
_OFF = "is not looked up: the operator has MOORING_CLUSTER_POLICIES=false, and reads in its namespaces alone"


class Templates:
    """The AnalysisTemplates and ClusterAnalysisTemplates that deployments name.

    of_the_cluster: whether ClusterAnalysisTemplates may be read.
    """

    def __init__(self, cluster: Cluster, *, of_the_cluster: bool = True) -> None:
        self._cluster = cluster
        self._of_the_cluster = of_the_cluster

    async def apply(self, namespace: str, spec: ModelDeploymentSpec) -> tuple[ModelDeploymentSpec, Standards]:
        """Give a deployment's spec with the metrics of the templates that it names.

        Raises:
            ClusterError: the API server does not answer.
        """
        analysis = spec.rollout.analysis
        if analysis is None or not analysis.templates:
            return spec, Standards()
        found = {used.key: await self._find(namespace, used) for used in analysis.templates}
        resolved, standards = resolve(analysis, found, namespace)
        rollout = spec.rollout.model_copy(update={"analysis": resolved})
        return spec.model_copy(update={"rollout": rollout}), standards

    async def _find(self, namespace: str, used: UsedTemplate) -> Found:
        if used.cluster_scope and not self._of_the_cluster:
            return Found(missing=_OFF)
        kind = CLUSTER_ANALYSIS_TEMPLATE if used.cluster_scope else ANALYSIS_TEMPLATE
        try:
            ref = Ref(kind, "" if used.cluster_scope else namespace, used.name)
            resource = await self._cluster.get(ref, recent=True)
        except Forbidden as error:
            return Found(missing=f"cannot be read: {error}")
        if resource is None:
            return Found()
        try:
            spec = _MODELS[kind].model_validate(resource["spec"])
        except ValidationError as error:
            return Found(missing=f"cannot be read: {spec_errors.describe(error)}")
        return Found(spec, resource["metadata"].get("generation", 0))
