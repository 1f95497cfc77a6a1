"""Where runs write their answers: one document for each run below the artifact root, by an address for it alone."""

from dataclasses import astuple, dataclass, replace
from datetime import timedelta

from mooring_artifacts.uris import below, hide_queries

from mooring_operator.adapters.documents import Documents
from mooring_operator.adapters.pipelines.jobs import LONGEST_WAIT
from mooring_operator.adapters.signed_urls import Signing
from mooring_operator.planning.runs.run import RunState
from mooring_operator.planning.status.wording import one_line

# A run may wait for its turn before its time begins.
_QUEUE = LONGEST_WAIT


@dataclass(frozen=True)
class Place:
    """The document of one run: `purpose` is ci, drift or training."""

    namespace: str
    name: str
    purpose: str
    run_id: str
    file: str


class Answers:
    """The documents of runs below `artifact_root`, which are the operator's to read."""

    def __init__(self, documents: Documents, signing: Signing, artifact_root: str) -> None:
        self.documents = documents
        self._signing = signing
        self._artifact_root = artifact_root

    def uri(self, place: Place) -> str:
        """Give the address that a document is read from."""
        return below(self._artifact_root, *astuple(place))

    async def address(self, place: Place, lasts: timedelta) -> str:
        """Give the address that a run that `lasts` so long may write its document to.

        Raises:
            DocumentsUnavailable: it cannot be signed now.
        """
        return await self._signing.put_url(self.uri(place), lasts + _QUEUE)


def shown(state: RunState | None) -> RunState | None:
    """Give a run's state as people may see it: what a step said may be anything, an address with its signature too."""
    return None if state is None else replace(state, message=one_line(hide_queries(state.message)))
