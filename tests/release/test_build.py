"""A release: made twice of one commit, looked through, installed, and refused where something is missing."""

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import tomllib
import zipfile

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release.__main__ import main
from release.build import build
from release.errors import ReleaseError
from release.images import IMAGES, name_of
from release.manifests import images_in, settings_images
from tests.kustomized import kustomized, parsed
from tests.release.checkout import commit, commit_checkout, git
from tests.release.documented import ROOT, Terminal, commands

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NAMES = {*(image.name for image in IMAGES), *map(name_of, settings_images().values())}
REFERENCES = {
    name: f"registry.example/team/{name}@sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in NAMES
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return commit_checkout(tmp_path_factory.mktemp("repository") / "mooring")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.yaml"
    path.write_text(yaml.safe_dump(REFERENCES))
    return path


@pytest.fixture(scope="module")
def released(checkout, images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "release"
    build(checkout, VERSION, images, folder)
    return folder


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_second_release_of_the_commit_is_the_same(checkout, images, released, tmp_path):
    # In place of an earlier one, of which nothing stays.
    again = shutil.copytree(released, tmp_path / "again")
    for name in ("left.txt", "images.yaml"):
        (again / name).write_text("x")
    build(checkout, VERSION, images, again)
    assert digests(again) == digests(released)


def test_sums_name_every_file(released):
    checked = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=released, check=False)
    assert checked.returncode == 0
    named = {line.split("  ")[1] for line in (released / "SHA256SUMS").read_text().splitlines()}
    assert named == digests(released).keys() - {"SHA256SUMS"}


def test_manifests_are_those_of_the_overlays_with_every_image_by_digest(checkout, released):
    overlays = {path.parent.name for path in checkout.glob("manifests/overlays/*/kustomization.yaml")}
    assert {path.stem for path in released.glob("manifests/*.yaml")} == overlays
    for overlay in overlays:
        plain = kustomized(checkout / "manifests" / "overlays" / overlay)
        ours = parsed((released / "manifests" / f"{overlay}.yaml").read_text())
        assert [(o["kind"], name(o)) for o in ours] == [(o["kind"], name(o)) for o in plain]
        used = set(images_in(ours))
        assert used
        assert used <= set(REFERENCES.values())
        assert {name_of(image) for image in images_in(plain)} == {
            image.split("@")[0].removeprefix("registry.example/team/") for image in used
        }
        told, before = settings_of(ours), settings_of(plain)["data"]
        settings = told["data"]
        for variable, image in settings_images().items():
            assert settings.pop(variable) == REFERENCES[name_of(image)]
            before.pop(variable, None)
        assert settings == before
        # What the operator reads is what was rendered.
        operator = next(o for o in ours if o["kind"] == "Deployment")["spec"]["template"]["spec"]
        given = [
            entry["configMapRef"]["name"]
            for entry in operator["containers"][0]["envFrom"]
            if "configMapRef" in entry
        ]
        assert given == [told["metadata"]["name"]]


def settings_of(objects):
    maps = [o for o in objects if o["kind"] == "ConfigMap"]
    return next(o for o in maps if o["metadata"]["name"].startswith("mooring-settings-"))


def name(found):
    """Without the hash of a ConfigMap's contents."""
    return re.sub(r"^(mooring-settings)-.*", r"\1", found["metadata"]["name"])


def test_wheel_and_source_are_whole(checkout, released):
    wheel = next(released.glob("*.whl"))
    held = set(zipfile.ZipFile(wheel).namelist())
    known = git(checkout, "ls-files", "*/mooring_*").splitlines()
    assert known
    assert {path.split("/", 1)[1] for path in known} <= held
    source = next(released.glob("*.tar.gz"))
    with tarfile.open(source) as files:
        inside = {entry.name.split("/", 1)[1] for entry in files if entry.isfile()}
    assert inside == {*git(checkout, "ls-files").splitlines(), "PKG-INFO"}


def test_release_installs_as_documented(released, tmp_path):
    folder = shutil.copytree(released, tmp_path / "release")
    lines = commands("install.md", "The command line, from a release")
    done = Terminal(tmp_path / "home", folder).run(lines)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"mooring {VERSION} (mooring.dev/v1alpha1)"


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_bill_names_what_is_in_an_image(released, image):
    text = (released / "sbom" / f"{image.name.rpartition('/')[2]}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == image.name
    found = {component["purl"]: component for component in bill["components"]}
    pinned = "".join((released / "requirements" / f"{role}.txt").read_text() for role in image.requirements)
    unconditional = dict(re.findall(r"^([a-z0-9._-]+)==(\S+) \\$", pinned, re.MULTILINE))
    assert unconditional
    assert {f"pkg:pypi/{name}@{version}" for name, version in unconditional.items()} <= found.keys()
    assert not any(purl.startswith(("pkg:pypi/colorama@", "pkg:pypi/pywin32@")) for purl in found)
    for purl, component in found.items():
        if purl.startswith("pkg:pypi/"):
            listed = {entry["content"] for entry in component["externalReferences"][0]["hashes"]}
            assert listed <= set(re.findall(r"--hash=sha256:([0-9a-f]{64})", pinned))
    wheel = hashlib.sha256(next(released.glob("*.whl")).read_bytes()).hexdigest()
    assert found[f"pkg:generic/kube-mooring@{VERSION}"]["hashes"] == [{"alg": "SHA-256", "content": wheel}]
    base = re.search(r"^FROM (\S+):(\S+)@(\S+)", (ROOT / image.dockerfile).read_text(), re.MULTILINE)
    assert found[f"pkg:docker/{base[1]}@{base[3]}"]["version"] == base[2]
    # The dockerfile installs what the bill names.
    lines = (
        (ROOT / image.dockerfile)
        .read_text()
        .replace("${VARIANT}", image.arguments.get("VARIANT", "inference"))
    )
    assert tuple(re.findall(r"-r requirements/([a-z-]+)\.txt", lines)) == ("build", *image.requirements)


def test_bill_of_the_go_programs_names_their_modules(released):
    text = (released / "sbom" / "go-programs.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    purls = {component["purl"] for component in json.loads(text)["components"]}
    for module in ("go.etcd.io/etcd/server/v3", "k8s.io/kubernetes", "k8s.io/api", "golang.org/x/vuln"):
        assert [purl for purl in purls if purl.startswith(f"pkg:golang/{module}@v")], module
    assert not [purl for purl in purls if purl.endswith("@v0.0.0")], (
        "staging modules are those that replace them"
    )


def test_provenance_says_what_was_made_of_what(checkout, released):
    statement = json.loads((released / "provenance.intoto.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    made = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    files = digests(released)
    assert made == {name: files[name] for name in files.keys() - {"SHA256SUMS", "provenance.intoto.json"}}
    predicate = statement["predicate"]
    definition = predicate["buildDefinition"]
    assert predicate["runDetails"]["builder"]["id"]
    assert definition["externalParameters"] == {"version": VERSION, "images": REFERENCES}
    used = {entry["name"]: entry["digest"] for entry in definition["resolvedDependencies"]}
    assert used["sources"] == {"gitCommit": git(checkout, "rev-parse", "HEAD")}
    for reference in REFERENCES.values():
        place, _, digest = reference.partition("@sha256:")
        assert used[place] == {"sha256": digest}
    for path in [
        *checkout.glob("requirements/*.txt"),
        *checkout.glob("*/go/*/go.sum"),
        *checkout.glob("*/go/go.sum"),
    ]:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert used[path.relative_to(checkout).as_posix()] == {"sha256": digest}
    assert [name for name in used if name.startswith("python:")]


ANY = REFERENCES["mooring/operator"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no file of images by digest"),
        ("", "must map names of images to REGISTRY/NAME@sha256:..."),
        ("[a]", "must map names of images to REGISTRY/NAME@sha256:..."),
        ("a: [", "no file of images by digest"),
        ("mooring/operator: mooring/operator:0.1.0", "'mooring/operator:0.1.0' must be REGISTRY/NAME@"),
        ("mooring/operator: r/x@sha256:abc", "'r/x@sha256:abc' must be REGISTRY/NAME@"),
        ("mooring/operator: {a: b}", "must be REGISTRY/NAME@"),
        (f"mooring/operator: '{ANY} --evil'", "must be REGISTRY/NAME@"),
        (f"mooring/operator: {ANY}", "names no digest of "),
        ("\0", "no file of images by digest"),
    ],
)  # fmt: skip
def test_nothing_is_released_without_digests(checkout, tmp_path, capsys, monkeypatch, text, says):
    monkeypatch.setattr("release.__main__._CHECKOUT", checkout)
    images, target = tmp_path / "images.yaml", tmp_path / "release"
    if text is not None:
        images.write_text(text)
    assert main(["build", VERSION, "--images", str(images), "--out", str(target)]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("error: IMAGES")
    assert says in said.err
    assert not target.exists()


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("9.9.9", rf"^VERSION=9\.9\.9: pyproject\.toml says {re.escape(VERSION)}"),
        ("", r"^VERSION='': must be a version such as 0\.1\.0$"),
        ("../../x", r"^VERSION='\.\./\.\./x': must be"),
        ("v0.1.0", "^VERSION='v0.1.0': must be"),
    ],
)
def test_version_is_that_of_the_sources(checkout, images, tmp_path, version, says):
    with pytest.raises(ReleaseError, match=says):
        build(checkout, version, images, tmp_path / "release")


def test_a_folder_that_is_no_release_is_left_alone(checkout, images, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ReleaseError, match="holds no release"):
        build(checkout, VERSION, images, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "x"


def test_sources_that_are_not_committed_are_not_released(images, tmp_path):
    own = commit_checkout(tmp_path / "own")
    (own / "README.md").write_text("changed")
    with pytest.raises(
        ReleaseError, match=r"^commit first: 1 files differ from [0-9a-f]{12}, README\.md for one$"
    ):
        build(own, VERSION, images, tmp_path / "release")
    git(own, "checkout", "--quiet", "README.md")
    dockerfile = own / "operator" / "Dockerfile"
    dockerfile.write_text(re.sub(r"@sha256:[0-9a-f]{64}", "", dockerfile.read_text()))
    commit(own)
    with pytest.raises(ReleaseError, match=r"^operator/Dockerfile: 'FROM python:.*' must name a digest"):
        build(own, VERSION, images, tmp_path / "release")
    assert not (tmp_path / "release").exists()


def test_only_a_repository_is_released(images, tmp_path):
    with pytest.raises(ReleaseError, match=r"^git rev-parse failed: fatal: not a git repository"):
        build(tmp_path, VERSION, images, tmp_path / "release")
