"""An owner, and revisions of its model."""

from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.objects.owner import Owner

OWNER = Owner("ns", "digits", "uid-1", 3)


def revision(name="aaaabbbbcc", model="v1", **serving):
    return Revision(
        revision=name,
        model_uri=f"s3://m/{model}",
        storage_uri=f"s3://m/{model}",
        format="onnx",
        workload=f"r{name[:8]}",
        serving=serving,
    )
