"""The images of a release: what each is made of, and where it is, by digest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from release.errors import ReleaseError

_REFERENCE = re.compile(r"[a-z0-9][a-zA-Z0-9./:_-]*@sha256:[0-9a-f]{64}")


LOCAL = "localhost/"
"""Stands before the names of our images in the manifests: without a registry, a cluster would look for them on Docker
Hub, where their names are nobody's. So it takes them from its nodes, or not at all."""


@dataclass(frozen=True)
class Image:
    """An image of ours: its name, its Dockerfile, the requirements in it."""

    name: str
    dockerfile: str
    requirements: tuple[str, ...]
    arguments: Mapping[str, str] = field(default_factory=dict)


IMAGES = (
    Image("mooring/operator", "operator/Dockerfile", ("operator",)),
    Image("mooring/components", "components/Dockerfile", ("components", "pipelines")),
    Image("mooring/inference", "inference/Dockerfile", ("inference",)),
    Image(
        "mooring/inference-cuda",
        "inference/Dockerfile",
        ("inference-cuda",),
        {"VARIANT": "inference-cuda"},
    ),
)


def read_references(path: Path) -> dict[str, str]:
    """Read a YAML file that maps the names of images to where they are: ``REGISTRY/NAME@sha256:...``.

    Raises:
        ReleaseError: it is missing, or says something else.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise ReleaseError(
            f"IMAGES={path}: no file of images by digest ({said}); docs/release.md says how to make one"
        ) from None
    if not isinstance(found, dict) or not found:
        raise ReleaseError(f"IMAGES={path}: must map names of images to REGISTRY/NAME@sha256:...")
    for name, reference in found.items():
        if not isinstance(reference, str) or _REFERENCE.fullmatch(reference) is None:
            raise ReleaseError(
                f"IMAGES={path}: {name}: {reference!r} must be REGISTRY/NAME@sha256: and 64 digits of hex"
            )
    return {str(name): reference for name, reference in found.items()}


def write_references(path: Path, references: Mapping[str, str]) -> None:
    """Write such a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(references)))


def split_reference(reference: str) -> tuple[str, str]:
    """Give the name and the digest of a reference."""
    name, _, digest = reference.partition("@")
    return name, digest


def untagged(image: str) -> str:
    """Give the name of an image as it is written, without its tag or digest."""
    name, _, _ = image.partition("@")
    before, slash, last = name.rpartition("/")
    return f"{before}{slash}{last.partition(':')[0]}"


def name_of(image: str) -> str:
    """Give the name that a file of references has for an image."""
    return untagged(image).removeprefix(LOCAL)
