"""Bills of materials: what is in each image, and what the Go programs of tests and demo are built of.

Source: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from pip_requirements_parser import RequirementsFile

from release.errors import ReleaseError
from release.programs import run
from release.sources import BaseImage, Sources

_NAMESPACE = UUID("6f0f6a2e-5a0b-5c55-9d0c-0f8a4a0f6c11")
"""Makes serial numbers of what a bill says: the same sources give the same number."""

_PYTHON = {
    "python_version": "3.11",
    "python_full_version": "3.11.16",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
}
_MACHINES = ("x86_64", "aarch64")


def python_bill(
    sources: Sources, name: str, requirements: Iterable[str], bases: Iterable[BaseImage], wheel_digest: str
) -> str:
    """Give the bill of an image, or of what a role installs.

    Args:
        sources: the files of the release.
        name: what the bill is of, such as ``mooring/operator``.
        requirements: names of files in ``requirements/``, without their ending.
        bases: what the image starts from; none for what people install themselves.
        wheel_digest: the sha256 of Mooring's own wheel.
    """
    root = _root(name, sources.version)
    own = Component(
        name="kube-mooring",
        version=sources.version,
        type=ComponentType.LIBRARY,
        bom_ref="kube-mooring",
        # Not pkg:pypi: until it is published there, that would be somebody else's.
        purl=PackageURL("generic", None, "kube-mooring", sources.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=wheel_digest)],
    )
    pinned: dict[str, Component] = {}
    for role in requirements:
        for component in _pinned(sources.folder / "requirements" / f"{role}.txt"):
            pinned.setdefault(component.bom_ref.value or "", component)
    return _write(sources, root, [own, *pinned.values(), *map(_base, bases)])


def go_bill(sources: Sources, modules: Iterable[Path]) -> str:
    """Give the bill of the Go programs: every module that the ``go.mod`` files require."""
    found: dict[str, Component] = {}
    for folder in modules:
        required = json.loads(run(["go", "mod", "edit", "-json"], folder=folder))
        replaced = {
            (entry["Old"]["Path"]): (entry["New"]["Path"], entry["New"].get("Version", ""))
            for entry in required.get("Replace") or ()
        }
        for entry in required.get("Require") or ():
            path, version = replaced.get(entry["Path"], (entry["Path"], entry["Version"]))
            purl = PackageURL("golang", *_split(path), version)
            found[str(purl)] = Component(
                name=path, version=version, type=ComponentType.LIBRARY, bom_ref=str(purl), purl=purl
            )
    return _write(sources, _root("mooring/go-programs", sources.version), list(found.values()))


def _root(name: str, version: str) -> Component:
    return Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=f"{name}@{version}")


def _pinned(path: Path) -> list[Component]:
    parsed = RequirementsFile.from_file(str(path))
    if parsed.invalid_lines:
        raise ReleaseError(f"requirements/{path.name}: {parsed.invalid_lines[0].line!r} is no requirement")
    components = []
    for entry in parsed.requirements:
        if entry.marker is not None and not any(
            entry.marker.evaluate({**_PYTHON, "platform_machine": machine}) for machine in _MACHINES
        ):
            continue
        version = entry.get_pinned_version
        if version is None or not entry.hash_options:
            raise ReleaseError(f"requirements/{path.name}: {entry.name} is not pinned by version and hash")
        purl = PackageURL("pypi", None, entry.name, version)
        hashes = [option.partition("sha256:")[2] for option in entry.hash_options]
        components.append(
            Component(
                name=entry.name,
                version=version,
                type=ComponentType.LIBRARY,
                bom_ref=str(purl),
                purl=purl,
                external_references=[
                    ExternalReference(
                        type=ExternalReferenceType.DISTRIBUTION,
                        url=XsUri(f"https://pypi.org/project/{entry.name}/{version}/"),
                        comment="one of these files is installed",
                        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in hashes],
                    )
                ],
            )
        )
    return components


def _base(image: BaseImage) -> Component:
    name, _, tag = image.name.rpartition(":")
    purl = PackageURL("docker", *_split(name), image.digest)
    return Component(
        name=name,
        version=tag,
        type=ComponentType.CONTAINER,
        bom_ref=str(purl),
        purl=purl,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=image.digest.removeprefix("sha256:"))],
    )


def _split(path: str) -> tuple[str | None, str]:
    before, _, last = path.rpartition("/")
    return before or None, last


def _write(sources: Sources, root: Component, components: list[Component]) -> str:
    bom = Bom(components=components)
    bom.metadata.component = root
    bom.metadata.timestamp = datetime.fromtimestamp(sources.epoch, UTC)
    told = ",".join(sorted(component.bom_ref.value or "" for component in components))
    bom.serial_number = uuid5(_NAMESPACE, f"{root.bom_ref.value},{sources.commit},{told}")
    bom.register_dependency(root, components)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n"
