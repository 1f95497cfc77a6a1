"""The contracts of users' own pipelines: one that tests models in place of `model-ci`, and one that trains them.

A test gets parameters and writes a verdict; a training gets parameters and leaves a model's files. Source: KFP's
pipeline spec (IR YAML, schemaVersion 2.1.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mooring_artifacts.text import in_a_line

from mooring_operator.planning.runs.run import TRAINING, JsonValue, Purpose

_PARAMETERS: Mapping[str, str] = {
    "model_uri": "STRING",
    "model_digest": "STRING",
    "model_format": "STRING",
    "test_data_uri": "STRING",
    "test_data_digest": "STRING",
    "data_schema": "STRING",
    "validates_data": "BOOLEAN",
    "test_options": "STRUCT",
    "label_column": "STRING",
    "champion_uri": "STRING",
    "champion_digest": "STRING",
    "endpoint": "STRING",
    "gates": "LIST",
    "registers": "BOOLEAN",
    "registration": "STRUCT",
    "demands": "STRUCT",
    "credentials_secret": "STRING",
    "verdict_uri": "STRING",
    "run_id": "STRING",
}


@dataclass(frozen=True)
class Contract:
    """What a pipeline gets and has to take.

    parameters: what Mooring gives to those who take it, with KFP's types.
    required: what it cannot do without.
    unused: what is wrong where one of those reaches no step.
    """

    parameters: Mapping[str, str]
    required: tuple[str, ...]
    unused: str


_VERDICT = Contract(
    _PARAMETERS, ("model_uri", "verdict_uri", "run_id"), "so that no verdict can be written by it"
)
CONTRACTS: Mapping[Purpose, Contract] = {
    "Test": _VERDICT,
    "Measurement": _VERDICT,
    "Training": Contract(
        {TRAINING: "STRUCT", "model_uri": "STRING", "run_id": "STRING", "credentials_secret": "STRING"},
        ("model_uri",),
        "so that no model can be written there",
    ),
}

_WHY = {
    "champion_uri": ", which gates with notWorseThan need",
    "endpoint": ", which spec.ci.target Endpoint needs",
    "registration": ", which spec.ci.registerAs needs",
    "demands": ", which signedBy and requiredDocuments of policies need",
}
_LONGEST_NAME = 80


def violations(spec: Mapping[str, Any], contract: Contract, needs: Sequence[str] = ()) -> list[str]:
    """Say what a compiled pipeline lacks, a line for each; nothing where it fulfils the contract.

    needs: parameters that this run cannot do without, beside those that every one has to take.
    """
    root = spec.get("root") if isinstance(spec, Mapping) else None
    if not isinstance(root, Mapping):
        return ["there is no root: it is no compiled pipeline of Kubeflow Pipelines"]
    return [*_inputs(root, contract, needs), *_uses(root, contract)]


def taken(spec: Mapping[str, Any], parameters: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Give those of the parameters that the pipeline takes."""
    inputs = _mapping(_mapping(spec.get("root")).get("inputDefinitions"))
    declared = _mapping(inputs.get("parameters"))
    return {name: value for name, value in parameters.items() if name in declared}


def _inputs(root: Mapping[str, Any], contract: Contract, needs: Sequence[str]) -> Iterator[str]:
    inputs = _mapping(root.get("inputDefinitions"))
    declared = _mapping(inputs.get("parameters"))
    for name in (*contract.required, *needs):
        if name not in declared:
            wanted = contract.parameters[name]
            yield f"parameter {name} is missing{_WHY.get(name, '')}: declare it as a {wanted}"
    for name, definition in declared.items():
        shown, kind = in_a_line(name, _LONGEST_NAME), _mapping(definition).get("parameterType")
        known = contract.parameters.get(name)
        if known is None and not _is_optional(_mapping(definition)):
            yield f"parameter {shown} is none that Mooring gives: give it a default"
        elif known is not None and kind != known:
            yield f"parameter {shown} is of type {in_a_line(kind, _LONGEST_NAME)}; Mooring gives a {known}"
    for name, artifact in _mapping(inputs.get("artifacts")).items():
        if not _mapping(artifact).get("isOptional"):
            yield f"input artifact {in_a_line(name, _LONGEST_NAME)} cannot be given: runs get parameters alone"


def _uses(root: Mapping[str, Any], contract: Contract) -> Iterator[str]:
    """Say which of the parameters that it cannot do without reach no step."""
    tasks = _mapping(_mapping(root.get("dag")).get("tasks"))
    if not tasks:
        yield "there are no steps in root.dag.tasks"
        return
    used = {
        _mapping(argument).get("componentInputParameter")
        for task in tasks.values()
        for argument in _mapping(_mapping(_mapping(task).get("inputs")).get("parameters")).values()
    }
    declared = _mapping(_mapping(root.get("inputDefinitions")).get("parameters"))
    for name in contract.required:
        if name in declared and name not in used:
            yield f"parameter {name} is given to no step, {contract.unused}"


def _is_optional(definition: Mapping[str, Any]) -> bool:
    return bool(definition.get("isOptional")) or "defaultValue" in definition


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
