"""Asks for CI runs and reads what they found."""

from collections.abc import Mapping
from datetime import timedelta

from mooring_artifacts.gates import Violation
from mooring_artifacts.judging import Findings, judge
from mooring_artifacts.run_documents import RunFailure
from mooring_artifacts.run_documents import Verdict as Document

from mooring_operator.adapters.documents import DocumentInvalid
from mooring_operator.adapters.pipelines import Pipelines
from mooring_operator.api import API_VERSION
from mooring_operator.api.ci import CISpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import BroughtFiles, Candidate, Revision
from mooring_operator.planning.objects.owner import Owner
from mooring_operator.planning.policies.evidence import facts_in
from mooring_operator.planning.rollout.situation import NoVerdict, Verdict
from mooring_operator.planning.runs import retries
from mooring_operator.planning.runs.model_ci import ci_parameters, registration_parameters
from mooring_operator.planning.runs.run import TENANT, JsonValue, OwnPipeline, RunOwner, RunRequest, RunState
from mooring_operator.planning.status.wording import one_line
from mooring_operator.reconcile.answers import Answers, Place, shown

PIPELINE = "model-ci"
COPY_PIPELINE = "stage-model"


class CIRuns:
    """The runs of pipelines model-ci and stage-model, none of which may take longer than `longest`.

    They register models at `tracking_uri`, and copy them from there; empty: where their Secret says. Copies go below
    `staging_root`, which has {namespace} in it; empty: there are none.
    """

    def __init__(
        self,
        pipelines: Pipelines,
        answers: Answers,
        longest: timedelta,
        tracking_uri: str = "",
        staging_root: str = "",
    ) -> None:
        self._pipelines = pipelines
        self._tracking_uri = tracking_uri
        self._staging_root = staging_root
        self._answers = answers
        self.longest = longest

    @property
    def narrow(self) -> bool:
        """Whether runs take no characters beyond U+FFFF."""
        return self._pipelines.narrow

    @property
    def pages(self) -> str:
        """Address of the runs' pages in the KFP UI, to which a run's id is appended."""
        return self._pipelines.url("", "")

    async def launch(
        self,
        owner: Owner,
        spec: ModelDeploymentSpec,
        run_id: str,
        candidate: Candidate,
        champion: Revision | None = None,
        endpoint: str = "",
        demands: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Have `candidate` tested, at `endpoint` where it is served, beside `champion` where that serves, and have it
        look up what policies demand; a run that exists already is left alone.
        """
        assert spec.ci is not None
        ci = spec.ci
        parameters: dict[str, JsonValue] = {
            **ci_parameters(ci),
            "model_format": candidate.format,
            **_compared(ci, champion),
            **registration_parameters(ci.register_as, candidate.registered, self._tracking_uri),
            **({"endpoint": endpoint} if endpoint else {}),
            **({"demands": dict(demands)} if demands else {}),
        }
        own = _own(ci, ("demands",) if demands else ())
        await self._launch(owner, spec, ci, run_id, candidate, PIPELINE, parameters, own)

    async def copy(
        self, owner: Owner, spec: ModelDeploymentSpec, run_id: str, candidate: Candidate, place: str
    ) -> None:
        """Have the files of `candidate`, which MLflow hands out itself, copied below the address `place`."""
        assert spec.ci is not None
        parameters: dict[str, JsonValue] = {"tracking_uri": self._tracking_uri, "staging_uri": place}
        await self._launch(owner, spec, spec.ci, run_id, candidate, COPY_PIPELINE, parameters)

    def staging(self, namespace: str) -> str:
        """Give the address below which models of a namespace are copied; empty where they are not."""
        return self._staging_root.replace(TENANT, namespace)

    async def _launch(
        self,
        owner: Owner,
        spec: ModelDeploymentSpec,
        ci: CISpec,
        run_id: str,
        candidate: Candidate,
        pipeline: str,
        parameters: Mapping[str, JsonValue],
        own: OwnPipeline | None = None,
    ) -> None:
        timeout = min(ci.timeout, self.longest)
        await self._pipelines.launch(
            RunRequest(
                run_id=run_id,
                name=f"{owner.namespace}/{owner.name} {candidate.revision}",
                pipeline=pipeline,
                namespace=owner.namespace,
                owner=RunOwner(API_VERSION, "ModelDeployment", owner.name, owner.uid),
                timeout=timeout,
                service_account=ci.service_account_name or spec.serving.service_account_name,
                credentials_secret=ci.credentials_secret,
                resources=ci.resources,
                own=own,
                parameters={
                    "model_uri": candidate.storage_uri,
                    "model_digest": candidate.content_digest or "",
                    **parameters,
                    "verdict_uri": await self._answers.address(_place(owner, run_id), timeout),
                    "run_id": run_id,
                },
            )
        )

    async def get(self, owner: Owner, run_id: str) -> RunState | None:
        """Give the run as the backend has it; None where it has none."""
        return shown(await self._pipelines.get(owner.namespace, run_id))

    async def copied(self, owner: Owner, run_id: str) -> Verdict | NoVerdict | None:
        """Give what a run wrote down that copied files, as `verdict` does."""
        found = await self._read(owner, run_id)
        if not isinstance(found, Document):
            return found
        return Verdict(found.run_id, found.model_digest, passed=True, metrics={})

    async def verdict(
        self, owner: Owner, ci: CISpec, run_id: str, champion: Revision | None = None
    ) -> Verdict | NoVerdict | None:
        """Give what the run wrote down, or a sentence on why that is no verdict; None where there is nothing.

        What a pipeline of the user's own measured is judged by the gates here, beside `champion` where that serves: it
        may have left that out.
        """
        found = await self._read(owner, run_id)
        if not isinstance(found, Document):
            return found
        if found.model_digest is None and ci.target == "Files":
            return NoVerdict("the verdict has no modelDigest: nobody knows which files were tested")
        broken = [*found.violations, *_judged(found, ci, champion)]
        return Verdict(
            run_id=found.run_id,
            digest=found.model_digest,
            passed=not broken,
            metrics=found.metrics,
            test_data_digest=found.test_data_digest or "",
            violations=tuple(dict.fromkeys(one_line(violation.message) for violation in broken)),
            registered=_registered(found, ci),
            registration=_registration(found, ci),
            facts=facts_in(found),
            brought=_brought(found),
        )

    async def _read(self, owner: Owner, run_id: str) -> Document | NoVerdict | None:
        try:
            found = await self._answers.documents.verdict(self._answers.uri(_place(owner, run_id)))
        except DocumentInvalid as error:
            return NoVerdict(one_line(str(error), 1000))
        if isinstance(found, RunFailure):
            failure = found.error
            left = NoVerdict(one_line(failure.message, 1000), outage=failure.reason == retries.OUTAGE)
            return left if found.run_id == run_id else None
        return found


def _judged(found: Document, ci: CISpec, champion: Revision | None) -> list[Violation]:
    """Judge what a pipeline of the user's own measured; model-ci has done that."""
    if ci.pipeline is None:
        return []
    findings = Findings(
        found.metrics,
        found.intervals,
        champion=champion is not None,
        differences=found.differences,
        slices=found.slices,
    )
    return judge(findings, ci.gates)


def _brought(found: Document) -> BroughtFiles | None:
    told = found.brought
    return None if told is None else BroughtFiles(digest=told.digest, is_folder=told.is_folder)


def _registered(found: Document, ci: CISpec) -> str | None:
    told = found.registration
    if told is None or told.version is None or told.name != ci.register_as:
        return None
    return f"{told.name}/{told.version}"


def _registration(found: Document, ci: CISpec) -> str:
    if ci.register_as is None:
        return ""
    told = found.registration
    if told is None or told.name != ci.register_as:
        return f"not registered as {ci.register_as}: the run says nothing of it"
    return one_line(told.in_words(), 600)


def _own(ci: CISpec, needs: tuple[str, ...] = ()) -> OwnPipeline | None:
    if ci.pipeline is None:
        return None
    return OwnPipeline(ci.pipeline.name, ci.pipeline.version, (*ci.needs, *needs))


def _compared(ci: CISpec, champion: Revision | None) -> dict[str, JsonValue]:
    """Give the parameters that name the model that serves now; none where no gate asks for it."""
    if champion is None or not ci.compares:
        return {}
    return {"champion_uri": champion.storage_uri, "champion_digest": champion.content_digest or ""}


def _place(owner: Owner, run_id: str) -> Place:
    return Place(owner.namespace, owner.name, "ci", run_id, "verdict.json")
