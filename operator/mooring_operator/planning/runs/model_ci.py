"""What the pipeline model-ci is told of how a model is tested."""

from mooring_operator.api.ci import CISpec, Gate, TestData
from mooring_operator.planning.runs.run import JsonValue


def ci_parameters(ci: CISpec) -> dict[str, JsonValue]:
    """Give the parameters that say what a model is tested on and what it must keep; not those of the model."""
    data = ci.test_data
    return {
        "test_data_uri": data.uri,
        "test_data_digest": data.digest or "",
        "data_schema": data.schema_ or "",
        "validates_data": data.schema_ is not None,
        "test_options": {**_options(data), **_comparisons(ci)},
        "label_column": data.label_column,
        "gates": [_gate(gate) for gate in ci.gates],
    }


def registration_parameters(
    register_as: str | None, registered: str | None, tracking_uri: str
) -> dict[str, JsonValue]:
    """Give the parameters that have a model registered; none where that is not asked for.

    Args:
        register_as: the name of a registered model.
        registered: the version that the model is already, as NAME/VERSION.
        tracking_uri: of the registry; empty where the run has to know it.
    """
    if register_as is None:
        return {}
    name, _, version = (registered or "").rpartition("/")
    asked: JsonValue = {
        "name": register_as,
        "version": version if name == register_as else "",
        "trackingUri": tracking_uri,
    }
    return {"registers": True, "registration": asked}


def _gate(gate: Gate) -> JsonValue:
    document: JsonValue = gate.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return document


def _comparisons(ci: CISpec) -> dict[str, JsonValue]:
    # Between steps Kubeflow Pipelines has no null.
    asked: dict[str, JsonValue] = {"noise": list(ci.noise)}
    if ci.fairness is not None:
        asked["fairness"] = {"column": ci.fairness.column, "positive": ci.fairness.positive or ""}
    if ci.explain:
        asked["explain"] = ci.explain
    return asked


def _options(data: TestData) -> dict[str, JsonValue]:
    return {
        "inputs": {feed.name: list(feed.columns) for feed in data.inputs},
        "output": data.output or "",
        "classes": list(data.classes),
        "task": data.task or "",
        "slices": list(data.slices),
    }
