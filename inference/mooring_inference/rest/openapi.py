"""The OpenAPI document of what a server serves, and a page of it that needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from mooring_inference.tensors import DATATYPES

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string", "description": "What is wrong, in one line."},
        "field": {"type": "string", "description": "Where in the request, such as inputs[0].shape."},
        "expected": {"description": "What would have been right there."},
        "got": {"description": "What was there."},
        "id": {"type": "string", "description": "The request's id, for errors of the server."},
    },
}
_PARAMETERS = {"type": "object", "description": "Parameters of the protocol's extensions."}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string", "enum": list(DATATYPES)},
        "data": {"type": "array", "items": {}, "description": "Row-major, flat or nested."},
        "parameters": _PARAMETERS,
    },
}
_SCHEMAS: dict[str, Any] = {
    "Error": _ERROR,
    "Tensor": _TENSOR,
    "InferRequest": {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": "string"},
            "inputs": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Tensor"}},
            "outputs": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "parameters": _PARAMETERS},
                },
            },
            "parameters": _PARAMETERS,
        },
    },
    "InferResponse": {
        "type": "object",
        "required": ["model_name", "id", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
        },
    },
    "PredictRequest": {
        "type": "object",
        "properties": {"instances": {"type": "array", "items": {}}},
        "required": ["instances"],
    },
    "PredictResponse": {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": {}}},
        "required": ["predictions"],
    },
    "Metadata": {
        "type": "object",
        "required": ["name", "platform", "inputs", "outputs"],
        "properties": {
            "name": {"type": "string"},
            "versions": {"type": "array", "items": {"type": "string"}},
            "platform": {"type": "string"},
            "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/TensorMetadata"}},
            "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/TensorMetadata"}},
        },
    },
    "TensorMetadata": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string", "enum": list(DATATYPES)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
        },
    },
    "Server": {
        "type": "object",
        "required": ["name", "version", "extensions"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "extensions": {"type": "array", "items": {"type": "string"}},
        },
    },
    "Ready": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "ready": {"type": "boolean"}},
        "required": ["ready"],
    },
    "Alive": {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]},
    "Live": {"type": "object", "properties": {"live": {"type": "boolean"}}, "required": ["live"]},
}


def describe(models: Iterable[str], version: str) -> dict[str, Any]:
    """Return the document, version 3.1, for these models; ``version`` is the server's."""
    names = list(models)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mooring-inference",
            "version": version,
            "description": "KServe's V1 and V2 (Open Inference Protocol) REST interfaces.",
        },
        "paths": _paths(names),
        "components": {"schemas": _SCHEMAS},
    }


def page(document: dict[str, Any]) -> bytes:
    """Return the document for people, as HTML."""
    rows = "".join(
        f"<tr><td><code>{escape(method.upper())}</code></td><td><code>{escape(path)}</code></td>"
        f"<td>{escape(operation['summary'])}</td></tr>"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "parameters"
    )
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "td{padding:.3rem .8rem .3rem 0;vertical-align:top}</style>"
        f"<h1>{title}</h1><p>{escape(document['info']['description'])} "
        'The whole description: <a href="/openapi.json">openapi.json</a>.</p>'
        f"<table>{rows}</table></html>"
    ).encode()


def _paths(models: list[str]) -> dict[str, Any]:
    model = {
        "name": "model",
        "in": "path",
        "required": True,
        "schema": {"type": "string", **({"enum": models} if models else {})},
    }
    of_model: dict[str, Any] = {"parameters": [model]}
    infer = _operation("Infer", "InferRequest", "InferResponse")
    return {
        "/v2/health/live": {"get": _operation("Whether the process lives", None, "Live")},
        "/v2/health/ready": {"get": _operation("Whether all models are loaded", None, "Ready")},
        "/v2": {"get": _operation("Name, version and extensions", None, "Server")},
        "/v2/models/{model}": of_model | {"get": _operation("Inputs and outputs", None, "Metadata")},
        "/v2/models/{model}/ready": of_model
        | {"get": _operation("Whether it takes requests", None, "Ready")},
        "/v2/models/{model}/infer": of_model | {"post": infer},
        "/": {"get": _operation("Whether the process lives, in V1", None, "Alive")},
        "/v1/models/{model}": of_model | {"get": _operation("Whether it takes requests", None, "Ready")},
        "/v1/models/{model}:predict": of_model
        | {"post": _operation("Predict", "PredictRequest", "PredictResponse")},
    }


def _operation(summary: str, request: str | None, response: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": _content("Done.", response),
            "default": _content("What is wrong.", "Error"),
        },
    }
    if response == "Ready":
        operation["responses"]["503"] = _content("Not ready.", "Ready")
    if request is not None:
        operation["requestBody"] = {"required": True} | _content("", request)
    return operation


def _content(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}
