"""The pipelines `retrain` and `register-model`: a container of the user's trains, and what it left becomes a version.

What the container of `retrain` is, no parameter says: the operator writes it into the compiled pipeline.
"""

# mypy: disable-error-code="untyped-decorator"
from typing import Any

from kfp import dsl

from mooring_pipelines.credentials import NO_SECRET, opens_addresses
from mooring_pipelines.image import COMPONENTS_IMAGE


@dsl.container_component
def train(training: dict[str, Any]) -> dsl.ContainerSpec:
    """Train: the last argument says on which rows, and where the model goes."""
    return dsl.ContainerSpec(image=COMPONENTS_IMAGE, command=["train"], args=[training])


@dsl.pipeline(name="retrain", description="Train a model anew in a container of your own.")
def retrain(training: dict[str, Any], credentials_secret: str = NO_SECRET) -> None:
    """Train one model."""
    opens_addresses(train(training=training), credentials_secret)


@dsl.component(base_image=COMPONENTS_IMAGE, install_kfp_package=False)
def register_trained(model_uri: str, registration: dict[str, Any], run_id: str, verdict_uri: str) -> str:
    """Find the model's files, register them, write what was found. Gives their digest."""
    from mooring_artifacts.uploads import put_document
    from mooring_components.registration.trained import register_trained
    from mooring_components.steps import Place, tell_errors_in_one_line

    tell_errors_in_one_line(Place("register-trained", run_id, verdict_uri))
    verdict = register_trained(model_uri, registration, run_id)
    told = "" if verdict.registration is None else f"; {verdict.registration.in_words()}"
    print(f"{model_uri}: {verdict.metrics['modelSizeMB']:g} MB, {verdict.model_digest}{told}")
    put_document(verdict_uri, verdict.to_json(), "verdict_uri")
    return str(verdict.model_digest)


@dsl.pipeline(name="register-model", description="Register what a training left as a version of a model.")
def register_model(
    model_uri: str,
    verdict_uri: str,
    run_id: str,
    registration: dict[str, Any] = {},  # noqa: B006 - KFP reads the default, nobody mutates it
    credentials_secret: str = NO_SECRET,
) -> None:
    """Register one model."""
    task = register_trained(
        model_uri=model_uri, registration=registration, run_id=run_id, verdict_uri=verdict_uri
    )
    opens_addresses(task, credentials_secret)
