"""Whether this machine has what a predictor asks for, as a scheduler would check it."""

from __future__ import annotations

from typing import Any

from cluster.serving.predictors import Document
from cluster.serving.status import Failure
from cluster.serving.storage import UnusablePredictorError


def check_schedulable(predictor: Document) -> None:
    """Refuse extended resources, GPUs above all: a process of this machine gets none.

    Raises:
        UnusablePredictorError: the predictor asks for one.
    """
    model: dict[str, Any] = predictor.get("model") or {}
    resources = model.get("resources") or {}
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    for name, count in asked.items():
        # The names of Kubernetes' own resources, cpu and memory among them, have no domain.
        if "/" in name and str(count) != "0":
            raise UnusablePredictorError(
                Failure(
                    "RuntimeUnhealthy", f"0/1 nodes are available: 1 Insufficient {name} ({count} asked for)"
                )
            )
