"""The messages of ``inference.GRPCInferenceService``, in a descriptor pool of their own.

Code that protoc generates registers its messages for the whole process, and a second definition of
``inference.ModelInferRequest`` there is an error: a server that also imports kserve or tritonclient, which bring
theirs, could not start. So the compiled description of ``open_inference.proto`` is what the package holds, and the
classes are made from it here. A description, unlike generated code, also asks for no version of protobuf.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_DESCRIPTION = Path(__file__).with_name("open_inference.binpb")
PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"


def message(name: str) -> Any:
    """Return the class of a message."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def _read_description() -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(_DESCRIPTION.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _read_description()
METHODS: tuple[str, ...] = tuple(method.name for method in POOL.FindServiceByName(SERVICE).methods)
