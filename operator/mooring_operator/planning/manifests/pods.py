"""What holds for every pod that the operator makes, whoever wrote the text in it."""

from collections.abc import Iterable
from typing import Any

from mooring_operator.api.environment import EnvVar

USER = 65532
"""The user of Mooring's images."""

RESTRICTED_POD: dict[str, Any] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

TMP = "/tmp"  # noqa: S108 - of the container


def restricted_pod(container: str, scratch: str) -> dict[str, Any]:
    """Give a pod of one container, without an image yet, that nothing of a spec widens; `scratch` is for its files.

    It never speaks to the API server. Clouds that give identities to service accounts mount what they need by
    themselves.
    """
    only = {
        "name": container,
        "volumeMounts": [{"name": "tmp", "mountPath": TMP}],
        "securityContext": RESTRICTED_CONTAINER,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": RESTRICTED_POD,
        "containers": [only],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": scratch}}],
    }


def escape_expansion(text: str) -> str:
    """Write `text` so that it reaches the container as it is, in a command, an argument or a variable.

    The kubelet replaces $(NAME) by the variable's value, a Secret's too, and $$ by $. So every $ is
    doubled: with only $( written $$(, the text $$(NAME) would become $$$(NAME), an escaped $ and a
    reference. Source: Kubernetes, third_party/forked/golang/expansion.
    """
    return text.replace("$", "$$")


def variables(env: Iterable[EnvVar]) -> list[dict[str, Any]]:
    """Give a spec's variables as a container has them, with values as they stand there."""
    return [
        {"name": variable.name, "value": variable.value}
        if variable.value_from is None
        else {
            "name": variable.name,
            "valueFrom": variable.value_from.model_dump(
                mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
            ),
        }
        for variable in env
    ]


def as_written(variable: dict[str, Any]) -> dict[str, Any]:
    """Give a variable of a container whose value the kubelet replaces nothing in."""
    return {**variable, "value": escape_expansion(variable["value"])} if "value" in variable else variable


def int_or_percent(amount: str) -> int | str:
    """Give an amount of pods as Kubernetes has it: a number, or text with a percent sign."""
    return int(amount) if amount.isdigit() else amount
