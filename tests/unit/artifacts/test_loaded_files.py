"""The digest of what lies in a server's folder: the same for whoever tested the files and for whoever loads them."""

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mooring_artifacts.digests import ManifestEntry, manifest_digest
from mooring_artifacts.errors import InputError
from mooring_artifacts.loaded_files import check_loaded, digest_of_brought, hash_loaded

OTHER = "sha256:" + "0" * 64


def entry(path, content=b"x"):
    return ManifestEntry(path, len(content), hashlib.sha256(content).hexdigest())


def write(folder, files):
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


names = st.sampled_from(
    ["model.onnx", "code/a.py", "code/__init__.py", ".gitkeep", "data/deep/er.bin", "é.txt"]
)


@given(st.dictionaries(names, st.binary(max_size=40), min_size=1))
def test_what_a_run_says_holds_for_what_is_brought_and_for_nothing_else(tmp_path_factory, files):
    digest = digest_of_brought(entry(*each) for each in files.items())
    brought = {path: content for path, content in files.items() if content}
    if not brought:
        assert digest is None
        return
    check_loaded(write(tmp_path_factory.mktemp("whole"), files), digest)
    check_loaded(write(tmp_path_factory.mktemp("brought"), brought), digest)
    for path, content in brought.items():
        for wrong in (content + b"!", b""):
            folder = write(tmp_path_factory.mktemp("changed"), {**brought, path: wrong})
            with pytest.raises(InputError, match="does not match the content"):
                check_loaded(folder, digest)
    more = write(tmp_path_factory.mktemp("more"), {**brought, "model2.onnx": b"y"})
    with pytest.raises(InputError, match="does not match the content"):
        check_loaded(more, digest)


def test_a_file_is_a_folder_of_one(tmp_path):
    write(tmp_path, {"model.onnx": b"x"})
    check_loaded(tmp_path / "model.onnx", manifest_digest([entry("model.onnx")]))


@pytest.mark.parametrize("place", ["m", "./m", "../here/m", "m/model.onnx"])
def test_a_folder_is_found_from_where_one_is(tmp_path, monkeypatch, place):
    """As people type it: `score --model_dir digits`."""
    write(tmp_path / "here" / "m", {"model.onnx": b"x"})
    monkeypatch.chdir(tmp_path / "here")
    found = check_loaded(Path(place), manifest_digest([entry("model.onnx")]))
    assert found.changed(Path(place)) is None


@pytest.mark.parametrize("name", ["m.zip", "m.tar", "m.tar.gz", "m.tgz"])
def test_of_an_archive_alone_nobody_knows_what_will_lie_there(name):
    assert digest_of_brought([entry(name)]) is None
    assert digest_of_brought([entry(name), entry("empty", b"")]) is None
    assert digest_of_brought([entry(name), entry("other")]) is not None


def test_links_are_followed_as_volumes_have_them(tmp_path):
    write(tmp_path, {"..data/model.onnx": b"x"})
    (tmp_path / "model.onnx").symlink_to(tmp_path / "..data" / "model.onnx")
    check_loaded(tmp_path, manifest_digest([entry("..data/model.onnx"), entry("model.onnx")]))


def test_a_folder_that_is_not_there_has_another_digest(tmp_path):
    with pytest.raises(InputError, match=r"model_digest .sha256:000.* does not match"):
        check_loaded(tmp_path / "none", OTHER)


def replace(path):
    other = path.with_name("other")
    other.write_bytes(b"y" * path.stat().st_size)
    told = path.stat()
    os.utime(other, ns=(told.st_atime_ns, told.st_mtime_ns))
    other.rename(path)


@pytest.mark.parametrize(
    "write_again",
    [
        lambda path: path.write_bytes(b"longer than it was"),
        lambda path: path.unlink(),
        replace,
    ],
    ids=["another size", "gone", "of the same size and age"],
)
@pytest.mark.parametrize("alone", [True, False], ids=["a file", "a folder"])
def test_what_is_written_after_it_was_hashed_shows(tmp_path, write_again, alone):
    write(tmp_path, {"model.onnx": b"x", "code/a.py": b"z"})
    root = tmp_path / "model.onnx" if alone else tmp_path
    hashed = hash_loaded(root)
    # What loading leaves there is nobody's replacement.
    write(tmp_path, {"code/__pycache__/a.pyc": b"compiled"})
    assert hashed.changed(root) is None
    write_again(tmp_path / "model.onnx")
    assert hashed.changed(root) == "model.onnx"
