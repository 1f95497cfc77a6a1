"""Tells the model's container which requests to keep, by variables that Mooring's runtime reads.

Variables, and no flags: a server that knows none of them starts all the same.
"""

from typing import Any

from mooring_operator.api.capture import Capture
from mooring_operator.api.rollout_status import Revision
from mooring_operator.planning.rollout.capturing import may_capture

SPOOL = "mooring-capture"
SPOOL_FOLDER = "/var/spool/mooring-capture"
SPOOL_SIZE = "2Gi"
"""Twice what the runtime keeps there at most: a pod that exceeds it is evicted."""


def with_capture(pod: dict[str, Any], container: dict[str, Any], revision: Revision) -> dict[str, Any]:
    """Give the container of a model that keeps requests as the revision says, and add to `pod` where they wait.

    The folder outlives the container: what a crash leaves there is uploaded by the next one.
    """
    capture = revision.serving_spec.capture
    if capture is None or not may_capture(revision):
        return container
    settings = variables_of(capture)
    pod["volumes"] = named(pod.get("volumes", []), [{"name": SPOOL, "emptyDir": {"sizeLimit": SPOOL_SIZE}}])
    mounts = [mount for mount in container.get("volumeMounts", []) if mount.get("mountPath") != SPOOL_FOLDER]
    return {
        **container,
        "env": named(
            container.get("env", []), [{"name": name, "value": text} for name, text in settings.items()]
        ),
        "volumeMounts": [*mounts, {"name": SPOOL, "mountPath": SPOOL_FOLDER}],
    }


def variables_of(capture: Capture) -> dict[str, str]:
    """Give the variables that say which requests to keep."""
    said = {"MOORING_CAPTURE_URI": capture.store, "MOORING_CAPTURE_SPOOL_DIR": SPOOL_FOLDER}
    if capture.sample != 1:
        said["MOORING_CAPTURE_SAMPLE"] = f"{capture.sample:.12g}"
    if capture.features:
        said["MOORING_CAPTURE_FEATURES"] = ",".join(capture.features)
    if capture.mask:
        said["MOORING_CAPTURE_MASK"] = ",".join(f"{column}={rule}" for column, rule in capture.mask.items())
    if capture.retention is not None:
        said["MOORING_CAPTURE_RETENTION_HOURS"] = f"{capture.retention.total_seconds() / 3600:.12g}"
    return said


def named(there: list[dict[str, Any]], ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give a list of named things with ours, whatever else has their names."""
    names = {item["name"] for item in ours}
    return [*(item for item in there if item.get("name") not in names), *ours]
