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
def convert_trained(model_uri: str, converted_uri: str, run_id: str, verdict_uri: str) -> str:
    """Write the exported program as ONNX that gives the same, or nothing. Gives where that is."""
    from mooring_components.converting import convert_to
    from mooring_components.steps import Place, tell_errors_in_one_line

    tell_errors_in_one_line(Place("convert-trained", run_id, verdict_uri))
    found = convert_to(model_uri, converted_uri)
    for each in found.differences:
        print(f"output {each.output}: the largest difference is {each.difference:.3g}")
    print(f"{converted_uri}: from {model_uri}, {found.digest}")
    return converted_uri


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
    converts: bool = False,
    converted_uri: str = "",
    credentials_secret: str = NO_SECRET,
) -> None:
    """Register one model, or what it is as ONNX."""
    facts = {"registration": registration, "run_id": run_id, "verdict_uri": verdict_uri}
    # No step may wait for one inside of a condition, so that the last step is in both branches.
    with dsl.If(converts == False):  # noqa: E712 - of a parameter of the pipeline
        tasks = [register_trained(model_uri=model_uri, **facts)]
    with dsl.Else():
        converted = convert_trained(
            model_uri=model_uri, converted_uri=converted_uri, run_id=run_id, verdict_uri=verdict_uri
        )
        tasks += [converted, register_trained(model_uri=converted.output, **facts)]
    for task in tasks:
        opens_addresses(task, credentials_secret)
