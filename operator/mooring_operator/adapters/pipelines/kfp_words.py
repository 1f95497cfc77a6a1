"""What Kubeflow Pipelines says of a run, in a sentence.

A run's outputs and logs are not in its API: of a failed one it names the tasks, and not what they printed.
"""

from __future__ import annotations

from typing import Any

from mooring_operator.planning.runs.run import RunPhase

# What KFP's own pods and groups are called among a run's tasks.
_OF_KFP, _DRIVER = ("root", "executor", "driver"), "-driver"
_NO_REASON = (
    "it left no reason, so it was killed, for memory perhaps, or never started, for its image perhaps: its page in "
    "the KFP UI says which"
)


def message_of(run: Any, phase: RunPhase) -> str:
    """Say where a run is, or why it ended without success; nothing where there is nothing to say."""
    if run.state == "CANCELING":
        return "being terminated"
    tasks = (run.run_details.task_details if run.run_details is not None else None) or []
    if phase in ("Pending", "Running"):
        steps = [task.display_name for task in tasks if task.state == "RUNNING" and _is_step(task)]
        return f"step {steps[-1]} is under way" if steps else ""
    if phase == "Succeeded":
        return ""
    if run.error is not None and run.error.message:
        return str(run.error.message)
    # The steps' own tasks come with those of the pipelines and pods around them, which fail with them.
    failed = [task for task in tasks if task.state == "FAILED" and task.display_name]
    task = next((task for task in failed if _is_step(task)), failed[0] if failed else None)
    if task is None:
        return f"the run {phase.lower()}; KFP does not say why, its page does"
    if task.error is not None and task.error.message:
        return f"{task.display_name}: {task.error.message}"
    return f"{task.display_name}: {_NO_REASON}"


def _is_step(task: Any) -> bool:
    """Whether a task is a step of a pipeline, and none of the pods that KFP has beside each."""
    name = task.display_name or ""
    return bool(name) and name not in _OF_KFP and not name.endswith(_DRIVER)
