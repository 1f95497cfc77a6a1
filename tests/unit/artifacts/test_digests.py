"""The digest of a model: independent of where it lies, dependent on every byte and name."""

import hashlib
import json
import subprocess
import sys

import pytest
from mooring_artifacts.errors import InputError
from mooring_artifacts.storage import content_digest


def test_the_digest_of_a_folder_is_the_sha256_of_its_canonical_manifest(tmp_path):
    (tmp_path / "m" / "weights").mkdir(parents=True)
    (tmp_path / "m" / "model.onnx").write_bytes(b"graph")
    (tmp_path / "m" / "weights" / "w 1.bin").write_bytes(b"")
    manifest = [
        {"path": "model.onnx", "sha256": hashlib.sha256(b"graph").hexdigest(), "size": 5},
        {"path": "weights/w 1.bin", "sha256": hashlib.sha256(b"").hexdigest(), "size": 0},
    ]
    canonical = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
    assert content_digest(f"file://{tmp_path}/m/") == "sha256:" + hashlib.sha256(canonical).hexdigest()


def test_a_file_and_the_folder_that_holds_only_it_have_one_digest(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    assert content_digest(f"file://{tmp_path}/model.onnx") == content_digest(f"file://{tmp_path}")


@pytest.mark.parametrize("change", ["content", "name", "extra"])
def test_any_change_changes_the_digest(tmp_path, change):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    before = content_digest(f"file://{tmp_path}")
    match change:
        case "content":
            (tmp_path / "model.onnx").write_bytes(b"grapH")
        case "name":
            (tmp_path / "model.onnx").rename(tmp_path / "other.onnx")
        case "extra":
            (tmp_path / "empty").touch()
    assert content_digest(f"file://{tmp_path}") != before


def test_what_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        content_digest(f"file://{tmp_path}/nothing")


def test_digests_of_stored_files_need_no_heavy_library():
    heavy = {"numpy", "onnxruntime", "pyarrow", "pydantic"}
    program = f"import sys, mooring_artifacts.storage; print(*({heavy} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout.strip() == b""
    )
