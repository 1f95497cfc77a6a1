"""Compare a run's parameters with what its pipeline takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mooring_artifacts.errors import InputError

_SHOWN = 200
_TYPES: dict[str, tuple[str, tuple[type, ...]]] = {
    "NUMBER_DOUBLE": ("double or integer", (int, float)),
    "NUMBER_INTEGER": ("double or integer", (int, float)),
    "STRING": ("string", (str,)),
    "BOOLEAN": ("bool", (bool,)),
    "LIST": ("list", (list,)),
    "STRUCT": ("struct", (dict,)),
}


def check_parameters(spec: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Do nothing where the inputs of a compiled pipeline take the parameters. The sentences are KFP's own.

    Raises:
        InputError: a parameter is missing, unknown or of another type.
    """
    inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, definition in inputs.items():
        if name not in parameters:
            if not definition.get("isOptional") and "defaultValue" not in definition:
                raise InputError(
                    f"parameter {name} is not optional, yet has neither default value nor user provided value"
                )
            continue
        wanted, types = _TYPES.get(definition.get("parameterType", ""), ("unknown", ()))
        value = parameters[name]
        # bool is an int to Python and none to the API.
        if not isinstance(value, types) or (isinstance(value, bool) and wanted != "bool"):
            raise InputError(
                f"input parameter {name} requires type {wanted}, but the parameter value {value!r:.{_SHOWN}} is not"
            )
    if extra := sorted(set(parameters) - set(inputs)):
        raise InputError(f"parameter(s) provided are not required by pipeline: {', '.join(extra):.{_SHOWN}}")
