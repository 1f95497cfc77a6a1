"""Pods of checks and notices in a tenant's namespace, and the one that posts to an address its author named."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mooring_artifacts.webhooks import BODY, SECONDS, URL

from mooring_operator.api.drift_notify import SecretKey
from mooring_operator.api.names import MANAGED_BY, MANAGED_BY_VALUE
from mooring_operator.planning.manifests.pods import TMP, escape_expansion
from mooring_operator.planning.manifests.run_jobs import COMPONENT_LABEL, RunPods

CONTAINER = "check"
LABELS = {MANAGED_BY: MANAGED_BY_VALUE, COMPONENT_LABEL: CONTAINER}
"""Of the pods: neither a deployment's nor a revision's, by which Services find what answers requests."""
STARTS = timedelta(minutes=2)
"""How long a pod that asks a webhook may take to start, beside its time to ask."""
RETRIES = 2
"""Of a pod of our own that ends in another way than by an answer."""
_HEADERS = "/headers"


@dataclass(frozen=True)
class Post:
    """What is posted as JSON, to which address, for how long it is tried, and the Secret of its headers."""

    url: str | SecretKey
    body: Any
    timeout: timedelta
    headers_secret: str | None = None


def ask(pod: dict[str, Any], post: Post, pods: RunPods) -> None:
    """Have a pod post to an address until that says yes or no."""
    [container] = pod["containers"]
    told = {SECONDS: str(int(post.timeout.total_seconds())), BODY: json.dumps(post.body)}
    if isinstance(post.url, SecretKey):
        reference = {"name": post.url.name, "key": post.url.key}
        address: dict[str, Any] = {"name": URL, "valueFrom": {"secretKeyRef": reference}}
    else:
        [address] = variables({URL: post.url})
    container |= {
        "image": pods.image,
        # Isolated: neither the working directory nor the environment brings code in.
        "command": ["python", "-I", "-m", "mooring_components.webhook"],
        "args": [_HEADERS],
        "workingDir": TMP,
        "env": [address, *variables(told)],
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
    }
    if post.headers_secret is not None:
        secret = {"secretName": post.headers_secret, "defaultMode": 0o440}
        pod["volumes"].append({"name": "headers", "secret": secret})
        container["volumeMounts"].append({"name": "headers", "mountPath": _HEADERS, "readOnly": True})


def failure_rules(final: Sequence[int]) -> list[dict[str, Any]]:
    """A node that goes away says nothing; an exit code of `final` ends the Job."""
    return [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(final)}},
    ]


def variables(values: dict[str, str]) -> list[dict[str, Any]]:
    """Give environment variables that the kubelet leaves as they are."""
    return [{"name": name, "value": escape_expansion(value)} for name, value in values.items()]
