"""``mooring validate``: what the API server would say, without one."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mooring_operator.cli import output
from mooring_operator.cli.errors import NO, CliError
from mooring_operator.cli.files import Manifest, read_each, read_manifests
from mooring_operator.cli.help import paragraphs

if TYPE_CHECKING:
    from mooring_artifacts.grants import Grants

    from mooring_operator.api.cluster_model_policy import ClusterModelPolicySpec
    from mooring_operator.cli.validation.check import Report
    from mooring_operator.cli.validation.problem import Problem
    from mooring_operator.cli.validation.source import Document
    from mooring_operator.planning.analysis.templates import Found

    Policies = dict[str, ClusterModelPolicySpec]
    Templates = dict[tuple[str, str], Found]

# For people: a hostile file could have a hundred thousand problems, and one of a megabyte.
_MOST_SHOWN = 100
_LONGEST_SHOWN = 2000

_HELP = paragraphs(
    """
    Check manifests offline, as the API server would and, with --grants and --policies, as the operator would.

    Types, limits, unknown fields and the rules between fields of all of Mooring's kinds, and whether deployments
    fit the AnalysisTemplates among the files; other kinds are skipped. Exit code: 0 all valid, 1 something is
    wrong, 2 a file cannot be read.
    """,
    "mooring validate iris.yaml",
    "mooring validate deploy/ monitors.yaml",
    "kustomize build . | mooring validate -",
    "mooring validate iris.yaml --grants grants.yaml --policies production.yaml",
)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("validate", help=_HELP, rich_help_panel="Before a cluster")(validate)


def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders, or - for stdin.")],
    form: Annotated[
        output.Format, typer.Option("-o", "--output", help="How to write what was found.")
    ] = output.Format.TEXT,
    grants: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also say which addresses an administrator's grants let the operator look up.",
        ),
    ] = None,
    policies: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also say what ClusterModelPolicies demand, as if they bound every namespace; not their rules.",
        ),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Also say what cannot be checked offline.")
    ] = False,
) -> None:
    """Check manifests and say what is wrong, with line numbers."""
    granted = _read_grants(grants) if grants is not None else None
    demanded = _read_policies(policies) if policies is not None else None
    read = list(read_each(files))
    unreadable = [error for error in read if isinstance(error, CliError)]
    manifests = [manifest for manifest in read if isinstance(manifest, Manifest)]
    templates = _templates(manifests)
    findings = [
        finding
        for manifest in manifests
        for finding in check_manifest(manifest, granted, demanded, templates)
    ]
    if form is output.Format.TEXT:
        for finding in findings:
            _print(finding, verbose)
        if findings:
            _print_summary(findings)
    else:
        output.dump(findings, form)
    if unreadable:
        # All of them, once the others have been judged.
        raise CliError("\n".join(error.message for error in unreadable))
    if not all(finding["valid"] for finding in findings):
        raise typer.Exit(NO)


def _read_grants(path: Path) -> "Grants":
    from mooring_artifacts.errors import InputError

    from mooring_operator.adapters.grants_file import read_grants

    try:
        return read_grants(path)
    except InputError as error:
        raise CliError(str(error)) from error


def _read_policies(path: str) -> "Policies":
    from mooring_operator.cli.validation.cluster_policies import read_policies

    return read_policies(path)


def _templates(manifests: list[Manifest]) -> "Templates":
    """Give the AnalysisTemplates in the files that can be read."""
    from mooring_operator.cli.validation.check import as_stored
    from mooring_operator.cli.validation.source import SourceError, read_objects
    from mooring_operator.cli.validation.templates import TEMPLATES, templates_in

    objects = []
    for manifest in manifests:
        # Most files have none, and are read once.
        if any(kind in manifest.text for kind in TEMPLATES):
            with suppress(SourceError):
                objects += [as_stored(document.value) for document in read_objects(manifest.text)]
    return templates_in(objects)


def check_manifest(
    manifest: Manifest,
    grants: "Grants | None" = None,
    policies: "Policies | None" = None,
    templates: "Templates | None" = None,
) -> list[dict[str, Any]]:
    """Give a finding per document: file, line, kind, name, valid, skipped, problems, warnings, notChecked."""
    from mooring_operator.cli.validation.check import as_stored, check_document
    from mooring_operator.cli.validation.cluster_policies import check_policies
    from mooring_operator.cli.validation.grants import check_grants
    from mooring_operator.cli.validation.source import SourceError, read_objects
    from mooring_operator.cli.validation.templates import check_templates

    findings = []
    try:
        for document in read_objects(manifest.text):
            report = check_document(document)
            if report.ok:
                document = replace(document, value=as_stored(document.value))
            if grants is not None and report.ok:
                report = check_grants(document, report, grants)
            if policies is not None and report.ok:
                report = check_policies(document, report, policies)
            if templates and report.ok:
                report = check_templates(document, report, templates)
            findings.append(_finding(manifest.label, document, report))
    except SourceError as error:
        problem = {"line": error.line, "field": "", "message": f"not YAML: {error.message}"}
        findings.append(_empty(manifest.label, error.line) | {"valid": False, "problems": [problem]})
    if not findings:
        findings.append(_empty(manifest.label, 1) | {"skipped": "the file is empty"})
    return findings


def _empty(label: str, line: int) -> dict[str, Any]:
    return {
        "file": label,
        "line": line,
        "kind": "",
        "name": "",
        "valid": True,
        "skipped": "",
        "problems": [],
        "warnings": [],
        "notChecked": [],
    }


def _finding(label: str, document: "Document", report: "Report") -> dict[str, Any]:
    return {
        **_empty(label, document.line),
        "kind": report.kind,
        "name": report.name,
        "valid": report.ok,
        "skipped": report.skipped,
        "problems": _located(document, report.problems),
        "warnings": _located(document, report.warnings),
        "notChecked": report.not_checked,
    }


def _located(document: "Document", problems: "list[Problem]") -> list[dict[str, Any]]:
    found = [
        {"line": document.line_of(problem.path), "field": problem.field, "message": problem.message}
        for problem in problems
    ]
    return sorted(found, key=lambda problem: problem["line"])


def valid_objects(files: list[str], *, to: str) -> Iterator[dict[str, Any]]:
    """Give the objects in the files, for a command that would do `to` with them.

    Raises:
        CliError: one is not valid; what is wrong is said before.
    """
    from mooring_operator.cli.validation.check import as_stored
    from mooring_operator.cli.validation.source import read_objects

    for manifest in read_manifests(files):
        problems = [problem for finding in check_manifest(manifest) for problem in finding["problems"]]
        for problem in problems:
            output.say(describe(manifest.label, problem), style="red", stderr=True)
        if problems:
            raise CliError(f"{manifest.label} is not valid: nothing to {to}", exit_code=NO)
        yield from (as_stored(document.value) for document in read_objects(manifest.text))


def describe(label: str, problem: dict[str, Any]) -> str:
    """Write a problem as compilers do: FILE:LINE: field: message."""
    field, message = problem["field"], problem["message"]
    # The messages of many rules name their field themselves.
    says_where = not field or message.startswith(re.sub(r"\[.*", "", field))
    named = message if says_where else f"{field}: {message}"
    return f"{label}:{problem['line']}: {named}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _print(finding: dict[str, Any], verbose: bool) -> None:
    label, line = finding["file"], finding["line"]
    name = f"{finding['kind']} {finding['name']}".strip()
    problems = finding["problems"]
    for problem in problems[:_MOST_SHOWN]:
        output.say(_cut(describe(label, problem)), style="red")
    if len(problems) > _MOST_SHOWN:
        output.say(f"{label}:{line}: {len(problems) - _MOST_SHOWN} more problems", style="red")
    for warning in finding["warnings"]:
        output.say(
            f"{label}:{warning['line']}: warning: {warning['field']}: {warning['message']}", style="yellow"
        )
    if finding["skipped"]:
        output.say(f"{label}:{line}: skipped: {finding['skipped']}", style="dim")
    elif finding["valid"]:
        output.say(f"{label}:{line}: {name} is valid", style="green")
    if verbose:
        for field in finding["notChecked"]:
            output.say(
                f"{label}:{line}: {field}: its rule compares with the object in the cluster: not checked here",
                style="dim",
            )


def _print_summary(findings: list[dict[str, Any]]) -> None:
    problems = sum(len(finding["problems"]) for finding in findings)
    if problems:
        wrong = sum(not finding["valid"] for finding in findings)
        output.say(
            f"{problems} problem{'s' * (problems > 1)} in {wrong} document{'s' * (wrong > 1)}", stderr=True
        )
