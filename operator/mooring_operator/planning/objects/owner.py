"""Whom an object is made for, and what an object is: a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]


def part(whole: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Give a part of an object that may be of any form, for others write it; empty where it is no mapping."""
    found = whole.get(name)
    return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Owner:
    """The ModelDeployment that everything is made for.

    adopts: what it takes over where it serves nothing yet, as its annotation says; empty for none.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    labels: Mapping[str, str] = field(default_factory=dict)
    adopts: str = ""


@dataclass(frozen=True)
class NameTaken:
    """Why nothing can be made under a name; `temporary` when waiting helps."""

    message: str
    temporary: bool = False
