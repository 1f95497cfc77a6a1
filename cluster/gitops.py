"""Judges resources as GitOps controllers do: by Argo CD's Lua engine, and by the kstatus library that Flux uses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cluster.building import build


@dataclass(frozen=True)
class Question:
    """An object, and the Lua script to run over it; without one, kstatus judges it."""

    object: dict[str, Any]
    script: str | None = None


@dataclass(frozen=True)
class Answer:
    """What a script returned, or kstatus found; ``error`` says why there is nothing.

    ``patch`` is the merge patch that Argo CD would send where the script returned the object.
    """

    value: Any = None
    patch: dict[str, Any] | None = None
    error: str = ""


def judge(questions: Iterable[Question]) -> list[Answer]:
    """Answer in the order of the questions.

    Raises:
        ProgramUnavailableError: the program cannot be built.
    """
    lines = [json.dumps({"object": one.object, "script": one.script}) for one in questions]
    done = subprocess.run(
        [build(["gitops"])["gitops"]], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    return [Answer(**json.loads(line)) for line in done.stdout.splitlines()]
