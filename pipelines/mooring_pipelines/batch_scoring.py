"""The pipeline `batch-score`: files of rows through a model, for people who start it in the KFP UI or on a schedule."""

# mypy: disable-error-code="untyped-decorator"
from typing import Any

from kfp import dsl

from mooring_pipelines.credentials import NO_SECRET, opens_addresses
from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def score_rows(
    model_uri: str,
    data_uri: str,
    output_uri: str,
    arguments: list[Any],
    model_digest: str,
    tracking_uri: str,
    scores: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Markdown],
) -> str:
    """Fetch the model, score the rows, write what came of it. Gives the address of the scores."""
    import tempfile
    from pathlib import Path

    from mooring_components.batch_scores import score_rows
    from mooring_components.steps import tell_errors_in_one_line

    tell_errors_in_one_line()
    with tempfile.TemporaryDirectory() as folder:
        found = score_rows(
            model_uri, data_uri, output_uri, arguments, Path(folder), model_digest, tracking_uri
        )
    for name, value in found.metrics.items():
        scores.log_metric(name, value)
    text = found.to_markdown(model_uri, data_uri, output_uri)
    Path(report.path).write_text(text)
    print(text)
    return output_uri


@dsl.pipeline(name="batch-score", description="Score files of rows with a model: Parquet, CSV or JSON lines.")
def batch_score(
    model_uri: str,
    data_uri: str,
    output_uri: str,
    arguments: list[Any] = [],  # noqa: B006 - KFP reads the default, nobody mutates it
    model_digest: str = "",
    tracking_uri: str = "",
    credentials_secret: str = NO_SECRET,
) -> None:
    """Score rows once."""
    task = score_rows(
        model_uri=model_uri,
        data_uri=data_uri,
        output_uri=output_uri,
        arguments=arguments,
        model_digest=model_digest,
        tracking_uri=tracking_uri,
    )
    opens_addresses(task, credentials_secret)
