"""Puts containers into compiled pipelines: Mooring's own by the image that there is, and one of the user's.

Source: KFP's pipeline spec (IR YAML, schemaVersion 2.1.0): a step's image, command and arguments are part of the
pipeline, and only placeholders in its arguments change from run to run.
"""

from __future__ import annotations

import re

import yaml

from mooring_operator.planning.manifests.run_jobs import RunPods
from mooring_operator.planning.runs.run import TRAINING, Trainer

_IMAGE = re.compile(rf"^( *image: ){re.escape(RunPods.image)}$", re.MULTILINE)
_EXECUTOR = "exec-train"
_PLACEHOLDER = "{{$"


def with_image(text: str, image: str) -> str:
    """Give a compiled pipeline whose steps run in `image` where they name Mooring's own."""
    return _IMAGE.sub(lambda found: found[1] + image, text)


def fault_of(trainer: Trainer) -> str | None:
    """Say why Kubeflow Pipelines cannot run a container; None where it can."""
    if not trainer.command:
        return (
            "spec.retrain.command is missing: Kubeflow Pipelines does not know an image's own; write it there, like "
            "[python, /app/train.py]"
        )
    if any(_PLACEHOLDER in word for word in (*trainer.command, *trainer.args)):
        return f"spec.retrain has {_PLACEHOLDER!r} in its command, which Kubeflow Pipelines would replace"
    return None


def with_trainer(text: str, trainer: Trainer) -> str:
    """Give the compiled pipeline `retrain` with this container in it.

    Raises:
        ValueError: Kubeflow Pipelines cannot run it; the message says why.
    """
    if (fault := fault_of(trainer)) is not None:
        raise ValueError(fault)
    pipeline, *platform = yaml.safe_load_all(text)
    container = pipeline["deploymentSpec"]["executors"][_EXECUTOR]["container"]
    told = f"{{{{$.inputs.parameters['{TRAINING}']}}}}"
    container |= {
        "image": trainer.image,
        "command": list(trainer.command),
        "args": [*trainer.args, told],
    }
    return yaml.safe_dump_all([pipeline, *platform], sort_keys=False)
