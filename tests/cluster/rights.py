"""Rights that are granted, and those that were made use of, by the API server's own records."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Right(NamedTuple):
    """A verb on a resource, or on a part of it such as ``modeldeployments/status``."""

    group: str
    resource: str
    verb: str


def granted(roles: Iterable[Mapping[str, Any]]) -> set[Right]:
    """Give what roles allow; raises AssertionError where one allows everything of a kind."""
    rights = {
        Right(group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert not [right for right in rights if "*" in "".join(right)]
    return rights


def asked_for(audit: Path, account: str) -> dict[Right, set[str]]:
    """Give what a service account (``NAMESPACE:NAME``) asked for, each with the decisions: allow, forbid."""
    found: dict[Right, set[str]] = {}
    # The last line may be under way.
    for line in audit.read_text().split("\n")[:-1]:
        entry = json.loads(line)
        about = entry.get("objectRef")
        if entry["user"]["username"] != f"system:serviceaccount:{account}" or about is None:
            continue
        resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
        decision = entry["annotations"]["authorization.k8s.io/decision"]
        found.setdefault(Right(about.get("apiGroup", ""), resource, entry["verb"]), set()).add(decision)
    return found
