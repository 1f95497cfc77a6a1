"""Checks of steps as Jobs: the manifest of one.

Source: batch/v1, podFailurePolicy (Kubernetes 1.31). One pod in the namespace of the ModelDeployment, with what its
author may use there: the operator itself calls no address of a tenant's, and runs nothing of theirs.
"""

import json
import re
from datetime import timedelta
from typing import Any

from mooring_artifacts.webhooks import BODY, INSUFFICIENT, NO, SECONDS, URL

from mooring_operator.api.checks import Check, Job, Webhook
from mooring_operator.api.names import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.planning.checks import Question
from mooring_operator.planning.manifests.pods import RESTRICTED_CONTAINER, RESTRICTED_POD, escape_expansion
from mooring_operator.planning.manifests.run_jobs import COMPONENT_LABEL, RunPods
from mooring_operator.planning.objects.owner import Manifest, Owner
from mooring_operator.planning.objects.ownership import owner_reference

CHECK_LABEL = "mooring.dev/check"
CONTAINER = "check"
LABELS = {MANAGED_BY: MANAGED_BY_VALUE, COMPONENT_LABEL: CONTAINER}
"""Of the pods: neither a deployment's nor a revision's, by which Services find what answers requests."""
_TMP = "/tmp"  # noqa: S108 - of the container
_HEADERS = "/headers"
_STARTS = timedelta(minutes=2)
"""How long a pod that asks a webhook may take to start, beside its time to ask."""
_RETRIES = 2
"""Of a pod of our own that ends in another way than by an answer."""


def name_of(check_id: str) -> str:
    """Give the name of a check's Job: the id decides it, so that the check exists once."""
    return f"mooring-check-{check_id}"


def job_of(owner: Owner, question: Question, pods: RunPods) -> Manifest:
    """Give the Job of a check; it goes with its ModelDeployment, and by itself a while after it has ended."""
    check, labels = question.check, {**LABELS, CHECK_LABEL: question.check_id}
    lasts = check.timeout if isinstance(check, Job) else check.timeout + _STARTS
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
            "backoffLimit": check.backoff_limit if isinstance(check, Job) else _RETRIES,
            "activeDeadlineSeconds": int(min(lasts, pods.longest).total_seconds()),
            "ttlSecondsAfterFinished": int(pods.kept.total_seconds()),
            "podFailurePolicy": {"rules": _rules(check)},
            "template": {"metadata": {"labels": labels}, "spec": _pod(owner, question, pods)},
        },
    }


def _rules(check: Check) -> list[dict[str, Any]]:
    """A node that goes away says nothing; an answer is final, whatever may be tried again."""
    codes = [INSUFFICIENT] if isinstance(check, Job) else [NO, INSUFFICIENT]
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": codes}},
    ]


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
    check = question.check
    container: dict[str, Any] = {
        "name": CONTAINER,
        "volumeMounts": [{"name": "tmp", "mountPath": _TMP}],
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": RESTRICTED_POD,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": pods.scratch}}],
    }
    told = facts(owner, question)
    if isinstance(check, Job):
        _run(container, pod, check, told)
    elif isinstance(check, Webhook):
        _ask(container, pod, check, told, pods.image)
    return pod


def _run(container: dict[str, Any], pod: dict[str, Any], check: Job, told: dict[str, str | int]) -> None:
    amounts = {"cpu": check.cpu, "memory": check.memory}
    variables = {f"MOORING_{_snake(name)}": str(value) for name, value in told.items()}
    container |= {
        "image": check.image,
        "env": _env({**variables, "HOME": _TMP}),
        "resources": {"requests": amounts, "limits": amounts},
    }
    for field in ("command", "args"):
        if words := getattr(check, field):
            container[field] = [escape_expansion(word) for word in words]
    if check.credentials_secret is not None:
        container["envFrom"] = [{"secretRef": {"name": check.credentials_secret}}]
    if check.service_account_name is not None:
        pod["serviceAccountName"] = check.service_account_name


def _ask(
    container: dict[str, Any], pod: dict[str, Any], check: Webhook, told: dict[str, str | int], image: str
) -> None:
    container |= {
        "image": image,
        # Isolated: neither the working directory nor the environment brings code in.
        "command": ["python", "-I", "-m", "mooring_components.webhook"],
        "args": [_HEADERS],
        "workingDir": _TMP,
        "env": _env(
            {URL: check.url, SECONDS: str(int(check.timeout.total_seconds())), BODY: json.dumps(told)}
        ),
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
    }
    if check.headers_secret is not None:
        secret = {"secretName": check.headers_secret, "defaultMode": 0o440}
        pod["volumes"].append({"name": "headers", "secret": secret})
        container["volumeMounts"].append({"name": "headers", "mountPath": _HEADERS, "readOnly": True})


def _env(variables: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": escape_expansion(value)} for name, value in variables.items()]


def _snake(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).upper()
