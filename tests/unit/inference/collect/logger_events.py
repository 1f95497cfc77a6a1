"""Events as KServe's logger posts them: the headers that its agent of version 0.21 was seen to send."""

from __future__ import annotations

import orjson

_KINDS = {True: "request", False: "response"}


def headers(is_request=True, id="a1", metadata=None, **changed):
    """Headers of one event by lower-case name; those that are changed to None are left out."""
    said = {
        "content-type": "application/json",
        "ce-id": id,
        "ce-type": f"org.kubeflow.serving.inference.{_KINDS[is_request]}",
        "ce-specversion": "1.0",
        "ce-source": "http://localhost:9081/",
        "ce-time": "2026-11-27T14:00:00.123456789Z",
        "ce-recordedtime": "2026-11-27T14:00:00.2Z",
        "ce-inferenceservicename": "digits",
        "ce-namespace": "ml",
        "ce-component": "predictor",
        "ce-endpoint": "",
        "ce-metadata": orjson.dumps(metadata or {}).decode(),
    }
    said |= {name.replace("_", "-"): value for name, value in changed.items()}
    return {name: value for name, value in said.items() if value is not None}


def raw(said):
    """Headers as the server reads them."""
    return {name.encode(): value.encode() for name, value in said.items()}
