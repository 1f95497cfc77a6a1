"""What a release is made of: the files of one commit."""

import re
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from release.errors import ReleaseError
from release.programs import run

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)+((a|b|rc)[0-9]+)?(\.post[0-9]+)?")
_PINNED = re.compile(r"FROM (?P<name>\S+?)@(?P<digest>sha256:[0-9a-f]{64})( AS \S+)?")


@dataclass(frozen=True)
class Sources:
    """The files of a commit, outside of the checkout.

    ``epoch`` is the time of the commit in seconds: builds take it for their own, so that they give the same bytes.
    """

    folder: Path
    version: str
    commit: str
    epoch: int

    @property
    def environment(self) -> dict[str, str]:
        """What builders have to know."""
        return {"SOURCE_DATE_EPOCH": str(self.epoch)}


@dataclass(frozen=True)
class BaseImage:
    """What a Dockerfile starts from: a name with its tag, and the digest of what is meant."""

    name: str
    digest: str


def extract(checkout: Path, version: str, target: Path) -> Sources:
    """Extract the files of the commit that is checked out into `target`.

    Raises:
        ReleaseError: `version` is not what the commit says, there is no commit, or something is not committed.
    """
    if _VERSION.fullmatch(version) is None:
        raise ReleaseError(f"VERSION={version!r}: must be a version such as 0.1.0")
    commit = run(["git", "rev-parse", "HEAD"], folder=checkout).strip()
    changed = run(["git", "status", "--porcelain", "--untracked-files=no"], folder=checkout).splitlines()
    if changed:
        raise ReleaseError(
            f"commit first: {len(changed)} files differ from {commit[:12]}, {changed[0][3:]} for one"
        )
    epoch = int(run(["git", "show", "--no-patch", "--format=%ct", commit], folder=checkout))
    archive = target / "sources.tar"
    run(["git", "archive", "--format=tar", f"--output={archive}", commit], folder=checkout)
    folder = target / "sources"
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    archive.unlink()
    said = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
    if said != version:
        raise ReleaseError(
            f"VERSION={version}: pyproject.toml says {said}; change it there, and commit, first"
        )
    return Sources(folder, version, commit, epoch)


def base_images(folder: Path) -> list[BaseImage]:
    """Give what the Dockerfiles start from.

    Raises:
        ReleaseError: one is not pinned by digest.
    """
    found: list[BaseImage] = []
    for path in sorted(folder.glob("*/Dockerfile")):
        for line in (line for line in path.read_text().splitlines() if line.startswith("FROM ")):
            pinned = _PINNED.fullmatch(line.strip())
            if pinned is None:
                raise ReleaseError(
                    f"{path.relative_to(folder)}: {line.strip()!r} must name a digest, as NAME:TAG@sha256:..."
                )
            found.append(BaseImage(pinned["name"], pinned["digest"]))
    return list(dict.fromkeys(found))
