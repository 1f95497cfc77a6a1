"""Compile the pipelines, and tell whether what is checked in is what they compile to."""

from __future__ import annotations

import tempfile
from pathlib import Path

PACKAGED = Path(__file__).parent / "compiled"
NAMES = ("model-ci", "drift-evaluation", "stage-model", "retrain", "register-model", "batch-score")


def compile_pipelines() -> dict[str, str]:
    """The YAML of every pipeline, by file name; the same bytes on every machine."""
    # Importing the SDK takes seconds, and `--help` or the server's pages do not need it.
    from kfp import compiler

    from mooring_pipelines.batch_scoring import batch_score
    from mooring_pipelines.drift_evaluation import drift_evaluation
    from mooring_pipelines.model_ci import model_ci
    from mooring_pipelines.model_staging import stage_model_pipeline
    from mooring_pipelines.retraining import register_model, retrain

    result = {}
    with tempfile.TemporaryDirectory() as folder:
        pipelines = (model_ci, drift_evaluation, stage_model_pipeline, retrain, register_model, batch_score)
        for name, pipeline in zip(NAMES, pipelines, strict=True):
            path = Path(folder) / f"{name}.yaml"
            compiler.Compiler().compile(pipeline, str(path))
            result[path.name] = path.read_text()
    return result


def write_compiled(folders: list[Path]) -> list[Path]:
    """Write the compiled pipelines into each folder; returns what changed."""
    changed = []
    for file, text in compile_pipelines().items():
        for folder in folders:
            path = folder / file
            if not path.exists() or path.read_text() != text:
                folder.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                changed.append(path)
    return changed


def find_stale(folders: list[Path]) -> list[Path]:
    """Files in `folders` that are missing or differ from what the pipelines compile to."""
    compiled = compile_pipelines()
    paths = [(folder / file, text) for file, text in compiled.items() for folder in folders]
    return [path for path, text in paths if not path.exists() or path.read_text() != text]
