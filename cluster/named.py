"""Clusters that live on after the command that started them, each by its name."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.commands import Files
from cluster.control_plane import ControlPlane, complete
from cluster.kubeconfig import remove_kubeconfig
from cluster.locks import exclusively
from cluster.processes import Process
from cluster.programs import cache_folder, reported_version


class ClusterError(Exception):
    """What was asked for cannot be done; the message says why."""


@dataclass(frozen=True)
class Program:
    """One program of a running cluster. ``port`` is 0 for those that serve nothing."""

    name: str
    version: str
    port: int
    pid: int
    born: int
    log: str

    @property
    def process(self) -> Process:
        """The process, to look after or to stop."""
        return Process(self.name, self.pid, self.born, Path(self.log))


@dataclass(frozen=True)
class Running:
    """A named cluster, as its ``up`` left it."""

    name: str
    server: str
    kubeconfig: str
    extras: tuple[str, ...]
    programs: tuple[Program, ...]

    @property
    def healthy(self) -> bool:
        """Whether every program still runs."""
        return all(program.process.alive for program in self.programs)


def up(
    name: str = "default",
    extras: Iterable[str] = (),
    *,
    kubeconfig: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Running:
    """Start a cluster that lives on, or find it running with all that is asked for.

    Raises:
        ClusterError: one of this name runs, but without some of ``extras`` or with another kubeconfig.
        ProgramUnavailableError, StartError, FileExistsError: as ``ControlPlane.start`` and its kubeconfig.
    """
    with _locked(name):
        found = find(name)
        if found is not None and found.healthy:
            _check_fits(found, complete(extras), kubeconfig)
            return found
        _remove(name)
        # The programs change their folder, and `down` is called from anywhere.
        target = kubeconfig.absolute() if kubeconfig else None
        control_plane = ControlPlane(
            extras, name=name, data_dir=_folder(name), kubeconfig=target, report=report
        )
        control_plane.start()
        try:
            running = _describe(control_plane)
            control_plane.files.state.write_text(json.dumps(asdict(running), indent=2))
        except BaseException:
            control_plane.stop()
            raise
        control_plane.detach()
        return running


def down(name: str = "default") -> bool:
    """End a cluster and remove all that is left of it; whether there was one."""
    with _locked(name):
        return _remove(name)


def find(name: str = "default") -> Running | None:
    """The cluster of this name, if one was started and not ended; see ``Running.healthy``."""
    try:
        state = json.loads(Files(_folder(name)).state.read_text())
    except FileNotFoundError:
        return None
    programs = tuple(Program(**program) for program in state.pop("programs"))
    return Running(**{**state, "extras": tuple(state["extras"])}, programs=programs)


def find_all() -> list[Running]:
    """Every named cluster, by name."""
    names = sorted(path.parent.name for path in (cache_folder() / "clusters").glob("*/state.json"))
    return [found for found in map(find, names) if found is not None]


def _check_fits(found: Running, extras: tuple[str, ...], kubeconfig: Path | None) -> None:
    down_first = f"take it down first: python -m cluster down --name {found.name}"
    if missing := sorted(set(complete([*extras, *found.extras])).difference(found.extras)):
        raise ClusterError(f"cluster {found.name} runs without {', '.join(missing)}; {down_first}")
    if kubeconfig is not None and str(kubeconfig.absolute()) != found.kubeconfig:
        raise ClusterError(f"cluster {found.name} runs with kubeconfig {found.kubeconfig}; {down_first}")


def _describe(control_plane: ControlPlane) -> Running:
    return Running(
        name=control_plane.name,
        server=control_plane.server,
        kubeconfig=str(control_plane.kubeconfig),
        extras=control_plane.extras,
        programs=tuple(
            Program(
                name=process.name,
                version=reported_version(control_plane.executables[process.name]),
                port=control_plane.ports.get(process.name, 0),
                pid=process.pid,
                born=process.born,
                log=str(process.log),
            )
            for process in control_plane.processes
        ),
    )


def _remove(name: str) -> bool:
    found = find(name)
    if found is not None:
        for program in reversed(found.programs):
            program.process.stop()
        remove_kubeconfig(Path(found.kubeconfig))
    # Without a state there may still be the folder of an `up` that was killed.
    shutil.rmtree(_folder(name), ignore_errors=True)
    return found is not None


def _folder(name: str) -> Path:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise ClusterError(f"{name!r} is no name for a cluster: lower-case letters, digits and dashes")
    return (cache_folder() / "clusters" / name).resolve()


def _locked(name: str) -> AbstractContextManager[None]:
    return exclusively(cache_folder() / "locks" / f"cluster-{_folder(name).name}.lock")
