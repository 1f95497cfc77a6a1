"""Makes a release: a folder of files, all of them of one commit."""

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from release import bom, manifests, provenance
from release.distributions import build_sdist, build_wheel
from release.errors import ReleaseError
from release.images import IMAGES, read_references, write_references
from release.sources import Sources, base_images, extract

SUMS = "SHA256SUMS"
PROVENANCE = "provenance.intoto.json"
BUILDER = "urn:mooring:builder:by-hand"
"""Somebody, somewhere: what a release says of its builder where nothing else is said."""


def build(checkout: Path, version: str, images: Path, target: Path, builder: str = BUILDER) -> list[str]:
    """Make the release `version` of the commit that is checked out, and give the names of its files.

    Args:
        checkout: the repository.
        version: what ``pyproject.toml`` says.
        images: a file that maps the names of images to where they are, by digest.
        target: the folder to make; an earlier release in it is replaced.
        builder: a URI for who makes it.

    Raises:
        ReleaseError: it cannot be made; `target` is as it was.
    """
    if target.exists() and not (target / SUMS).is_file():
        raise ReleaseError(f"{target} is there and holds no release: name another folder, or remove it")
    references = read_references(images)
    with tempfile.TemporaryDirectory(prefix="mooring-release-") as scratch:
        sources = extract(checkout, version, Path(scratch))
        made = Path(scratch) / "release"
        _make(sources, references, builder, made)
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(made, target)
    return sorted(_digests(target))


def _make(sources: Sources, references: Mapping[str, str], builder: str, made: Path) -> None:
    bases = base_images(sources.folder)
    # First what can be wrong.
    for overlay, text in manifests.render(sources, references).items():
        _write(made / "manifests" / f"{overlay}.yaml", text)
    write_references(made / "images.yaml", references)
    build_sdist(sources, made)
    wheel = build_wheel(sources, made)
    for image in IMAGES:
        bill = bom.python_bill(sources, image.name, image.requirements, bases, _sha256(wheel))
        _write(made / "sbom" / f"{image.name.rpartition('/')[2]}.cdx.json", bill)
    _write(
        made / "sbom" / "cli.cdx.json", bom.python_bill(sources, "mooring/cli", ["cli"], (), _sha256(wheel))
    )
    modules = sorted(path.parent for path in sources.folder.glob("*/go/**/go.mod"))
    _write(made / "sbom" / "go-programs.cdx.json", bom.go_bill(sources, modules))
    for role in sorted({"cli", *(role for image in IMAGES for role in image.requirements)}):
        name = f"requirements/{role}.txt"
        _write(made / name, (sources.folder / name).read_text())
    pins = [*sources.folder.glob("requirements/*.txt"), *(folder / "go.sum" for folder in modules)]
    statement = provenance.statement(
        sources,
        files=_digests(made),
        references=references,
        bases=bases,
        pins={str(path.relative_to(sources.folder)): _sha256(path) for path in pins},
        builder=builder,
    )
    _write(made / PROVENANCE, statement)
    _write(made / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(_digests(made).items())))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files}


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
