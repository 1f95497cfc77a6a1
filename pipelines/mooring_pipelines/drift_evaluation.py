"""The pipeline `drift-evaluation`: compare a window of traffic with a baseline, write the report.

A mistake in what is compared is a result, not a failure: the document says what it is.
"""

# mypy: disable-error-code="untyped-decorator"
from typing import Any

from kfp import dsl

from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def evaluate_drift(
    question: dict[str, Any],
    run_id: str,
    report_uri: str,
    drift: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Markdown],
) -> int:
    """Compare; write what was found where the operator reads it. Gives the number of drifted features."""
    from pathlib import Path

    from mooring_components.drift.report import make_report, put_report, render_markdown
    from mooring_components.steps import tell_errors_in_one_line

    tell_errors_in_one_line()
    document = make_report(question, run_id)
    text, metrics = render_markdown(document)
    for name, value in metrics.items():
        drift.log_metric(name, value)
    Path(report.path).write_text(text)
    print(text)
    put_report(document, report_uri)
    return metrics.get("driftedFeatures", 0)


@dsl.pipeline(name="drift-evaluation", description="Compare a window of traffic with a baseline.")
def drift_evaluation(question: dict[str, Any], report_uri: str, run_id: str) -> None:
    """Ask one question."""
    task = evaluate_drift(question=question, run_id=run_id, report_uri=report_uri)
    # What a URI holds may change between runs with the same parameters.
    task.set_caching_options(False)
