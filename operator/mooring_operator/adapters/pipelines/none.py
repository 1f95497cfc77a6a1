"""Stands in for a backend where the operator has none."""

from mooring_operator.adapters.pipelines.port import PipelinesRefused
from mooring_operator.planning.runs.run import RunRequest, RunState


class NoPipelines:
    """Implements `Pipelines`: whoever asks for a run is told what is missing."""

    async def launch(self, run: RunRequest) -> None:
        """Refuse."""
        raise PipelinesRefused(
            f"pipeline {run.pipeline} cannot run: set the operator's MOORING_ARTIFACT_ROOT, and "
            "MOORING_PIPELINES to Jobs or KFP"
        )

    async def get(self, namespace: str, run_id: str) -> RunState | None:
        """Know of no run."""
        return None

    async def terminate(self, namespace: str, run_id: str) -> None:
        """Have nothing to stop."""

    @property
    def narrow(self) -> bool:
        """Take every character."""
        return False

    def url(self, namespace: str, run_id: str) -> str:
        """Have no page."""
        return ""
