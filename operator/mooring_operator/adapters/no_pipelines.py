"""Stands in for KFP where the operator has no address of one."""

from mooring_operator.adapters.pipelines import PipelinesRefused, RunRequest, RunState


class NoPipelines:
    """Implements `Pipelines`: whoever asks for a test is told what is missing."""

    async def launch(self, run: RunRequest) -> None:
        """Refuse."""
        raise PipelinesRefused(
            "spec.ci needs Kubeflow Pipelines: set the operator's MOORING_KFP_ENDPOINT and MOORING_ARTIFACT_ROOT"
        )

    async def get(self, run_id: str) -> RunState | None:
        """Know of no run."""
        return None

    async def terminate(self, run_id: str) -> None:
        """Have nothing to stop."""

    def url(self, run_id: str) -> str:
        """Have no page."""
        return ""
