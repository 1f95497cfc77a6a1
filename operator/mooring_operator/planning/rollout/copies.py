"""Where what both revisions answered to the same requests is kept, or why it is not."""

from mooring_artifacts.uris import below

from mooring_operator.api.analysis import AnalysisStatus
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.rollout_status import ModelDeploymentStatus, Revision
from mooring_operator.planning.analysis.agreements import Copies


def copies_of(
    spec: ModelDeploymentSpec, status: ModelDeploymentStatus, name: str, found: AnalysisStatus
) -> Copies:
    """Give the folders of both revisions of a deployment that are compared."""
    strategy, candidate, stable = spec.rollout.strategy, status.candidate, status.stable
    if strategy != "Shadow":
        return Copies(
            problem=f"strategy {strategy} sends each request to one revision, and an agreement takes two answers to "
            "one: strategy Shadow sends copies"
        )
    if candidate is None or stable is None:
        return Copies()
    folders = [_folder(revision, name) for revision in (candidate, stable)]
    for revision, folder in zip((candidate, stable), folders, strict=True):
        if not folder:
            return Copies(
                problem=f"revision {revision.revision} keeps no requests: set spec.serving.capture, and see condition "
                "Capturing"
            )
    ended = None if candidate.mirror else candidate.step_started_at
    return Copies(folders[0], folders[1], until=ended, problem="")


def _folder(revision: Revision, name: str) -> str:
    capture = revision.serving_spec.capture
    return (
        below(capture.store, f"deployment={name}", f"revision={revision.revision}")
        if capture is not None
        else ""
    )
