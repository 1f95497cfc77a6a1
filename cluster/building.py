"""Builds the programs that are missing, with Go, from published modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from cluster.locks import exclusively
from cluster.programs import MODULES, PROGRAMS, Program, ProgramUnavailableError, cache_folder, find


def build(names: Iterable[str] = PROGRAMS) -> dict[str, Path]:
    """Give the executable of every program named, building what is missing.

    Raises:
        ProgramUnavailableError: one is missing and cannot be built.
    """
    return {name: find(name) or _build(PROGRAMS[name]) for name in names}


def go_command() -> str:
    """The Go toolchain; raises ProgramUnavailableError without one."""
    found = shutil.which("go")
    if found is None:
        raise ProgramUnavailableError(
            "there is no Go toolchain to build it with: install Go 1.26, or point KUBEBUILDER_ASSETS at a "
            "folder with etcd and kube-apiserver"
        )
    return found


def go_environment() -> dict[str, str]:
    """Static programs, our go.mod as it is, and no workspace of a folder above."""
    return os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}


def _build(program: Program) -> Path:
    """Build one program into the cache, once for all processes that want it at the same time."""
    target = program.built
    lock = cache_folder() / "locks" / f"{target.name}.lock"
    with exclusively(lock, on_wait=lambda: _say(f"{target.name}: another process builds it, waiting")):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f".{target.name}.{os.getpid()}")
            try:
                _compile(program, unfinished)
                unfinished.replace(target)
            finally:
                unfinished.unlink(missing_ok=True)
    return target


def _compile(program: Program, target: Path) -> None:
    command = [go_command(), "build", "-v", "-trimpath", "-ldflags", program.linker_flags]
    command += ["-tags", program.tags, "-o", str(target), program.package]
    progress = _Progress(program)
    # -v names each package as its compilation starts: cheap progress.
    with subprocess.Popen(
        command,
        cwd=MODULES / program.family,
        env=go_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as compiler:
        assert compiler.stdout is not None
        for line in compiler.stdout:
            progress.note(line.rstrip())
        code = compiler.wait()
    progress.finish(ok=code == 0)
    if code != 0:
        raise ProgramUnavailableError(f"go build {program.package} failed:\n{progress.last_lines()}")


class _Progress:
    """One line that is rewritten in a terminal, or a line every 30 s in a log."""

    def __init__(self, program: Program) -> None:
        self._title = f"{program.name} {program.version}"
        self._hint = f"about {program.minutes:g} min on two cores, once"
        self._live = sys.stderr.isatty()
        self._started = self._said = time.monotonic()
        self._compiled = self._downloaded = 0
        self._last: deque[str] = deque(maxlen=15)
        _say(f"building {self._title}: {self._hint}")

    def note(self, line: str) -> None:
        if line.startswith("go: downloading"):
            self._downloaded += 1
        else:
            self._compiled += 1
            self._last.append(line)
        now = time.monotonic()
        if now - self._said >= (0.2 if self._live else 30):
            self._said = now
            self._show()

    def finish(self, *, ok: bool) -> None:
        self._show("built" if ok else "failed")
        if self._live:
            _say("")

    def last_lines(self) -> str:
        return "\n".join(self._last)

    def _show(self, word: str = "building") -> None:
        seconds = int(time.monotonic() - self._started)
        text = f"{word} {self._title}: {seconds // 60}:{seconds % 60:02d}, {self._compiled} packages compiled"
        if self._downloaded:
            text += f", {self._downloaded} modules downloaded"
        if self._live:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            _say(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
