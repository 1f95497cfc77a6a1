"""Texts of specs that become parameters of runs, and what a backend cannot carry of them."""

from collections.abc import Mapping, Sequence

from mooring_artifacts.uris import redact

from mooring_operator.api.ci import Fairness, Gate
from mooring_operator.api.drift_monitor import DriftMonitorSpec
from mooring_operator.api.drift_performance import Performance
from mooring_operator.api.drift_slices import Slice
from mooring_operator.api.model_deployment import ModelDeploymentSpec
from mooring_operator.planning import addresses

LARGEST_NARROW = "\uffff"
"""The largest character that MySQL's utf8 holds, in which Kubeflow Pipelines keeps parameters and names."""


def texts_of_test(spec: ModelDeploymentSpec) -> dict[str, str]:
    """Give the texts that a test's run is given, by field; none where nothing is tested."""
    if spec.ci is None:
        return {}
    data = spec.ci.test_data
    return {
        "spec.model.uri": spec.model.uri,
        "spec.ci.testData.uri": data.uri,
        "spec.ci.testData.labelColumn": data.label_column,
        **({} if data.schema_ is None else {"spec.ci.testData.schema": data.schema_}),
        **_numbered("spec.ci.testData.slices", data.slices),
        **_of_gates(spec.ci.gates),
        **_of_fairness(spec.ci.fairness),
    }


def texts_of_evaluation(spec: DriftMonitorSpec) -> dict[str, str]:
    """Give the texts that an evaluation's run is given, by field."""
    return {
        **addresses.rows_of(spec),
        **_numbered("spec.features", spec.features),
        **_numbered("spec.categories", spec.categories),
        **{f"spec.featureSettings[{i}].match": one.match for i, one in enumerate(spec.feature_settings)},
        **_of_slices(spec.slices),
        **({} if spec.performance is None else _of_performance(spec.performance)),
    }


def _of_slices(slices: Sequence[Slice]) -> dict[str, str]:
    columns = {f"spec.slices[{i}].column": one.column for i, one in enumerate(slices)}
    values = [_numbered(f"spec.slices[{i}].values", one.values) for i, one in enumerate(slices)]
    return columns | {field: value for each in values for field, value in each.items()}


def _of_performance(asked: Performance) -> dict[str, str]:
    field, labels = "spec.performance", asked.labels
    columns = {} if labels is None else {f"{field}.labels.idColumn": labels.id_column}
    if labels is not None:
        columns[f"{field}.labels.labelColumn"] = labels.label_column
        columns |= {} if labels.row_column is None else {f"{field}.labels.rowColumn": labels.row_column}
    output = {} if asked.output is None else {f"{field}.output": asked.output}
    return columns | output | _numbered(f"{field}.classes", asked.classes)


def _of_gates(gates: Sequence[Gate]) -> dict[str, str]:
    parts = {
        f"spec.ci.gates[{i}].slice": gate.slice for i, gate in enumerate(gates) if gate.slice is not None
    }
    columns = {f"{field}.column": part.column for field, part in parts.items()}
    return columns | {f"{field}.value": part.value for field, part in parts.items() if part.value is not None}


def _of_fairness(asked: Fairness | None) -> dict[str, str]:
    if asked is None:
        return {}
    column = {"spec.ci.fairness.column": asked.column}
    return column if asked.positive is None else {**column, "spec.ci.fairness.positive": asked.positive}


def _numbered(field: str, texts: Sequence[str]) -> dict[str, str]:
    return {f"{field}[{i}]": text for i, text in enumerate(texts)}


def first_wide(text: str) -> str | None:
    """Give the first character that MySQL's utf8 does not hold; None where there is none."""
    return next((character for character in text if character > LARGEST_NARROW), None)


def refuse_wide(texts: Mapping[str, str], *, narrow: bool) -> str | None:
    """Say which text has characters that runs cannot carry, where they are `narrow`; None where all is well."""
    if not narrow:
        return None
    for field, text in texts.items():
        if (wide := first_wide(text)) is not None:
            return (
                f"{field} {redact(text)}: Kubeflow Pipelines cannot keep {wide!r}; runs there take characters "
                "up to U+FFFF, which no emoji is"
            )
    return None
