"""A run, and its Job as the API server has it."""

from datetime import timedelta
from typing import Any

from mooring_operator.planning.manifests import run_jobs
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.runs.run import RunOwner, RunRequest

OWNER = RunOwner("mooring.dev/v1alpha1", "ModelDeployment", "digits", "9a1f2f6e-0000-4000-8000-000000000000")
RUN = RunRequest(
    run_id="0b9d7e0a-3c8e-5d57-9d0c-000000000001",
    name="team/digits",
    pipeline="model-ci",
    parameters={"model_uri": "s3://m/v1", "gates": [{"metric": "accuracy", "min": 0.9}]},
    namespace="team",
    owner=OWNER,
    timeout=timedelta(minutes=30),
)
MADE = "2026-03-01T12:00:00Z"


def job(**changes: Any) -> dict[str, Any]:
    """The Job of RUN as the API server has it."""
    made = run_jobs.job_of(RUN, RunPods())
    metadata = {**made["metadata"], "creationTimestamp": MADE, "uid": "j", "resourceVersion": "1"}
    return {**made, "metadata": {**metadata, **changes.pop("metadata", {})}, **changes}
