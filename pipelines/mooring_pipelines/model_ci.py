"""The pipeline `model-ci`: fetch a model, measure it, judge it by gates, write the verdict.

KFP copies the source of each component into the compiled pipeline, which is why every component
imports what it needs inside its body and does nothing but call `mooring_components`.
A violated gate is a result, not a failure: only errors make a run fail.
"""

# mypy: disable-error-code="untyped-decorator"
from typing import Any

from kfp import dsl

from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def fetch_model(model_uri: str, model_digest: str, model: dsl.Output[dsl.Model]) -> dict[str, Any]:
    """Copy the model, check its digest and that onnxruntime loads it."""
    from pathlib import Path

    from mooring_components.models import fetch_model
    from mooring_components.steps import tell_errors_in_one_line

    tell_errors_in_one_line()
    fetched = fetch_model(model_uri, Path(model.path), model_digest)
    model.metadata.update(uri=model_uri, digest=fetched.digest, framework="ONNX")
    return {"digest": fetched.digest, "modelSizeMB": fetched.size_bytes / 1e6}


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def evaluate_quality(
    model: dsl.Input[dsl.Model],
    test_data_uri: str,
    label_column: str,
    quality: dsl.Output[dsl.Metrics],
    confusion: dsl.Output[dsl.ClassificationMetrics],
) -> dict[str, Any]:
    """Run the model on the test data and compare with the labels."""
    from pathlib import Path

    from mooring_components.datasets import load_test_data
    from mooring_components.models import OnnxModel
    from mooring_components.quality import evaluate
    from mooring_components.steps import tell_errors_in_one_line

    tell_errors_in_one_line()
    result = evaluate(OnnxModel(Path(model.path)), load_test_data(test_data_uri, label_column))
    for name, value in result.metrics.items():
        quality.log_metric(name, value)
    # The UI draws one cell for each pair of labels.
    if 0 < len(result.categories) <= 50:
        confusion.log_confusion_matrix(result.categories, result.confusion)
    if result.hint:
        print(f"hint: {result.hint}")
    return {**result.metrics, "hint": result.hint}


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def measure_latency(
    model: dsl.Input[dsl.Model], test_data_uri: str, label_column: str, latency: dsl.Output[dsl.Metrics]
) -> dict[str, Any]:
    """Time single-row requests on one CPU thread, after a warm-up."""
    from pathlib import Path

    from mooring_components.datasets import load_test_data
    from mooring_components.latency import measure_latency
    from mooring_components.models import OnnxModel
    from mooring_components.steps import tell_errors_in_one_line

    tell_errors_in_one_line()
    rows = load_test_data(test_data_uri, label_column).features
    metrics = measure_latency(OnnxModel(Path(model.path), threads=1), rows)
    for name, value in metrics.items():
        latency.log_metric(name, value)
    return metrics


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def write_verdict(
    run_id: str,
    model_uri: str,
    model_facts: dict[str, Any],
    quality_metrics: dict[str, Any],
    latency_metrics: dict[str, Any],
    gates: list[Any],
    verdict_uri: str,
    report: dsl.Output[dsl.Markdown],
) -> bool:
    """Judge all metrics by the gates; write the verdict where the operator reads it."""
    from pathlib import Path

    from mooring_components.reports import render_markdown
    from mooring_components.steps import tell_errors_in_one_line
    from mooring_components.verdicts import make_verdict, write_verdict

    tell_errors_in_one_line()
    metrics = {**model_facts, **quality_metrics, **latency_metrics}
    digest, hint = metrics.pop("digest"), metrics.pop("hint", "")
    verdict = make_verdict(run_id, model_uri, digest, metrics, gates, hint)
    text = render_markdown(verdict, gates, hint)
    Path(report.path).write_text(text)
    print(text)
    write_verdict(verdict, verdict_uri)
    return verdict.passed


@dsl.pipeline(name="model-ci", description="Test a model and judge it by gates before it is served.")
def model_ci(
    model_uri: str,
    test_data_uri: str,
    verdict_uri: str,
    run_id: str,
    model_digest: str = "",
    label_column: str = "label",
    gates: list[Any] = [],  # noqa: B006 - KFP reads the default, nobody mutates it
) -> None:
    """Fetch, evaluate, time and judge one ONNX model."""
    fetched = fetch_model(model_uri=model_uri, model_digest=model_digest)
    model = fetched.outputs["model"]
    quality = evaluate_quality(model=model, test_data_uri=test_data_uri, label_column=label_column)
    latency = measure_latency(model=model, test_data_uri=test_data_uri, label_column=label_column)
    # A neighbour on the same node would be measured too.
    latency.after(quality)
    verdict = write_verdict(
        run_id=run_id,
        model_uri=model_uri,
        model_facts=fetched.outputs["Output"],
        quality_metrics=quality.outputs["Output"],
        latency_metrics=latency.outputs["Output"],
        gates=gates,
        verdict_uri=verdict_uri,
    )
    # What a URI holds may change between runs with the same parameters.
    for task in (fetched, quality, latency, verdict):
        task.set_caching_options(False)
