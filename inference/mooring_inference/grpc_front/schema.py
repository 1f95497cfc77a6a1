"""The messages of ``inference.GRPCInferenceService``, made at run time in a descriptor pool of their own.

Code that protoc generates registers its messages for the whole process, and a second definition of
``inference.ModelInferRequest`` there is an error: a server that also imports kserve or tritonclient, which bring
theirs, could not start.

Source: the Open Inference Protocol's and Triton's gRPC definitions (names and numbers of fields).
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PACKAGE = "inference"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

# (name, number, type): a scalar, a message, or one of these in brackets for a repeated field. ``parameters`` are maps
# of strings to the message that they name.
_Field = tuple[str, int, str]
_PARAMETERS = "map:InferParameter"
_TENSOR_METADATA: list[_Field] = [("name", 1, "string"), ("datatype", 2, "string"), ("shape", 3, "[int64]")]
_TENSOR: list[_Field] = [
    ("name", 1, "string"),
    ("datatype", 2, "string"),
    ("shape", 3, "[int64]"),
    ("parameters", 4, _PARAMETERS),
    ("contents", 5, "InferTensorContents"),
]
_MESSAGES: dict[str, list[_Field]] = {
    "ServerLiveRequest": [],
    "ServerLiveResponse": [("live", 1, "bool")],
    "ServerReadyRequest": [],
    "ServerReadyResponse": [("ready", 1, "bool")],
    "ModelReadyRequest": [("name", 1, "string"), ("version", 2, "string")],
    "ModelReadyResponse": [("ready", 1, "bool")],
    "ServerMetadataRequest": [],
    "ServerMetadataResponse": [
        ("name", 1, "string"),
        ("version", 2, "string"),
        ("extensions", 3, "[string]"),
    ],
    "ModelMetadataRequest": [("name", 1, "string"), ("version", 2, "string")],
    "ModelMetadataResponse.TensorMetadata": _TENSOR_METADATA,
    "ModelMetadataResponse": [
        ("name", 1, "string"),
        ("versions", 2, "[string]"),
        ("platform", 3, "string"),
        ("inputs", 4, "[ModelMetadataResponse.TensorMetadata]"),
        ("outputs", 5, "[ModelMetadataResponse.TensorMetadata]"),
    ],
    "InferParameter": [
        ("bool_param", 1, "oneof:bool"),
        ("int64_param", 2, "oneof:int64"),
        ("string_param", 3, "oneof:string"),
        ("double_param", 4, "oneof:double"),
        ("uint64_param", 5, "oneof:uint64"),
    ],
    "InferTensorContents": [
        ("bool_contents", 1, "[bool]"),
        ("int_contents", 2, "[int32]"),
        ("int64_contents", 3, "[int64]"),
        ("uint_contents", 4, "[uint32]"),
        ("uint64_contents", 5, "[uint64]"),
        ("fp32_contents", 6, "[float]"),
        ("fp64_contents", 7, "[double]"),
        ("bytes_contents", 8, "[bytes]"),
    ],
    "ModelInferRequest.InferInputTensor": _TENSOR,
    "ModelInferRequest.InferRequestedOutputTensor": [("name", 1, "string"), ("parameters", 2, _PARAMETERS)],
    "ModelInferRequest": [
        ("model_name", 1, "string"),
        ("model_version", 2, "string"),
        ("id", 3, "string"),
        ("parameters", 4, _PARAMETERS),
        ("inputs", 5, "[ModelInferRequest.InferInputTensor]"),
        ("outputs", 6, "[ModelInferRequest.InferRequestedOutputTensor]"),
        ("raw_input_contents", 7, "[bytes]"),
    ],
    "ModelInferResponse.InferOutputTensor": _TENSOR,
    "ModelInferResponse": [
        ("model_name", 1, "string"),
        ("model_version", 2, "string"),
        ("id", 3, "string"),
        ("parameters", 4, _PARAMETERS),
        ("outputs", 5, "[ModelInferResponse.InferOutputTensor]"),
        ("raw_output_contents", 6, "[bytes]"),
    ],
    "RepositoryIndexRequest": [("repository_name", 1, "string"), ("ready", 2, "bool")],
    "RepositoryIndexResponse.ModelIndex": [
        ("name", 1, "string"),
        ("version", 2, "string"),
        ("state", 3, "string"),
        ("reason", 4, "string"),
    ],
    "RepositoryIndexResponse": [("models", 1, "[RepositoryIndexResponse.ModelIndex]")],
    # KServe sends the name as field 1, Triton as field 2, and neither uses the other's for something else that matters.
    "RepositoryModelLoadRequest": [("model_name", 1, "string"), ("triton_model_name", 2, "string")],
    "RepositoryModelLoadResponse": [("model_name", 1, "string"), ("isLoaded", 2, "bool")],
    "RepositoryModelUnloadRequest": [("model_name", 1, "string"), ("triton_model_name", 2, "string")],
    "RepositoryModelUnloadResponse": [("model_name", 1, "string"), ("isUnloaded", 2, "bool")],
}
METHODS = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)


def message(name: str) -> Any:
    """The class of a message."""
    return GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


def _describe_file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="mooring/inference.proto", package=PACKAGE, syntax="proto3")
    described: dict[str, DescriptorProto] = {}
    # Those that hold others first.
    for name in sorted(_MESSAGES, key=lambda name: name.count(".")):
        parent, _, own = name.rpartition(".")
        target = described[parent].nested_type.add() if parent else file.message_type.add()
        target.name = own
        described[name] = target
        for field in _MESSAGES[name]:
            _describe_field(target, name, *field)
    service = file.service.add(name="GRPCInferenceService")
    for method in METHODS:
        service.method.add(
            name=method,
            input_type=f".{PACKAGE}.{method}Request",
            output_type=f".{PACKAGE}.{method}Response",
        )
    return file


def _describe_field(holder: DescriptorProto, path: str, name: str, number: int, kind: str) -> None:
    field = holder.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith(("[", "map:")):
        field.label = FieldDescriptorProto.LABEL_REPEATED
        kind = kind.strip("[]")
    if kind.startswith("oneof:"):
        if not holder.oneof_decl:
            holder.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
        kind = kind.removeprefix("oneof:")
    if kind.startswith("map:"):
        entry = holder.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _describe_field(entry, "", "key", 1, "string")
        _describe_field(entry, "", "value", 2, kind.removeprefix("map:"))
        kind = f"{path}.ParametersEntry"
    scalar = f"TYPE_{kind.upper()}"
    if scalar in FieldDescriptorProto.Type.keys():  # noqa: SIM118  an enum, and no mapping
        field.type = FieldDescriptorProto.Type.Value(scalar)
    else:
        field.type = FieldDescriptorProto.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{kind}"


POOL = DescriptorPool()
POOL.Add(_describe_file())
