"""Looks up all that a decision about a ModelDeployment is made from."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from mooring_artifacts.grants import Grants
from mooring_artifacts.staging import is_proxied
from pydantic import ValidationError

from mooring_operator.adapters.cluster import Cluster, Forbidden, Ref
from mooring_operator.adapters.documents import DocumentsUnavailable
from mooring_operator.adapters.pipelines import PipelinesRefused, PipelinesUnavailable
from mooring_operator.adapters.registry import ModelNotFound, Registry, RegistryUnavailable
from mooring_operator.adapters.routers import Routers, ServiceNameTaken, Traffic
from mooring_operator.api import reasons
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.model_policy import ModelPolicySpec
from mooring_operator.api.names import ADOPT_ANNOTATION, REQUESTED_BY, askers_of, commands_of
from mooring_operator.api.rollout_status import ModelDeploymentStatus
from mooring_operator.api.runtimes import PinnedRuntime
from mooring_operator.planning import identity
from mooring_operator.planning.analysis.counting import Answer, Counting
from mooring_operator.planning.analysis.templates import Standards
from mooring_operator.planning.manifests.workloads import Images, Workload, name_of
from mooring_operator.planning.objects import ownership
from mooring_operator.planning.objects.owner import Manifest, NameTaken, Owner
from mooring_operator.planning.policies.signers import known
from mooring_operator.planning.rollout import analysis
from mooring_operator.planning.rollout.neighbours import Turn, promoted_digest, shows, turn_of
from mooring_operator.planning.rollout.runtimes import Chosen, Followed
from mooring_operator.planning.rollout.serving import may_be_lost
from mooring_operator.planning.rollout.situation import (
    NoVerdict,
    Observed,
    Resolved,
    Unresolved,
    Unseen,
    revision_named,
    runtime_sought,
)
from mooring_operator.planning.routes import Adoption, RouterChoice, Running, Service, UnderTest
from mooring_operator.planning.runs.abandoned_runs import unended
from mooring_operator.planning.runs.run import RunState
from mooring_operator.reconcile.aliases import Aliases
from mooring_operator.reconcile.checks import Checks
from mooring_operator.reconcile.ci_runs import CIRuns
from mooring_operator.reconcile.cluster_policies import ClusterPolicies
from mooring_operator.reconcile.counters import Counters
from mooring_operator.reconcile.kinds import MODEL_DEPLOYMENT, MODEL_POLICY, WORKLOADS


def owner_of(resource: Manifest) -> Owner:
    """Give the identity of a ModelDeployment."""
    metadata = resource["metadata"]
    return Owner(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata.get("generation", 0),
        labels=metadata.get("labels") or {},
        adopts=(metadata.get("annotations") or {}).get(ADOPT_ANNOTATION, ""),
    )


class Gatherer:
    """Does the looking up, so that the plan need not."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        routers: Routers,
        runs: CIRuns,
        registry: Registry,
        grants: Callable[[], Grants] = Grants,
        signers: Callable[[], Mapping[str, Sequence[str]]] = dict,
        images: Images | None = None,
        runtimes: Mapping[str, str] | None = None,
        cluster_policies: ClusterPolicies | None = None,
        counters: Counters | None = None,
        clock: Callable[[], datetime],
        checks: Checks | None = None,
        aliases: Aliases | None = None,
    ) -> None:
        self._cluster = cluster
        self._routers = routers
        self._runs = runs
        self._registry = registry
        self._grants = grants
        self._signers = signers
        self._images = images or Images()
        self._runtimes = runtimes or {}
        self._cluster_policies = cluster_policies or ClusterPolicies(cluster)
        self._counters = counters or Counters()
        self._clock = clock
        self._checks = checks or Checks({})
        self._aliases = aliases or Aliases()

    async def observe(
        self,
        resource: Manifest,
        spec: ModelDeploymentSpec,
        status: ModelDeploymentStatus,
        standards: Standards,
    ) -> Observed:
        """Look up the model, what is served, the policies, and the run that is being waited for."""
        counting = analysis.how_counted(self._counters.counting, standards, spec, status)
        owner = owner_of(resource)
        annotations = resource["metadata"].get("annotations") or {}
        commands = commands_of(annotations)
        workloads, taken = await self._workloads(owner, spec, status)
        chosen = await self._routers.choose(owner, spec, status)
        router = self._routers.of(owner, spec, chosen.name)
        service, name_taken = await self._service(router, owner, status)
        if service is not None and chosen.held:
            service = replace(service, problem=chosen.held)
        serving: tuple[Running, ...] = ()
        if service is not None and may_be_lost(status):
            serving = tuple(await router.serving(owner, service))
        binding, keys = await self._cluster_policies.binding(owner.namespace), self._signers()
        model = await self._resolve(owner.namespace, spec, status, again="retry" in commands)
        observed = Observed(
            owner=owner,
            model=model,
            router=await self._routers.traits(owner, spec, chosen.name),
            router_choice=chosen,
            service=service,
            serving=serving,
            under_test=await self._under_test(owner, status),
            name_taken=name_taken,
            adoption=await self._adoption(owner, spec, status, chosen, model),
            policies={name: known(await self._policy(owner, name), keys) for name in spec.policies},
            cluster_policies={name: known(policy, keys) for name, policy in binding.policies.items()},
            cluster_policies_error=binding.error,
            evidence=await self._evidence(owner, spec, status),
            others=await self._others(owner, spec, status),
            file_addresses=self._grants().files,
            staging=self._runs.staging(owner.namespace),
            commands=commands,
            askers=askers_of(annotations),
            requested_by=annotations.get(REQUESTED_BY, ""),
            workloads=workloads,
            taken_workloads=taken,
            images=self._images,
            runtimes=self._runtimes,
            run_pages=self._runs.pages,
            narrow_runs=self._runs.narrow,
            check=await self._checks.look(owner, spec, status),
            abandoned=await self._abandoned(owner, status),
            longest_run=self._runs.longest,
            counting=counting,
            counted=await self._counted(owner, spec, status, counting, service),
            standards=standards,
            alias=await self._aliases.look(owner.namespace, owner.name, spec, status),
        )
        observed = await self._with_runtime(spec, status, observed)
        return await self._with_run(owner, spec, status, observed)

    async def _counted(
        self,
        owner: Owner,
        spec: ModelDeploymentSpec,
        status: ModelDeploymentStatus,
        counting: Counting,
        service: Service | None,
    ) -> Answer | None:
        """Look at the counters, where that is due; nothing is waited for that does not come at once."""
        request = analysis.due(spec, status, owner, counting, self._clock(), service)
        return await self._counters.answer((owner.namespace, owner.name), request)

    def forget(self, namespace: str, name: str) -> None:
        """Leave what is still being looked up for a deployment that is gone."""
        self._counters.forget((namespace, name))
        self._aliases.forget(namespace, name)

    async def _resolve(
        self, namespace: str, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, *, again: bool
    ) -> Resolved | Unresolved:
        """Look the model up once; an alias every time, and any address when a person asks for a retry."""
        model, pinned = spec.model, status.model
        known = pinned is not None and pinned.uri == model.uri and model.digest in (None, pinned.digest)
        if known and pinned is not None and not again and not identity.is_alias(model.uri):
            return Resolved(pinned.storage_uri, pinned.digest, pinned.registered)
        try:
            return await self._registry.resolve(model, namespace)
        except ModelNotFound as error:
            return Unresolved(error.reason, error.message)
        except RegistryUnavailable as error:
            if known and pinned is not None:
                # What was pinned still holds; a registry that is away stops no rollout.
                return Resolved(pinned.storage_uri, pinned.digest, pinned.registered)
            return Unresolved(reasons.REGISTRY_UNAVAILABLE, str(error), temporary=True)

    async def _service(
        self, router: Traffic, owner: Owner, status: ModelDeploymentStatus
    ) -> tuple[Service | None, NameTaken | None]:
        try:
            revisions = [known for known in (status.stable, status.candidate) if known is not None]
            on_their_way = {known.revision for known in revisions}
            left = [known for known in status.retained if known.revision not in on_their_way]
            revisions += left if router.traits.serves_each else []
            return await router.observe(owner, revisions), None
        except ServiceNameTaken as taken:
            return None, NameTaken(str(taken), temporary=taken.leaving)

    async def _under_test(self, owner: Owner, status: ModelDeploymentStatus) -> UnderTest | None:
        """Look at what runs for a test, where something should or has to stop."""
        if status.test_instance is None:
            return None
        return await self._routers.under_test.observe(owner, status.test_instance, status.candidate)

    async def _adoption(
        self,
        owner: Owner,
        spec: ModelDeploymentSpec,
        status: ModelDeploymentStatus,
        router: RouterChoice,
        model: Resolved | Unresolved,
    ) -> Adoption | None:
        """Look at what is to be taken over as it runs: only a deployment without a revision takes one over."""
        if not owner.adopts or status.stable is not None or not isinstance(model, Resolved):
            return None
        return await self._routers.adoption(owner, revision_named("adopted", spec, model), router)

    async def _workloads(
        self, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
    ) -> tuple[dict[Workload, Manifest], dict[Workload, NameTaken]]:
        """Look up the workloads that are asked for or were once made, and names that others have taken."""
        found: dict[Workload, Manifest] = {}
        taken: dict[Workload, NameTaken] = {}
        asked: dict[Workload, bool] = {
            "batch": spec.batch is not None or status.batch is not None,
            "stream": spec.stream is not None or status.stream is not None,
            "disruption_budget": spec.serving.pod_disruption_budget is not None
            or status.disruption_budget is not None,
        }
        for workload in (name for name, is_asked in asked.items() if is_asked):
            kind, name = WORKLOADS[workload], name_of(owner, workload)
            manifest = await self._cluster.get(Ref(kind, owner.namespace, name))
            if manifest is None:
                continue
            match ownership.whose(manifest, owner):
                case "ours":
                    found[workload] = manifest
                case "leaving":
                    taken[workload] = NameTaken(ownership.name_leaving(manifest), temporary=True)
                case "foreign":
                    taken[workload] = NameTaken(ownership.name_taken(manifest, owner))
        return found, taken

    async def _policy(self, owner: Owner, name: str) -> ModelPolicySpec | None:
        resource = await self._cluster.get(Ref(MODEL_POLICY, owner.namespace, name))
        try:
            return None if resource is None else ModelPolicySpec.model_validate(resource["spec"])
        except ValidationError:
            # Only an older CRD lets such a policy in; a policy that cannot be read is not met.
            return None

    async def _evidence(
        self, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
    ) -> dict[tuple[str, str], str]:
        """Look up what the deployments have promoted that a revision waits for, where they let it be seen."""
        found = {}
        for required in spec.rollout.requires if not _rolls(status) else ():
            namespace = required.namespace or owner.namespace
            # An operator of some namespaces may not read in others.
            with suppress(Forbidden):
                resource = await self._cluster.get(Ref(MODEL_DEPLOYMENT, namespace, required.name))
                if resource is not None and shows(resource, owner.namespace):
                    found[(namespace, required.name)] = promoted_digest(resource)
        return found

    async def _others(
        self, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus
    ) -> tuple[Turn, ...]:
        """Look up who else of the namespace rolls out, once it is in the queue itself."""
        if spec.rollout.max_concurrent is None or status.reason != reasons.QUEUED:
            return ()
        turns = []
        async for page in self._cluster.pages(MODEL_DEPLOYMENT, namespace=owner.namespace):
            turns += [turn for resource in page if (turn := turn_of(resource)) and turn.name != owner.name]
        return tuple(turns)

    async def _with_runtime(
        self, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed
    ) -> Observed:
        """Look up what the revision that the spec asks for is to run on, as it is now."""
        sought, runtimes = runtime_sought(spec, status, observed), self._routers.runtimes
        if sought is None:
            return observed
        if isinstance(sought, PinnedRuntime):
            now = await runtimes.find(observed.owner, spec.model, Followed(sought, spec.serving.runtime))
            edited = (
                now if isinstance(now, PinnedRuntime) and not identity.same_runtime(now, sought) else None
            )
            return replace(observed, runtime=sought, edited_runtime=edited)
        try:
            runtime = await runtimes.find(observed.owner, spec.model, sought)
        except ServiceNameTaken as taken:
            return replace(observed, name_taken=NameTaken(str(taken), temporary=taken.leaving))
        if isinstance(sought, Chosen):
            return replace(observed, runtime=runtime, runtime_asked=isinstance(runtime, PinnedRuntime))
        # A crash leaves the question behind.
        left = status.candidate is not None and spec.serving.runtime is None
        asked = left and await runtimes.is_asked(observed.owner)
        return replace(observed, runtime=runtime, runtime_asked=asked)

    async def _with_run(
        self, owner: Owner, spec: ModelDeploymentSpec, status: ModelDeploymentStatus, observed: Observed
    ) -> Observed:
        ci = status.ci
        if spec.ci is None or status.candidate is None or ci is None or ci.verdict is not None:
            return observed
        try:
            run = await self._runs.get(owner, ci.run_id)
            if run is None or run.phase in ("Pending", "Running"):
                return replace(observed, run=run)
            if is_proxied(status.candidate.storage_uri):
                verdict = await self._runs.copied(owner, ci.run_id)
            else:
                verdict = await self._runs.verdict(owner, spec.ci, ci.run_id, status.stable)
        except (PipelinesUnavailable, PipelinesRefused) as error:
            return replace(observed, run_unseen=Unseen(ci.run_id, reasons.PIPELINES_UNAVAILABLE, str(error)))
        except DocumentsUnavailable as error:
            return replace(observed, run_unseen=Unseen(ci.run_id, reasons.VERDICTS_UNAVAILABLE, str(error)))
        if isinstance(verdict, NoVerdict):
            return replace(observed, run=run, verdict_error=verdict.message, verdict_outage=verdict.outage)
        return replace(observed, run=run, verdict=verdict)

    async def _abandoned(self, owner: Owner, status: ModelDeploymentStatus) -> dict[str, RunState | None]:
        """Look up the runs that were told to stop; one that cannot be asked about holds nothing up."""
        found = await self._checks.abandoned(owner, status)
        for run_id in unended(status.abandoned_runs):
            with suppress(PipelinesUnavailable, PipelinesRefused):
                found[run_id] = await self._runs.get(owner, run_id)
        return found


def _rolls(status: ModelDeploymentStatus) -> bool:
    return status.candidate is not None and status.candidate.runs
