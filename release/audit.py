"""Looks up known vulnerabilities of what is pinned: Python packages in OSV, Go modules in Go's database."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from release.programs import go_tool


@dataclass(frozen=True)
class Finding:
    """A known vulnerability of a pinned package; ``where`` are the files that pin it."""

    package: str
    version: str
    vulnerability: str
    fixed: str
    where: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What was found among packages of a kind; ``unknown`` says why nothing could be looked up."""

    kind: str
    looked_at: int = 0
    findings: tuple[Finding, ...] = ()
    unknown: str = ""

    @property
    def summary(self) -> str:
        """The report in one line."""
        if self.unknown:
            return f"{self.kind}: no report: {self.unknown}"
        return f"{self.kind}: {len(self.findings)} known vulnerabilities in {self.looked_at} pinned packages"


class NoReportError(Exception):
    """Nothing could be looked up; the message says why in one line."""


def audit(checkout: Path, target: Path, *, osv: str, go_database: str, time_limit: float) -> list[Report]:
    """Look everything up, and write ``report.json`` and ``report.md`` into a folder.

    Args:
        checkout: the repository.
        target: the folder for the reports.
        osv: the address of OSV's API, for Python packages.
        go_database: the address of Go's database.
        time_limit: seconds that each kind of packages may take.
    """
    reports = [
        _reported("Python", lambda: _python(checkout, osv, time_limit)),
        _reported("Go", lambda: _go(checkout, go_database, time_limit)),
    ]
    target.mkdir(parents=True, exist_ok=True)
    (target / "report.json").write_text(json.dumps([asdict(report) for report in reports], indent=2) + "\n")
    (target / "report.md").write_text("\n".join(_markdown(reports)))
    return reports


def _reported(kind: str, look: Callable[[], Report]) -> Report:
    try:
        return look()
    except NoReportError as error:
        return Report(kind, unknown=str(error))


def _python(checkout: Path, osv: str, time_limit: float) -> Report:
    files = sorted((checkout / "requirements").glob("*.txt"))
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format=json"]
    command += ["--progress-spinner=off", "--vulnerability-service=osv", f"--osv-url={osv}"]
    # Exit code 1: some are vulnerable, or it could not be found out; which of the two, the output tells.
    said = _run([*command, *(f"--requirement={path}" for path in files)], time_limit)
    try:
        packages = json.loads(said.stdout)["dependencies"]
    except ValueError:
        raise NoReportError(_in_a_sentence(_last_line(said.stderr), osv)) from None
    skipped = [package["skip_reason"] for package in packages if "skip_reason" in package]
    if skipped:
        raise NoReportError(
            f"{len(skipped)} of {len(packages)} packages: {_in_a_sentence(_last_line(skipped[0]), osv)}"
        )
    pinned = {path.stem: set(_pins(path.read_text())) for path in files}
    findings = [
        Finding(
            package["name"],
            package["version"],
            found["id"],
            ", ".join(found["fix_versions"]),
            tuple(role for role, pins in pinned.items() if (package["name"], package["version"]) in pins),
        )
        for package in packages
        for found in package["vulns"]
    ]
    return Report("Python", len(packages), tuple(findings))


def _pins(text: str) -> Iterator[tuple[str, str]]:
    yield from re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE)


def _go(checkout: Path, database: str, time_limit: float) -> Report:
    found: dict[tuple[str, str, str], Finding] = {}
    modules: set[tuple[str, str]] = set()
    for path in sorted(checkout.glob("*/go/**/go.mod")):
        where = str(path.parent.relative_to(checkout))
        # "tool" stands for the programs that go.mod names.
        packages = "tool" if "\ntool " in path.read_text() else "./..."
        command = [
            *go_tool("govulncheck"),
            "-C",
            path.parent,
            "-db",
            database,
            "-scan=package",
            "-format=json",
        ]
        said = _run([str(word) for word in [*command, packages]], time_limit)
        if said.returncode != 0:
            raise NoReportError(_in_a_sentence(_last_line(said.stderr), database))
        messages = list(_json_values(said.stdout))
        for module in (entry for message in messages for entry in message.get("SBOM", {}).get("modules", ())):
            modules.add((module["path"], module.get("version", "")))
        # A package that is used says more than a module that is required.
        for finding in (message["finding"] for message in messages if "finding" in message):
            first = finding["trace"][0]
            if "package" not in first:
                continue
            key = (first["module"], first.get("version", ""), finding["osv"])
            before = found[key].where if key in found else ()
            places = tuple(dict.fromkeys([*before, where]))
            found[key] = Finding(*key, finding.get("fixed_version", ""), places)
    return Report("Go", len(modules), tuple(found.values()))


def _run(command: Sequence[str], time_limit: float) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    try:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise NoReportError(f"{command[0]} is not on PATH") from None
    with process:
        try:
            out, err = process.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            # The programs that it has started as well: `go tool` is not the one that asks.
            os.killpg(process.pid, signal.SIGKILL)
            raise NoReportError(f"it took more than {time_limit:g} s") from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _json_values(text: str) -> Iterator[dict[str, Any]]:
    decoder, position = json.JSONDecoder(), 0
    while (start := text.find("{", position)) >= 0:
        value, position = decoder.raw_decode(text, start)
        yield value


def _in_a_sentence(said: str, address: str) -> str:
    """Say what a program's last words mean: where it reached nobody, it names its own exceptions or a wrong cause."""
    if "unrecognized vulndb format" in said:
        return f"{address} cannot be reached, or it is no database of Go's"
    if re.search(r"Max retries exceeded|Connection(?:Reset)?Error|Timeout", said):
        cause = re.search(r"\[Errno -?\d+\] ([\w ,'-]+)", said)
        return f"{address} cannot be reached{f': {cause[1].strip()}' if cause else ''}"
    return re.sub(r"^(?:\w+\.)+\w+: ", "", said)


def _last_line(text: str) -> str:
    lines = text.strip().splitlines() or ["it said nothing"]
    return lines[-1].strip()


def _markdown(reports: Iterable[Report]) -> Iterator[str]:
    yield "# Known vulnerabilities of what is pinned"
    for report in reports:
        yield f"\n{report.summary}"
        if report.findings:
            yield "\n| package | version | vulnerability | fixed in | pinned by |\n|---|---|---|---|---|"
        for found in report.findings:
            cells = (
                found.package,
                found.version,
                found.vulnerability,
                found.fixed or "-",
                ", ".join(found.where),
            )
            yield f"| {' | '.join(cells)} |"
    yield ""
