"""Measurements as Jobs: the manifest of one.

One pod in the namespace of the ModelDeployment, with what a template says that may be used there: the operator reads no
Secret, and runs nothing of its author's.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from mooring_artifacts.webhooks import INSUFFICIENT

from mooring_operator.api.names import DEPLOYMENT_LABEL
from mooring_operator.api.template_queries import MeasuringJob, ProviderName
from mooring_operator.planning.analysis import measuring_agreements, measuring_services
from mooring_operator.planning.analysis.in_namespace import Due
from mooring_operator.planning.analysis.measuring import Reading
from mooring_operator.planning.analysis.measuring_services import Asked
from mooring_operator.planning.analysis.results import Result, read_number, read_result
from mooring_operator.planning.manifests import check_jobs, check_pods
from mooring_operator.planning.manifests.pods import restricted_pod
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects.owner import Manifest
from mooring_operator.planning.objects.ownership import owner_reference

MEASUREMENT_LABEL = "mooring.dev/measurement"
_KEPT = timedelta(hours=1)


class Measuring(NamedTuple):
    """How a provider measures by a pod.

    fill: says what the pod's container runs. allowed: how long that may take. retries: of its pod.
    read: reads what the container wrote. answers: whether the container may say no by its exit code.
    found: makes a reading of that.
    """

    fill: Callable[[dict[str, Any], Due, RunPods], None]
    allowed: Callable[[Due], timedelta]
    retries: Callable[[Due], int]
    read: Callable[[str], Result]
    answers: bool
    found: Callable[[Due, datetime | None, Result], Reading] = lambda due, begun, result: due.found(
        begun, result.value, problem=result.problem
    )


def job_of(due: Due, how: Measuring, pods: RunPods) -> Manifest:
    """Give the Job of a measurement; it goes with its ModelDeployment, and by itself a while after it has ended."""
    labels = {**check_pods.LABELS, MEASUREMENT_LABEL: due.measurement_id}
    pod = restricted_pod(check_pods.CONTAINER, pods.scratch)
    how.fill(pod, due, pods)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": check_jobs.name_of(due.measurement_id),
            "namespace": due.owner.namespace,
            "labels": {**labels, DEPLOYMENT_LABEL: due.owner.name},
            "ownerReferences": [owner_reference(due.owner)],
        },
        "spec": {
            "backoffLimit": how.retries(due),
            "activeDeadlineSeconds": int(min(how.allowed(due), pods.longest).total_seconds()),
            "ttlSecondsAfterFinished": int(min(_KEPT, pods.kept).total_seconds()),
            "podFailurePolicy": {"rules": check_pods.failure_rules([INSUFFICIENT])},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _job(due: Due) -> MeasuringJob:
    found = due.query.query.job
    assert found is not None
    return found


def _service(asked: Callable[[Due], Asked]) -> Measuring:
    """A number of a monitoring service, which a program of ours asks for."""
    return Measuring(
        fill=lambda pod, due, pods: measuring_services.ask(pod, asked(due), pods),
        allowed=lambda due: asked(due).timeout + check_pods.STARTS,
        retries=lambda due: check_pods.RETRIES,
        read=read_number,
        answers=False,
    )


MEASURED_BY_PODS: Mapping[ProviderName, Measuring] = {
    "job": Measuring(
        fill=lambda pod, due, pods: check_jobs.run(pod, _job(due), due.facts),
        allowed=lambda due: _job(due).timeout,
        retries=lambda due: _job(due).backoff_limit,
        read=read_result,
        answers=True,
    ),
    "datadog": _service(measuring_services.datadog),
    "cloudWatch": _service(measuring_services.cloud_watch),
    "agreement": Measuring(
        fill=measuring_agreements.compare,
        allowed=lambda due: measuring_agreements.agreement_of(due).timeout + check_pods.STARTS,
        retries=lambda due: check_pods.RETRIES,
        read=read_result,
        answers=False,
        found=measuring_agreements.counted,
    ),
}
