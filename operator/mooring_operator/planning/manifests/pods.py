"""What holds for every pod that the operator makes, whoever wrote the text in it."""

from typing import Any

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


def escape_expansion(text: str) -> str:
    """Write `text` so that it reaches the container as it is, in a command, an argument or a variable.

    The kubelet replaces $(NAME) by the variable's value, a Secret's too, and $$ by $. So every $ is
    doubled: with only $( written $$(, the text $$(NAME) would become $$$(NAME), an escaped $ and a
    reference. Source: Kubernetes, third_party/forked/golang/expansion.
    """
    return text.replace("$", "$$")
