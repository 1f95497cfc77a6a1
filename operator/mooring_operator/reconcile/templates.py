"""Looks up the templates that deployments are judged by, and says of each whether it can be."""

from collections.abc import Callable, Mapping
from datetime import datetime

from pydantic import ValidationError

from mooring_operator.adapters.cluster import Cluster, Forbidden, Kind, Ref
from mooring_operator.adapters.rules.engine import Rules
from mooring_operator.api.analysis import UsedTemplate
from mooring_operator.api.analysis_template import (
    AnalysisTemplateSpec,
    ClusterAnalysisTemplateSpec,
    TemplateStatus,
)
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.planning.analysis.template_status import judge_template, reading_of, refuse_template
from mooring_operator.planning.analysis.templates import Found, Standards, resolve
from mooring_operator.planning.status import spec_errors
from mooring_operator.reconcile.kinds import ANALYSIS_TEMPLATE, CLUSTER_ANALYSIS_TEMPLATE
from mooring_operator.reconcile.wire import write_status

_MODELS: Mapping[Kind, type[AnalysisTemplateSpec]] = {
    ANALYSIS_TEMPLATE: AnalysisTemplateSpec,
    CLUSTER_ANALYSIS_TEMPLATE: ClusterAnalysisTemplateSpec,
}
_OFF = "is not looked up: the operator has MOORING_CLUSTER_POLICIES=false, and reads in its namespaces alone"


class Templates:
    """The controller of AnalysisTemplates and ClusterAnalysisTemplates.

    of_the_cluster: whether ClusterAnalysisTemplates may be read.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        rules: Rules,
        clock: Callable[[], datetime],
        of_the_cluster: bool = True,
    ) -> None:
        self._cluster = cluster
        self._rules = rules
        self._clock = clock
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

    async def reconcile(self, kind: Kind, namespace: str, name: str) -> float | None:
        """Write into a template's status whether deployments can be judged by it.

        Returns:
            Seconds until it wants to be looked at again; None: only after a change.

        Raises:
            RulesUnavailable: its conditions cannot be read now; try again.
        """
        resource = await self._cluster.get(Ref(kind, namespace, name))
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            return None
        status = TemplateStatus.model_validate(resource.get("status") or {})
        generation = resource["metadata"].get("generation", 0)
        try:
            template = _MODELS[kind].model_validate(resource["spec"])
        except ValidationError as error:
            judged = refuse_template(status, spec_errors.describe(error), generation, self._clock())
            await write_status(self._cluster, resource, judged)
            return None
        question, read = reading_of(template), None
        if question is not None:
            read = (await self._rules.answer(namespace, [question])).get(question.key)
            if read is None:
                return self._rules.wait(namespace, question)
        judged = judge_template(template, status, generation, self._clock(), read)
        await write_status(self._cluster, resource, judged)
        return None

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
