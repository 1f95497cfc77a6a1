"""Builds our images without a container engine, and pushes them: the same files give the same digest.

An image is what its Dockerfile starts from, and one layer more: a virtual environment with the pinned requirements and
Mooring's wheel. How it starts is read from the Dockerfile, so that both ways to build say it once.
"""

import json
import re
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from release.distributions import build_wheel
from release.errors import ReleaseError
from release.images import Image, read_references, write_references
from release.programs import go_tool, run
from release.sources import Sources, base_images, extract

_VENV = "opt/mooring"
_PLACE = re.compile(
    r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+(?=:))(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*/?"
)
"""A registry, by a name that is no user's on Docker Hub, and a path in it."""
_PLATFORM = "linux/amd64"
_WHEELS = "x86_64-manylinux_2_36"
"""What Debian 12 can run: glibc 2.36."""


@dataclass
class Start:
    """What the last stage of a Dockerfile says of how a container starts."""

    base: str = ""
    entrypoint: list[str] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    user: str = ""


def read_start(dockerfile: Path) -> Start:
    """Read the last stage of a Dockerfile.

    Raises:
        ReleaseError: an instruction is none that can be done without a container engine.
    """
    start = Start()
    text = dockerfile.read_text().replace("\\\n", " ")
    stage = text[text.rindex("\nFROM ") :]
    for line in (line.strip() for line in stage.splitlines() if line.strip() and not line.startswith("#")):
        instruction, _, rest = line.partition(" ")
        match instruction:
            case "FROM":
                start.base = rest.split()[0]
            case "ENV":
                start.environment += shlex.split(rest)
            case "USER":
                start.user = rest
            case "EXPOSE":
                start.ports += rest.split()
            case "ENTRYPOINT":
                start.entrypoint = json.loads(rest)
            case "COPY" if rest == f"--from=build /{_VENV} /{_VENV}":
                pass
            case _:
                raise ReleaseError(
                    f"{dockerfile.parent.name}/{dockerfile.name}: {line!r} cannot be done without a container engine"
                )
    return start


def push(checkout: Path, version: str, images: Iterable[Image], place: str, record: Path) -> dict[str, str]:
    """Build images of the commit that is checked out, push them, and note in a file where they are.

    Args:
        checkout: the repository.
        version: what ``pyproject.toml`` says.
        images: which.
        place: where to, such as ``registry.example/team``; the names of the images come behind it.
        record: a file that maps the names of images to where they are; what it says of others stays.

    Raises:
        ReleaseError: one cannot be built or pushed; those before it are noted.
    """
    if _PLACE.fullmatch(place) is None:
        raise ReleaseError(
            f"REGISTRY={place!r}: must be HOST/PATH or HOST:PORT/PATH, such as registry.example/team"
        )
    known = read_references(record) if record.exists() else {}
    with tempfile.TemporaryDirectory(prefix="mooring-images-") as folder:
        scratch = Path(folder)
        sources = extract(checkout, version, scratch)
        base_images(sources.folder)
        wheel = build_wheel(sources, scratch)
        for image in images:
            start = read_start(sources.folder / image.dockerfile)
            _install(checkout, sources, wheel, image, scratch / "tree")
            write_layer(scratch / "tree", scratch / "layer.tar", sources.epoch)
            shutil.rmtree(scratch / "tree")
            target = f"{place.rstrip('/')}/{image.name}"
            known[image.name] = _push(image, start, scratch / "layer.tar", sources, target)
            write_references(record, known)
    return known


def write_layer(tree: Path, layer: Path, epoch: int) -> None:
    """Write a tar of a folder that depends on nothing but names, modes and bytes."""
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as files:
        for path in sorted(tree.rglob("*")):
            entry = files.gettarinfo(path, arcname=path.relative_to(tree).as_posix())
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            # What a umask made of them is of no account: all can read, nobody has to write.
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            if entry.isreg():
                with path.open("rb") as content:
                    files.addfile(entry, content)
            else:
                files.addfile(entry)


def _install(checkout: Path, sources: Sources, wheel: Path, image: Image, tree: Path) -> None:
    """Make the virtual environment that the Dockerfile makes, for its machine and not for this one."""
    venv = tree / _VENV
    packages = venv / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    requirements = [f"--requirements=requirements/{name}.txt" for name in image.requirements]
    run(
        [
            *(_uv(checkout), "pip", "install", "--quiet", "--no-deps", "--require-hashes"),
            *("--target", packages, "--link-mode=copy"),
            *("--python-version=3.11", f"--python-platform={_WHEELS}"),
            # What builds those that come as sources alone.
            "--build-constraints=requirements/build.txt",
            *requirements,
        ],
        folder=sources.folder,
    )
    # Scripts would start this machine's Python.
    shutil.rmtree(packages / "bin", ignore_errors=True)
    # A wheel of nothing but Python is installed when it is unpacked; installers note where they found it.
    shutil.unpack_archive(wheel, packages, format="zip")
    (venv / "bin").mkdir()
    for name in ("python", "python3", "python3.11"):
        (venv / "bin" / name).symlink_to("/usr/local/bin/python3.11")
    (venv / "pyvenv.cfg").write_text(
        "home = /usr/local/bin\ninclude-system-site-packages = false\nversion = 3.11\n"
    )


def _push(image: Image, start: Start, layer: Path, sources: Sources, target: str) -> str:
    labels = {
        "org.opencontainers.image.revision": sources.commit,
        "org.opencontainers.image.version": sources.version,
        "org.opencontainers.image.title": image.name,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.base.name": start.base,
    }
    command = [
        *go_tool("crane"),
        *(
            "mutate",
            start.base,
            f"--platform={_PLATFORM}",
            f"--append={layer}",
            f"--tag={target}:{sources.version}",
        ),
        f"--entrypoint={','.join(start.entrypoint)}",
        *(f"--env={variable}" for variable in start.environment),
        *(f"--exposed-ports={port}" for port in start.ports),
        *(f"--label={name}={value}" for name, value in labels.items()),
        f"--user={start.user}",
    ]
    said = run(command)
    digest = re.search(r"@(sha256:[0-9a-f]{64})\s*$", said)
    if digest is None:
        raise ReleaseError(f"crane named no digest of {target}: {said.strip()!r}")
    return f"{target}@{digest[1]}"


def _uv(checkout: Path) -> Path:
    own = checkout / "build" / "bootstrap" / "bin" / "uv"
    return own if own.exists() else Path("uv")
