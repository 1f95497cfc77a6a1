"""The pipeline `stage-model`: copy a model that its registry alone can read to where it can be served."""

# mypy: disable-error-code="untyped-decorator"
from kfp import dsl

from mooring_pipelines.credentials import NO_SECRET, opens_addresses
from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def stage_model(
    model_uri: str,
    model_digest: str,
    tracking_uri: str,
    staging_uri: str,
    run_id: str,
    verdict_uri: str,
) -> str:
    """Download the files, copy them by content, write where they are. Gives their digest."""
    import tempfile
    from pathlib import Path

    from mooring_artifacts.uploads import put_document
    from mooring_components.staging import stage_model
    from mooring_components.steps import Place, tell_errors_in_one_line

    tell_errors_in_one_line(Place("stage-model", run_id, verdict_uri))
    with tempfile.TemporaryDirectory() as folder:
        copy = stage_model(model_uri, staging_uri, Path(folder), model_digest, tracking_uri)
    print(f"{copy.uri}: {copy.size_bytes} bytes, {copy.digest}")
    put_document(verdict_uri, copy.verdict(run_id).to_json(), "verdict_uri")
    return copy.digest


@dsl.pipeline(name="stage-model", description="Copy a model that MLflow hands out to where it can be served.")
def stage_model_pipeline(
    model_uri: str,
    staging_uri: str,
    verdict_uri: str,
    run_id: str,
    model_digest: str = "",
    tracking_uri: str = "",
    credentials_secret: str = NO_SECRET,
) -> None:
    """Copy one model."""
    task = stage_model(
        model_uri=model_uri,
        model_digest=model_digest,
        tracking_uri=tracking_uri,
        staging_uri=staging_uri,
        run_id=run_id,
        verdict_uri=verdict_uri,
    )
    opens_addresses(task, credentials_secret)
