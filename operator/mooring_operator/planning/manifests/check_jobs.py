"""Checks of steps as Jobs: the manifest of one.

Source: batch/v1, podFailurePolicy (Kubernetes 1.31). One pod in the namespace of the ModelDeployment, with what its
author may use there: the operator itself calls no address of a tenant's, and runs nothing of theirs.
"""

import re
from collections.abc import Mapping
from typing import Any

from mooring_artifacts.webhooks import INSUFFICIENT, NO

from mooring_operator.api.checks import Check, Container, Job, Webhook
from mooring_operator.api.names import DEPLOYMENT_LABEL
from mooring_operator.planning.checks import Question
from mooring_operator.planning.manifests import check_pods
from mooring_operator.planning.manifests.check_pods import LABELS
from mooring_operator.planning.manifests.pods import TMP, escape_expansion, restricted_pod
from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owner_reference

CHECK_LABEL = "mooring.dev/check"


def name_of(check_id: str) -> str:
    """Give the name of a check's Job: the id decides it, so that the check exists once."""
    return f"mooring-check-{check_id}"


def job_of(owner: Owner, question: Question, pods: RunPods) -> Manifest:
    """Give the Job of a check; it goes with its ModelDeployment, and by itself a while after it has ended."""
    check, labels = question.check, {**LABELS, CHECK_LABEL: question.check_id}
    lasts = check.timeout if isinstance(check, Job) else check.timeout + check_pods.STARTS
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name_of(question.check_id),
            "namespace": owner.namespace,
            "labels": {**labels, DEPLOYMENT_LABEL: owner.name},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {
            "backoffLimit": check.backoff_limit if isinstance(check, Job) else check_pods.RETRIES,
            "activeDeadlineSeconds": int(min(lasts, pods.longest).total_seconds()),
            "ttlSecondsAfterFinished": int(pods.kept.total_seconds()),
            "podFailurePolicy": {"rules": _rules(check)},
            "template": {"metadata": {"labels": labels}, "spec": _pod(owner, question, pods)},
        },
    }


def _rules(check: Check) -> list[dict[str, Any]]:
    """A node that goes away says nothing; an answer is final, whatever may be tried again."""
    return check_pods.failure_rules([INSUFFICIENT] if isinstance(check, Job) else [NO, INSUFFICIENT])


def facts(owner: Owner, question: Question) -> dict[str, str | int]:
    """Give what a check is told of the rollout."""
    candidate, stable = question.candidate, question.stable
    return {
        "deployment": owner.name,
        "namespace": owner.namespace,
        "revision": candidate.revision,
        "stableRevision": stable.revision if stable is not None else "",
        "modelUri": candidate.model_uri,
        "digest": candidate.digest or "",
        "weight": candidate.weight,
        "step": candidate.step,
        "attempt": candidate.attempt,
        "url": question.address,
        "checkId": question.check_id,
    }


def _pod(owner: Owner, question: Question, pods: RunPods) -> dict[str, Any]:
    check, told = question.check, facts(owner, question)
    pod = restricted_pod(check_pods.CONTAINER, pods.scratch)
    if isinstance(check, Job):
        run(pod, check, told)
    elif isinstance(check, Webhook):
        check_pods.ask(pod, check_pods.Post(check.url, told, check.timeout, check.headers_secret), pods)
    return pod


def run(pod: dict[str, Any], check: Container, told: Mapping[str, str | int]) -> None:
    """Have a pod run a container of its author's, which is `told` facts by its environment."""
    [container] = pod["containers"]
    amounts = {"cpu": check.cpu, "memory": check.memory}
    variables = {f"MOORING_{_snake(name)}": str(value) for name, value in told.items()}
    container |= {
        "image": check.image,
        "env": check_pods.variables({**variables, "HOME": TMP}),
        "resources": {"requests": amounts, "limits": amounts},
    }
    for field in ("command", "args"):
        if words := getattr(check, field):
            container[field] = [escape_expansion(word) for word in words]
    if check.credentials_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": check.credentials_secret}}]
    if check.service_account_name is not None:
        pod["serviceAccountName"] = check.service_account_name


def _snake(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).upper()
