"""The pipeline `drift-evaluation`: compare a window of traffic with a baseline, write the report.

A mistake in what is compared is a result, not a failure: the document says what it is.
"""

# mypy: disable-error-code="untyped-decorator"
from typing import Any

from kfp import dsl

from mooring_pipelines.credentials import NO_SECRET, opens_addresses
from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def evaluate_drift(
    question: dict[str, Any],
    run_id: str,
    report_uri: str,
    page_uri: str,
    drift: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Markdown],
    page: dsl.Output[dsl.HTML],
) -> int:
    """Compare; write what was found where the operator reads it. Gives the number of drifted features."""
    from pathlib import Path

    from mooring_components.drift.report import answer
    from mooring_components.drift.step import write_answer
    from mooring_components.steps import tell_errors_in_one_line

    tell_errors_in_one_line()
    found = answer(question, run_id)
    metrics = write_answer(found, (Path(report.path), Path(page.path)), report_uri, page_uri)
    for name, value in metrics.items():
        drift.log_metric(name, value)
    return int(metrics.get("driftedFeatures", 0))


@dsl.pipeline(name="drift-evaluation", description="Compare a window of traffic with a baseline.")
def drift_evaluation(
    question: dict[str, Any],
    report_uri: str,
    run_id: str,
    page_uri: str = "",
    credentials_secret: str = NO_SECRET,
) -> None:
    """Ask one question."""
    task = evaluate_drift(question=question, run_id=run_id, report_uri=report_uri, page_uri=page_uri)
    opens_addresses(task, credentials_secret)
