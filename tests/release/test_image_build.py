"""Images that are built without a container engine, pushed to a real registry and read back."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile

import pytest
import yaml

from release.errors import ReleaseError
from release.image_build import push, read_start, write_layer
from release.images import IMAGES
from release.programs import go_tool, run
from tests.release.checkout import commit, commit_checkout, git
from tests.release.documented import ROOT, uv

OPERATOR = next(image for image in IMAGES if image.name == "mooring/operator")


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_dockerfiles_start_isolated_and_not_as_root(image):
    start = read_start(ROOT / image.dockerfile)
    assert start.entrypoint[:3] == ["/opt/mooring/bin/python", "-I", "-u"]
    assert start.entrypoint[3] == "-m"
    assert start.user == "65532:65532"
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", start.base)
    assert "PATH=/opt/mooring/bin:/usr/local/bin:/usr/bin:/bin" in start.environment
    assert not any("$" in variable for variable in start.environment), "there is no shell to expand it"
    # What it names can be started, isolated.
    program = [
        sys.executable,
        "-I",
        "-c",
        f"import importlib.util as u; assert u.find_spec({start.entrypoint[4]!r})",
    ]
    subprocess.run(program, check=True)


def test_instructions_that_cannot_be_done_are_refused(tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM a AS build\nRUN x\n\nFROM b\nUSER 1\n# a comment\nRUN make\n")
    with pytest.raises(
        ReleaseError, match=r"Dockerfile: 'RUN make' cannot be done without a container engine$"
    ):
        read_start(dockerfile)


@pytest.mark.parametrize(
    "place",
    [
        "",
        "team",
        "team/x",
        "http://registry.example/x",
        "registry.example/x y",
        "registry.example/../x",
        "R.example",
    ],
)
def test_images_go_to_a_registry_that_is_named(place, tmp_path):
    with pytest.raises(ReleaseError, match=r"^REGISTRY=.*: must be HOST/PATH or HOST:PORT/PATH"):
        push(ROOT, "0.1.0", [OPERATOR], place, tmp_path / "images.yaml")


def test_layers_depend_on_names_modes_and_bytes_alone(tmp_path):
    for name, umask in (("one", 0o022), ("two", 0o077)):
        folder = tmp_path / name / "a"
        folder.mkdir(parents=True, mode=0o777 & ~umask)
        for file in ("z", "b") if name == "one" else ("b", "z"):
            (folder / file).write_text(file)
            (folder / file).chmod(0o666 & ~umask)
        (folder / "run").write_text("#!")
        (folder / "run").chmod(0o777 & ~umask)
        (folder / "link").symlink_to("/usr/local/bin/python3.11")
        write_layer(tmp_path / name, tmp_path / f"{name}.tar", 1700000000)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as layer:
        entries = {entry.name: entry for entry in layer}
    assert list(entries) == ["a", "a/b", "a/link", "a/run", "a/z"]
    assert [oct(entries[name].mode) for name in ("a", "a/run", "a/b")] == ["0o755", "0o755", "0o644"]
    assert {(entry.uid, entry.gid, entry.mtime) for entry in entries.values()} == {(0, 0, 1700000000)}
    assert entries["a/link"].linkname == "/usr/local/bin/python3.11"


@pytest.fixture(scope="module")
def registry():
    """A registry on this machine, as HOST:PORT."""
    if shutil.which("go") is None:
        pytest.skip("go is not on PATH")
    try:
        run([*go_tool("crane"), "version"])
    except ReleaseError as error:
        pytest.skip(f"crane cannot be built: {error}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*map(str, go_tool("crane")), "registry", "serve", "--address", f"127.0.0.1:{port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as server:
        try:
            assert "serving on port" in server.stderr.readline()
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.stderr.close()


@pytest.fixture(scope="module")
def checkout(registry, tmp_path_factory):
    """A checkout whose Dockerfiles start from an image in the registry, by digest."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "etc").mkdir()
    (folder / "etc" / "os-release").write_text("ID=test\n")
    write_layer(folder / "etc", folder / "base.tar", 0)
    layer, tag = f"--new_layer={folder / 'base.tar'}", f"--new_tag={registry}/python:3"
    base = run([*go_tool("crane"), "append", "--oci-empty-base", layer, tag]).strip()
    own = commit_checkout(tmp_path_factory.mktemp("repository") / "mooring")
    for path in own.glob("*/Dockerfile"):
        path.write_text(re.sub(r"FROM \S+", f"FROM {base.replace('@', ':3@')}", path.read_text()))
    commit(own)
    (own / "build" / "bootstrap" / "bin").mkdir(parents=True)
    (own / "build" / "bootstrap" / "bin" / "uv").symlink_to(uv())
    return own


def fetched(registry, path):
    connection = http.client.HTTPConnection(registry)
    connection.request("GET", path, headers={"Accept": "*/*"})
    answer = connection.getresponse()
    assert answer.status == 200, path
    return answer.read()


def test_image_of_a_commit_is_always_the_same_and_runs_what_is_pinned(registry, checkout, tmp_path):
    record = tmp_path / "images.yaml"
    other = f"registry.example/x@sha256:{'0' * 64}"
    record.write_text(yaml.safe_dump({"kserve/storage-initializer": other}))
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    found = []
    for place in (f"{registry}/one", f"{registry}/two/"):
        try:
            found.append(push(checkout, version, [OPERATOR], place, record)["mooring/operator"])
        except ReleaseError as error:
            if re.search("dns error|[Ff]ailed to fetch|error sending request", str(error)):
                pytest.skip(f"packages cannot be had: {error}")
            raise
    digest = found[0].partition("@")[2]
    assert found == [f"{registry}/{place}/mooring/operator@{digest}" for place in ("one", "two")]
    assert yaml.safe_load(record.read_text()) == {
        "kserve/storage-initializer": other,
        "mooring/operator": found[1],
    }
    manifest = json.loads(fetched(registry, f"/v2/one/mooring/operator/manifests/{version}"))
    config = json.loads(fetched(registry, f"/v2/one/mooring/operator/blobs/{manifest['config']['digest']}"))[
        "config"
    ]
    start = read_start(checkout / OPERATOR.dockerfile)
    assert (config["Entrypoint"], config["User"], config["Env"]) == (
        start.entrypoint,
        start.user,
        start.environment,
    )
    assert config["Labels"]["org.opencontainers.image.revision"] == git(checkout, "rev-parse", "HEAD")
    assert config["Labels"]["org.opencontainers.image.base.name"] == start.base
    assert len(manifest["layers"]) == 2
    layer = tmp_path / "layer.tar.gz"
    layer.write_bytes(fetched(registry, f"/v2/one/mooring/operator/blobs/{manifest['layers'][1]['digest']}"))
    with tarfile.open(layer) as files:
        names = files.getnames()
        files.extractall(
            tmp_path, filter=lambda entry, path: None if entry.issym() else tarfile.data_filter(entry, path)
        )
    assert all(name == "opt" or name.startswith("opt/mooring") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith("direct_url.json")]
    if sys.version_info[:2] != (3, 11):
        return
    # Nothing but what is in the image, and the standard library, is needed to start.
    site = tmp_path / "opt" / "mooring" / "lib" / "python3.11" / "site-packages"
    program = (
        f"import sys; sys.path.append({str(site)!r}); import mooring_operator.main as m; print(m.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(site / "mooring_operator" / "main.py"), done.stderr
