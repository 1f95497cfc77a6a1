"""The messages of the V2 gRPC service are the public protocol's, and what protoc makes of the source."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import FieldDescriptor
from mooring_inference.grpc_front.schema import METHODS, POOL, SERVICE, message
from tritonclient.grpc import service_pb2 as triton

# KServe and Triton differ here.
OF_KSERVE = {"RepositoryModelLoadRequest", "RepositoryModelUnloadRequest"}


def test_the_description_is_what_the_source_says():
    pytest.importorskip("grpc_tools", reason="protoc comes with grpcio-tools, which is not installed")
    from mooring_inference.grpc_front.generate import is_current

    assert is_current(), "python -m mooring_inference.grpc_front.generate"


def fields(descriptor):
    return {
        f.name: (f.number, f.type, f.is_repeated, f.message_type and f.message_type.full_name)
        for f in descriptor.fields
    }


@pytest.mark.parametrize("method", METHODS)
def test_names_and_numbers_are_those_of_triton(method):
    theirs = triton.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[method]
    ours = POOL.FindServiceByName(SERVICE).methods_by_name[method]
    seen = set()
    pending = [(ours.input_type, theirs.input_type), (ours.output_type, theirs.output_type)]
    while pending:
        own, other = pending.pop()
        assert own.full_name == other.full_name
        if own.name in seen or own.name in OF_KSERVE:
            continue
        seen.add(own.name)
        numbers = fields(other)
        # Triton answers loads with nothing, KServe with a name and a flag: more than a client knows does no harm.
        assert {name: numbers[name] for name in fields(own) if name in numbers} == numbers
        pending += [
            (f.message_type, other.fields_by_name[f.name].message_type)
            for f in own.fields
            if f.type == FieldDescriptor.TYPE_MESSAGE and f.name in numbers
        ]


@pytest.mark.parametrize("change", ["Load", "Unload"])
def test_a_load_of_triton_s_client_is_read_as_one(change):
    theirs = getattr(triton, f"RepositoryModel{change}Request")(repository_name="r", model_name="m")
    theirs.parameters["config"].string_param = "{}"
    ours = message(f"RepositoryModel{change}Request").FromString(theirs.SerializeToString())
    assert (ours.triton_model_name, ours.parameters["config"].string_param) == ("m", "{}")
