"""Notices of a DriftMonitor as Jobs: one pod in its namespace posts to an address that its author named.

The operator calls no address of a tenant's and reads no Secret: the kubelet hands both to the pod.
"""

from datetime import timedelta
from typing import Any

from mooring_artifacts.webhooks import INSUFFICIENT, NO

from mooring_operator.api.drift_notify import Receiver
from mooring_operator.planning.manifests import check_pods
from mooring_operator.planning.manifests.check_pods import LABELS
from mooring_operator.planning.manifests.pods import restricted_pod
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owner_reference

NOTICE_LABEL = "mooring.dev/notice"
_TRIED = timedelta(minutes=3)
_KEPT = timedelta(hours=1)


def name_of(notice_id: str) -> str:
    """Give the name of a notice's Job: the id decides it, so that it is told once."""
    return f"mooring-notice-{notice_id}"


def job_of(owner: Owner, notice_id: str, receiver: Receiver, body: Any, pods: RunPods) -> Manifest:
    """Give the Job that posts `body`; it goes with its DriftMonitor, and by itself a while after it has ended."""
    labels = {**LABELS, NOTICE_LABEL: notice_id}
    address = receiver.url_secret or receiver.url
    assert address is not None
    pod = restricted_pod(check_pods.CONTAINER, pods.scratch)
    check_pods.ask(pod, check_pods.Post(address, body, _TRIED, receiver.headers_secret), pods)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_of(notice_id),
            "namespace": owner.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(owner, "DriftMonitor")],
        },
        "spec": {
            "backoffLimit": check_pods.RETRIES,
            "activeDeadlineSeconds": int(min(_TRIED + check_pods.STARTS, pods.longest).total_seconds()),
            "ttlSecondsAfterFinished": int(min(_KEPT, pods.kept).total_seconds()),
            "podFailurePolicy": {"rules": check_pods.failure_rules([NO, INSUFFICIENT])},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
