"""Pods that ask a monitoring service for a number: a program of ours, with the keys of a Secret of the namespace."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mooring_artifacts.measuring import QUESTION, SECONDS

from mooring_operator.api.cloud_watch import CloudWatchQuery
from mooring_operator.planning.analysis.in_namespace import Due
from mooring_operator.planning.analysis.places import filled_text
from mooring_operator.planning.manifests import check_pods
from mooring_operator.planning.manifests.pods import TMP
from mooring_operator.planning.manifests.run_jobs import RunPods

_KEYS = "/keys"


@dataclass(frozen=True)
class Asked:
    """What is asked of a service, for how long, and as whom."""

    question: Mapping[str, Any]
    timeout: timedelta
    secret: str | None = None
    service_account: str | None = None


def ask(pod: dict[str, Any], asked: Asked, pods: RunPods) -> None:
    """Have a pod ask."""
    [container] = pod["containers"]
    told = {
        QUESTION: json.dumps({**asked.question, "secret": asked.secret or ""}),
        SECONDS: str(int(asked.timeout.total_seconds())),
    }
    container |= {
        "image": pods.image,
        # Isolated: neither the working directory nor the environment brings code in.
        "command": ["python", "-I", "-m", "mooring_components.measuring"],
        "args": [_KEYS],
        "workingDir": TMP,
        "env": check_pods.variables(told),
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
    }
    if asked.secret is not None:
        # One that is not there is said by the program, where the pod would wait for it without a word.
        secret = {"secretName": asked.secret, "defaultMode": 0o440, "optional": True}
        pod["volumes"].append({"name": "keys", "secret": secret})
        container["volumeMounts"].append({"name": "keys", "mountPath": _KEYS, "readOnly": True})
    if asked.service_account is not None:
        pod["serviceAccountName"] = asked.service_account


def datadog(due: Due) -> Asked:
    """Give what Datadog is asked."""
    spec = due.query.query.datadog
    assert spec is not None
    texts = {str(path[-1]): filled_text(text, due.values) for path, text in spec.texts.items()}
    question = {
        "provider": "datadog",
        "site": spec.site,
        "queries": texts if spec.queries else {"q": texts["query"]},
        "formula": spec.formula or "q",
        "aggregator": spec.aggregator,
        "window": spec.window.total_seconds(),
    }
    return Asked(question, spec.timeout, spec.credentials_secret)


def cloud_watch(due: Due) -> Asked:
    """Give what CloudWatch is asked."""
    spec = due.query.query.cloud_watch
    assert spec is not None
    question = {
        "provider": "cloudWatch",
        "region": spec.region,
        "queries": [_cloud_watch_query(query, due.values) for query in spec.queries],
        "period": spec.period.total_seconds(),
    }
    return Asked(question, spec.timeout, spec.credentials_secret, spec.service_account_name)


def _cloud_watch_query(query: CloudWatchQuery, values: Mapping[str, str]) -> dict[str, Any]:
    if query.metric is None:
        return {"id": query.id, "expression": filled_text(query.expression or "", values)}
    metric = query.metric
    dimensions = {name: filled_text(value, values) for name, value in metric.dimensions.items()}
    return {
        "id": query.id,
        "namespace": metric.namespace,
        "name": metric.name,
        "dimensions": dimensions,
        "stat": metric.stat,
    }
