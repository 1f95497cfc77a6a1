"""Which addresses of a spec the operator may read itself, and what it says of the others."""

from collections.abc import Mapping

from mooring_artifacts.data_schema import is_address, parse_schema_text
from mooring_artifacts.grants import Grants, line_for_alias, line_to_add
from mooring_artifacts.uris import redact

from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.api.names import GRANTS_CONFIG_MAP


def addresses_of(spec: ModelDeploymentSpec) -> dict[str, str]:
    """Give the addresses that a ModelDeployment names, by field."""
    addresses = {"spec.model.uri": spec.model.uri}
    if spec.ci is not None:
        addresses["spec.ci.testData.uri"] = spec.ci.test_data.uri
        addresses |= _of_schema("spec.ci.testData.schema", spec.ci.test_data.schema_)
    if spec.serving.capture is not None:
        addresses["spec.serving.capture.store"] = spec.serving.capture.store
    return addresses


def _of_schema(field: str, text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    if is_address(text):
        return {field: text}
    training = parse_schema_text(text).training_data
    return {} if training is None else {f"{field} trainingData.uri": training.uri}


def rows_of(spec: DriftMonitorSpec) -> dict[str, str]:
    """Give the addresses that a DriftMonitor names, by field."""
    rows = {"spec.baseline.uri": spec.baseline, "spec.window.uri": spec.window}
    found = {field: part.uri for field, part in rows.items() if part is not None and part.uri is not None}
    if spec.retrain is not None:
        found["spec.retrain.output"] = spec.retrain.output
    if spec.performance is None:
        return found
    judged = {
        "spec.performance.labels.uri": spec.performance.labels,
        "spec.performance.baseline.uri": spec.performance.baseline,
    }
    return found | {field: part.uri for field, part in judged.items() if part is not None}


def refuse_files(addresses: Mapping[str, str], *, files: bool) -> str | None:
    """Say which address is one of a file, where those are not allowed; None where all is well.

    A `file://` address means whatever pod reads it: the operator's own credentials, or another tenant's run.
    """
    found = next(
        (f"{field} {redact(uri)}" for field, uri in addresses.items() if uri.startswith("file:")), None
    )
    if files or found is None:
        return None
    return (
        f"{found}: addresses of files are for development, where the operator has the setting "
        "MOORING_FILE_ADDRESSES; use s3://, gs:// or az://"
    )


def refuse_lookup(uri: str, namespace: str, grants: Grants) -> str | None:
    """Say that a registered model may not be looked up, and which line would grant it; None where it may be."""
    if not uri.startswith("models:") or grants.allows(namespace, uri):
        return None
    # A grant is for the model, whatever the version or alias.
    name = f"models:/{_model_of(uri)}"
    return (
        f"spec.model.uri {redact(uri)}: the operator may not look this model up for namespace {namespace}; an "
        f"administrator adds to ConfigMap {GRANTS_CONFIG_MAP}: {line_to_add(namespace, name)}"
    )


def registered_name(spec: ModelDeploymentSpec) -> str | None:
    """Give the registered model whose versions the revisions of a spec are; None where they are none."""
    if spec.ci is not None and spec.ci.register_as is not None:
        return spec.ci.register_as
    return _model_of(spec.model.uri) if spec.model.uri.startswith("models:") else None


def _model_of(uri: str) -> str:
    return uri.removeprefix("models:/").partition("@")[0].partition("/")[0]


def refuse_alias(name: str, alias: str, namespace: str, grants: Grants) -> str | None:
    """Say that an alias may not be moved, and which line would grant it; None where it may be."""
    if grants.lets_move(namespace, name, alias):
        return None
    return (
        f"the operator may not move it for namespace {namespace}; an administrator adds to ConfigMap "
        f"{GRANTS_CONFIG_MAP}: {line_for_alias(namespace, name, alias)}"
    )


def advise_grant(uri: str, digest: str | None, namespace: str, grants: Grants) -> str | None:
    """Say that a revision will follow an address without a look at what is there; None where that is as it should be.

    It is where the spec has the digest, and for stores that the operator never lists.
    """
    if digest is not None or not uri.startswith(("s3:", "gs:", "az:")) or grants.allows(namespace, uri):
        return None
    return (
        f"the operator may not look at {redact(uri)} for namespace {namespace}: files that change under this address "
        f"make no new revision. Give spec.model.digest, or add to ConfigMap {GRANTS_CONFIG_MAP}: "
        f"{line_to_add(namespace, uri)}"
    )
