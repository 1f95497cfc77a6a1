"""Whom an object is made for, and what an object is: a manifest."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]


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
