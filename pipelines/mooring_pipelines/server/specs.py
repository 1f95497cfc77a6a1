"""Pipeline specs as the API takes them: read, check, and check a run's parameters against them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mooring_artifacts.errors import InputError
from mooring_artifacts.safe_yaml import Limits, load_all_yaml

from mooring_pipelines import parameters as comparison
from mooring_pipelines.server.errors import invalid

_LIMITS = Limits(size=4 << 20)
_NAME = re.compile(r"[a-z0-9][-a-z0-9]{0,127}")


def parse_upload(content: bytes) -> str:
    """The pipeline spec in an uploaded YAML file, as JSON. A platform spec is left aside.

    Raises:
        ApiError: 400, not one KFP v2 pipeline.
    """
    try:
        documents = [document for document in load_all_yaml(content, _LIMITS) if document]
    except InputError as error:
        raise invalid(f"unable to decode yaml document: {error}") from error
    specs = [document for document in documents if not _is_platform_spec(document)]
    if len(specs) != 1:
        raise invalid("no pipeline spec is provided" if not specs else "multiple pipeline specs provided")
    return normalize_spec(specs[0])


def normalize_spec(spec: Any) -> str:
    """The checked JSON of a pipeline spec, which may be wrapped as the SDK does for platform specs.

    Raises:
        ApiError: 400, not a KFP v2 pipeline.
    """
    if isinstance(spec, Mapping) and isinstance(spec.get("pipeline_spec"), Mapping):
        spec = spec["pipeline_spec"]
    if not isinstance(spec, Mapping) or "pipelineInfo" not in spec:
        raise invalid("invalid v2 pipeline spec: it has no pipelineInfo")
    if spec.get("schemaVersion") != "2.1.0":
        raise invalid(
            f"KFP only supports schema version 2.1.0, but the pipeline spec has version {spec.get('schemaVersion')}"
        )
    name = (spec["pipelineInfo"] or {}).get("name", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(
            "pipeline's name must contain only lowercase alphanumeric characters or '-' and must start with "
            f"alphanumeric characters; it is {name!r}"
        )
    if not spec.get("root"):
        raise invalid("invalid v2 pipeline spec: root component is empty")
    return json.dumps(spec)


def pipeline_name(spec: str) -> str:
    """The name inside a normalized spec."""
    return str(json.loads(spec)["pipelineInfo"]["name"])


def check_parameters(spec: str, parameters: Mapping[str, Any]) -> None:
    """Compare a run's parameters with the inputs of a normalized spec, as the real backend does.

    Raises:
        ApiError: 400, a parameter is missing, unknown or of another type.
    """
    try:
        comparison.check_parameters(json.loads(spec), parameters)
    except InputError as error:
        raise invalid(str(error)) from error


def _is_platform_spec(document: Any) -> bool:
    return isinstance(document, Mapping) and "platforms" in document and "pipelineInfo" not in document
