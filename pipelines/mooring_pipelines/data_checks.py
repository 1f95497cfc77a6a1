"""The pipeline `check-data`, a part of `model-ci`: compare test data with its schema, where there is one."""

# mypy: disable-error-code="untyped-decorator"
from kfp import dsl

from mooring_pipelines.credentials import NO_SECRET, opens_addresses
from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def validate_data(
    test_data_uri: str,
    test_data_digest: str,
    data_schema: str,
    run_id: str,
    verdict_uri: str,
    validation: dsl.Output[dsl.Metrics],
    report: dsl.Output[dsl.Markdown],
) -> int:
    """Compare rows with their schema; any violation ends the run. Gives the number of rows."""
    import tempfile
    from datetime import UTC, datetime
    from pathlib import Path

    from mooring_artifacts.errors import DataInvalid
    from mooring_components.steps import Place, tell_errors_in_one_line
    from mooring_components.validation.step import validate_at

    tell_errors_in_one_line(Place("validate-data", run_id, verdict_uri))
    with tempfile.TemporaryDirectory() as place:
        found = validate_at(
            test_data_uri, data_schema, Path(place), datetime.now(UTC), expected_digest=test_data_digest
        )
    validation.log_metric("rows", found.rows)
    validation.log_metric("violations", len(found.violations))
    text = found.to_markdown()
    Path(report.path).write_text(text)
    print(text)
    if found.violations:
        raise DataInvalid(found.summary())
    return found.rows


@dsl.pipeline(name="check-data", description="Compare test data with its schema.")
def check_data(
    test_data_uri: str,
    test_data_digest: str,
    data_schema: str,
    validates_data: bool,
    run_id: str,
    verdict_uri: str,
    credentials_secret: str = NO_SECRET,
) -> None:
    """Spawn no step where there is nothing to compare with."""
    # Not by the schema itself: where conditions are evaluated locally, a text in one is evaluated as Python.
    with dsl.If(validates_data == True):  # noqa: E712 - of a parameter of the pipeline
        task = validate_data(
            test_data_uri=test_data_uri,
            test_data_digest=test_data_digest,
            data_schema=data_schema,
            run_id=run_id,
            verdict_uri=verdict_uri,
        )
        opens_addresses(task, credentials_secret)
