"""Compile ``open_inference.proto`` to the description that ``schema`` reads.

    python -m mooring_inference.grpc_front.generate [--check]

Needs grpcio-tools, which brings protoc; with ``--check`` nothing is written, and a difference is an error.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import FileDescriptorSet

SOURCE = Path(__file__).with_name("open_inference.proto")
# Not taken from `schema`, which cannot be imported while the file is missing or broken.
DESCRIPTION = SOURCE.with_suffix(".binpb")


def compile_source() -> FileDescriptorSet:
    """Return what protoc makes of the source.

    Raises:
        subprocess.CalledProcessError: protoc is missing or refuses the source; it has said why.
    """
    with TemporaryDirectory() as folder:
        output = Path(folder) / DESCRIPTION.name
        subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                f"--proto_path={SOURCE.parent}",
                f"--descriptor_set_out={output}",
                SOURCE.name,
            ],
            check=True,
        )
        compiled: FileDescriptorSet = FileDescriptorSet.FromString(output.read_bytes())
        return compiled


def is_current() -> bool:
    """Return whether the description says what the source says; its bytes may differ between versions of protoc."""
    return bool(FileDescriptorSet.FromString(DESCRIPTION.read_bytes()) == compile_source())


def main() -> None:
    """Run the command; exit code 1 where the source cannot be compiled, or is not what the description says."""
    parser = argparse.ArgumentParser(prog="python -m mooring_inference.grpc_front.generate")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file is out of date")
    is_check = parser.parse_args().check
    try:
        if not is_check:
            DESCRIPTION.write_bytes(compile_source().SerializeToString(deterministic=True))
        elif not is_current():
            raise SystemExit(
                f"{DESCRIPTION.name} is out of date: python -m mooring_inference.grpc_front.generate"
            )
    except subprocess.CalledProcessError:
        raise SystemExit(f"{SOURCE.name} was not compiled") from None


if __name__ == "__main__":
    main()
