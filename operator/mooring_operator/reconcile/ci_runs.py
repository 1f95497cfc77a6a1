"""Asks for CI runs and reads what they found."""

from mooring_artifacts.run_documents import RunFailure

from mooring_operator.adapters.pipelines import Pipelines
from mooring_operator.adapters.verdicts import VerdictInvalid, Verdicts
from mooring_operator.api import API_VERSION
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import Candidate
from mooring_operator.planning.runs import JsonValue, RunOwner, RunRequest
from mooring_operator.planning.situation import Owner, Run, Verdict

PIPELINE = "model-ci"


class CIRuns:
    """The runs of pipeline model-ci, and their verdicts under `artifact_root`."""

    def __init__(self, pipelines: Pipelines, verdicts: Verdicts, artifact_root: str) -> None:
        self._pipelines = pipelines
        self._verdicts = verdicts
        self._artifact_root = artifact_root.rstrip("/")

    @property
    def pages(self) -> str:
        """Address of the runs' pages in the KFP UI, to which a run's id is appended."""
        return self._pipelines.url("", "")

    async def launch(
        self, owner: Owner, spec: ModelDeploymentSpec, run_id: str, candidate: Candidate
    ) -> None:
        """Have `candidate` tested; a run that exists already is left alone."""
        assert spec.ci is not None
        gates: list[JsonValue] = [gate.model_dump(mode="json", exclude_none=True) for gate in spec.ci.gates]
        await self._pipelines.launch(
            RunRequest(
                run_id=run_id,
                name=f"{owner.namespace}/{owner.name} {candidate.revision}",
                pipeline=PIPELINE,
                namespace=owner.namespace,
                owner=RunOwner(API_VERSION, "ModelDeployment", owner.name, owner.uid),
                timeout=spec.ci.timeout,
                parameters={
                    "model_uri": candidate.storage_uri,
                    "model_digest": candidate.content_digest or "",
                    "test_data_uri": spec.ci.test_data.uri,
                    "label_column": spec.ci.test_data.label_column,
                    "gates": gates,
                    "verdict_uri": self._verdict_uri(owner, run_id),
                    "run_id": run_id,
                },
            )
        )

    async def get(self, owner: Owner, run_id: str) -> Run | None:
        """Give the run as the backend has it; None where it has none."""
        state = await self._pipelines.get(owner.namespace, run_id)
        return None if state is None else Run(run_id, state.phase, state.message)

    async def verdict(self, owner: Owner, run_id: str) -> Verdict | str | None:
        """Give what the run wrote down, or a sentence on why that cannot be read."""
        try:
            found = await self._verdicts.read(self._verdict_uri(owner, run_id))
        except VerdictInvalid as error:
            return str(error)
        if found is None:
            return None
        if isinstance(found, RunFailure):
            return found.error.message
        return Verdict(
            run_id=found.run_id,
            digest=found.model_digest,
            passed=found.passed,
            metrics=found.metrics,
            violations=tuple(violation.message for violation in found.violations),
        )

    def _verdict_uri(self, owner: Owner, run_id: str) -> str:
        return f"{self._artifact_root}/{owner.namespace}/{owner.name}/ci/{run_id}/verdict.json"
