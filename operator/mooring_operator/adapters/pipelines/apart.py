"""Runs in namespaces beside those of the resources, where tenants can neither read nor write what belongs to a run."""

from dataclasses import replace

from mooring_operator.adapters.pipelines.port import Pipelines, PipelinesRefused
from mooring_operator.planning.runs.run import TENANT, RunRequest, RunState

_LONGEST_NAME = 63


class PipelinesApart:
    """Implements `Pipelines`: `backend` runs what resources of NAMESPACE ask for in the namespace that `names` says.

    Each tenant has a namespace of its own there, so that the ServiceAccounts and Secrets that a spec may name are those
    which the administrator put there for this tenant.
    """

    def __init__(self, backend: Pipelines, names: str) -> None:
        self._backend = backend
        self._names = names

    async def launch(self, run: RunRequest) -> None:
        """Make the run exist in its tenant's namespace for runs."""
        place = self._place(run.namespace)
        if len(place) > _LONGEST_NAME:
            raise PipelinesRefused(
                f"runs of namespace {run.namespace} would go to {place}, and no namespace has a name of "
                f"{len(place)} characters: MOORING_RUN_NAMESPACES={self._names} allows namespaces of "
                f"{_LONGEST_NAME - len(place) + len(run.namespace)}"
            )
        await self._backend.launch(replace(run, namespace=place))

    async def get(self, namespace: str, run_id: str) -> RunState | None:
        """Give the state of a run; None when the backend does not know it."""
        return await self._backend.get(self._place(namespace), run_id)

    async def terminate(self, namespace: str, run_id: str) -> None:
        """Ask a run to stop; one that is unknown or finished stays as it is."""
        await self._backend.terminate(self._place(namespace), run_id)

    @property
    def narrow(self) -> bool:
        """Whether the texts among parameters have no characters beyond U+FFFF."""
        return self._backend.narrow

    def url(self, namespace: str, run_id: str) -> str:
        """Give the page where a person watches the run; empty where there is none."""
        return self._backend.url(self._place(namespace), run_id)

    def _place(self, namespace: str) -> str:
        return self._names.replace(TENANT, namespace)
