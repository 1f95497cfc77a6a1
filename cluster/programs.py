"""Which programs make up the control plane, what runs beside it, and where their executables are."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

MODULES = Path(__file__).parent / "go"
"""One Go module per family of programs, which pins versions and names the programs as tools."""


class ProgramUnavailableError(Exception):
    """A program is neither installed nor buildable here; the message says what would help."""


@dataclass(frozen=True)
class Program:
    """A program that Go builds from a published module, or from a folder of ours.

    ``package`` is its import path, ``.`` where it is ours; ``module`` is the module that decides its version,
    ``family`` the folder under ``go/`` that requires that module. ``oldest`` is the oldest installed version that will
    do, and ``minutes`` a hint of how long it takes to build on two cores. ``tags`` are build tags.
    """

    name: str
    family: str
    module: str
    package: str
    oldest: tuple[int, int]
    minutes: float
    stamp: str = ""
    tags: str = ""

    @property
    def version(self) -> str:
        """The pinned version, such as ``v1.36.3``; with a digest of its source where it is ours."""
        required = required_version(self.family, self.module)
        return f"{required}-{_source_digest(self.family)}" if self.is_ours else required

    @property
    def is_ours(self) -> bool:
        """Whether it is built from a folder of ours, and found nowhere else."""
        return self.package == "."

    @property
    def built(self) -> Path:
        """Where its own build is kept."""
        return cache_folder() / "bin" / f"{self.name}-{self.version}"

    @property
    def linker_flags(self) -> str:
        """Strip the symbols, and tell the program its version where it cannot know it by itself."""
        major, minor = self.version.removeprefix("v").split(".")[:2]
        values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        stamps = [f"-X {self.stamp}.{key}={value}" for key, value in values.items()] if self.stamp else []
        return " ".join(["-s", "-w", *stamps])


_KUBERNETES_STAMP = "k8s.io/component-base/version"

PROGRAMS = {
    program.name: program
    for program in (
        Program(
            name="etcd",
            family="etcd",
            module="go.etcd.io/etcd/server/v3",
            package="go.etcd.io/etcd/server/v3",
            oldest=(3, 5),
            minutes=1,
        ),
        Program(
            name="kube-apiserver",
            family="kubernetes",
            module="k8s.io/kubernetes",
            package="k8s.io/kubernetes/cmd/kube-apiserver",
            oldest=(1, 30),
            minutes=5,
            stamp=_KUBERNETES_STAMP,
        ),
        Program(
            name="kube-controller-manager",
            family="kubernetes",
            module="k8s.io/kubernetes",
            package="k8s.io/kubernetes/cmd/kube-controller-manager",
            oldest=(1, 30),
            minutes=2,
            stamp=_KUBERNETES_STAMP,
        ),
        Program(
            name="versitygw",
            family="versitygw",
            module="github.com/versity/versitygw",
            package="github.com/versity/versitygw/cmd/versitygw",
            oldest=(1, 8),
            minutes=1,
        ),
        Program(
            name="contour",
            family="contour",
            module="github.com/projectcontour/contour",
            package="github.com/projectcontour/contour/cmd/contour",
            oldest=(1, 33),
            minutes=4,
        ),
        Program(
            name="prometheus",
            family="prometheus",
            module="github.com/prometheus/prometheus",
            package="github.com/prometheus/prometheus/cmd/prometheus",
            # Older ones, as Debian builds them, know no Kubernetes.
            oldest=(3, 0),
            minutes=3,
            tags="remove_all_sd,enable_kubernetes_sd",
        ),
        Program(
            name="gitops",
            family="gitops",
            module="github.com/yuin/gopher-lua",
            package=".",
            oldest=(0, 0),
            minutes=0.5,
        ),
    )
}


def cache_folder() -> Path:
    """``$MOORING_CACHE``, else ``mooring`` in the user's cache folder."""
    if own := os.environ.get("MOORING_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "mooring"


def required_version(family: str, module: str) -> str:
    """The version of a module that ``go/FAMILY/go.mod`` requires."""
    text = (MODULES / family / "go.mod").read_text()
    found = re.search(rf"^(?:require)?\s+{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"go/{family}/go.mod does not require {module}")
    return found[1]


def _source_digest(family: str) -> str:
    digest = hashlib.sha256()
    for file in sorted((MODULES / family).iterdir()):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def find(name: str) -> Path | None:
    """An executable that is there already: ``KUBEBUILDER_ASSETS``, our own build, then PATH.

    With ``MOORING_CLUSTER_BUILD`` set, only our own build counts.
    """
    program = PROGRAMS[name]
    own = [program.built] if program.built.exists() else []
    if program.is_ours or os.environ.get("MOORING_CLUSTER_BUILD"):
        return next(iter(own), None)
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    given = shutil.which(name, path=assets) if assets else None
    if given:
        return Path(given)
    if own:
        return own[0]
    installed = shutil.which(name)
    return Path(installed) if installed and _recent(installed, program.oldest) else None


def reported_version(executable: Path | str) -> str:
    """What ``--version`` says, such as ``1.36.3``; ``unknown`` where it says nothing of the kind."""
    done = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=30, check=False)
    found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
    return found[0] if found else "unknown"


def _recent(executable: str, oldest: tuple[int, int]) -> bool:
    numbers = re.findall(r"\d+", reported_version(executable))[:2]
    return tuple(map(int, numbers)) >= oldest
