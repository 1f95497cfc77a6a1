"""An owner, and revisions of its model."""

from mooring_operator.api.rollout_status import Candidate, Revision
from mooring_operator.planning.objects.owner import Owner

from tests.unit.operator.planning.world import START

OWNER = Owner("ns", "digits", "uid-1", 3)


def revision(kind=Revision, name="aaaabbbbcc", model="v1", **serving):
    fields = {"started_at": START, "step_started_at": START} if kind is Candidate else {}
    return kind(
        revision=name,
        model_uri=f"s3://m/{model}",
        storage_uri=f"s3://m/{model}",
        format="onnx",
        workload=f"r{name[:8]}",
        serving=serving,
        **fields,
    )
